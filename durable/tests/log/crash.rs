//! After a crash the log holds what was synced and a prefix of the rest, in whole batches.

use durable::SimFs;
use durable::log::SegmentLayout;

use crate::store::{Log, recover};

const LAYOUTS: [SegmentLayout; 2] = [SegmentLayout::Plain, SegmentLayout::Witnessed];

/// A run of the log, and what had been promised when.
struct Run {
    disk: SimFs,
    /// (operations on the disk so far, batches synced by then)
    synced: Vec<(usize, u64)>,
    created: Vec<usize>,
    issued: u64,
}

fn run(steps: &[(usize, usize, bool)], layout: SegmentLayout) -> Run {
    let mut log = Log::with(layout, 512);
    let mut synced = vec![(0, 0)];
    let mut issued = 0;
    for &(frames, len, sync) in steps {
        issued = log.append(frames, len).unwrap();
        if sync {
            log.sync();
            synced.push((log.disk.ops(), issued));
        }
    }
    Run { disk: log.disk, synced, created: log.created, issued }
}

fn check_every_crash(run: &Run) -> usize {
    let mut states = 0;
    let mut sweep = run.disk.sweep();
    while let Some(point) = sweep.next_point() {
        let promised = run.synced.iter().rev().find(|(ops, _)| *ops <= point).unwrap().1;
        let segments = run.created.iter().filter(|&&ops| ops <= point).count();
        for variant in sweep.all_variants(8) {
            let found = recover(&sweep.image(&variant), segments)
                .unwrap_or_else(|error| panic!("point {point}, {variant}: {error}"));
            let prefix: Vec<u64> = (1..=found.len() as u64).collect();
            assert_eq!(found, prefix, "point {point}, {variant}");
            assert!(found.len() as u64 >= promised, "point {point}, {variant}: {found:?}");
            assert!(found.len() as u64 <= run.issued);
            states += 1;
        }
    }
    states
}

#[test]
fn every_crash_leaves_what_was_synced_and_a_prefix_of_whole_batches() {
    let steps: Vec<_> = (0..24).map(|at| (1 + at % 3, 5 + at * 7 % 90, at % 5 == 4)).collect();
    for layout in LAYOUTS {
        let states = check_every_crash(&run(&steps, layout));
        assert!(states > 1_000, "{layout:?}: {states}");
    }
}

#[test]
fn a_segment_torn_before_a_later_one_takes_that_one_with_it() {
    let steps = [(1, 100, true), (2, 150, false), (1, 300, false), (1, 300, false)];
    for layout in LAYOUTS {
        check_every_crash(&run(&steps, layout));
    }
}

#[test]
fn every_failed_call_poisons_the_log_and_loses_nothing_synced() {
    use durable::{Fault, Inject, Plan};
    use std::path::Path;
    use std::sync::Arc;

    use durable::Fs;
    use durable::log::{Frame, GroupSync, Segment, SegmentIdentity, Writer};

    for (at, layout) in (0..40).map(|at| (at / 2, LAYOUTS[at % 2])) {
        let disk = SimFs::new();
        disk.create_dir(Path::new("log")).unwrap();
        let plan = Plan { at, fault: Fault::Eio, sticky: false };
        let fs = Inject::over_sim(disk.clone(), plan);
        let sync = Arc::new(GroupSync::new());
        let mut writer = Writer::new(Arc::clone(&sync));
        let identity =
            SegmentIdentity { store: crate::store::STORE, id: 0, epoch: 1, edit_number: 1 };
        let file = Segment::create_file(&fs, &crate::store::path(0), 2048, layout, identity);
        let begun = file.and_then(|file| Segment::begin(&fs, file));
        let Ok(segment) = begun else { continue };
        writer.begin(segment);
        let mut promised = Vec::new();
        for sequence in 1..=4_u64 {
            let payload = [sequence as u8; 40];
            let frame = Frame { kind: 1, payload: [&payload, &[], &[]] };
            let written = writer.append(sequence, std::iter::once(frame));
            let synced = written.and_then(|span| sync.sync_to(span.end()));
            match synced {
                Ok(()) => {
                    sync.check().unwrap();
                    promised.push(sequence);
                }
                Err(error) if error.to_string().starts_with("allocate") => sync.check().unwrap(),
                Err(_) => assert!(sync.check().is_err(), "the log is poisoned"),
            }
        }
        let none = "strict/none".parse().unwrap();
        let found = recover(&disk.crash(disk.ops(), &none), 1).unwrap();
        let kept = promised.iter().all(|sequence| found.contains(sequence));
        assert!(kept, "fault at call {at}: {found:?} of {promised:?}");
    }
}
