//! File systems on which space that a log owns can still fail: the batch is refused, and the log goes on.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use durable::log::{Frame, GroupSync, Segment, SegmentLayout, Writer};
use durable::{Fault, Fs, Inject, Plan, SimFs};
use kv::{Error, Result};

use crate::store::{identity, path, recover};

/// The calls that come before the first append to a log: a file is created, and its space reserved.
const CALLS_BEFORE_HEADER: usize = 2;

const LAYOUTS: [SegmentLayout; 2] = [SegmentLayout::Plain, SegmentLayout::Witnessed];

const FULL: [Fault; 3] = [Fault::NoSpace, Fault::Fills, Fault::Quota];

fn disk() -> SimFs {
    let disk = SimFs::new();
    disk.create_dir(Path::new("log")).unwrap();
    disk
}

fn is_full(error: &Error) -> bool {
    matches!(error.io_kind(), Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
}

fn begin(fs: &dyn Fs, id: u64, layout: SegmentLayout) -> Result<Segment> {
    let file = Segment::create_file(fs, &path(id), 4096, layout, identity(id))?;
    Segment::begin(fs, file)
}

#[test]
fn a_segment_whose_header_finds_no_space_does_no_harm_and_is_created_once_there_is_some() {
    for layout in LAYOUTS {
        for fault in FULL {
            let plan = Plan::once(CALLS_BEFORE_HEADER, fault);
            let fs = Inject::over_sim(disk(), plan.clone());
            let create = || Segment::create_file(&fs, &path(0), 4096, layout, identity(0));
            let refused = create().unwrap_err();
            assert!(
                is_full(&refused) && refused.to_string().contains("log/0"),
                "{plan}: {refused}"
            );
            assert_eq!(fs.injected(), 1, "{plan}");
            fs.remove(&path(0)).unwrap();
            Segment::begin(&fs, create().unwrap()).unwrap();
        }
    }
}

/// Nobody may take the failure of a disk for a file that was just not created.
#[test]
fn a_disk_that_fails_to_write_the_header_is_reported_when_the_segment_begins() {
    for layout in LAYOUTS {
        for sticky in [false, true] {
            let plan = Plan { at: CALLS_BEFORE_HEADER, fault: Fault::Eio, sticky };
            let fs = Inject::over_sim(disk(), plan);
            let file = Segment::create_file(&fs, &path(0), 4096, layout, identity(0)).unwrap();
            let failed = Segment::begin(&fs, file).unwrap_err();
            assert!(!failed.is_out_of_resources(), "{failed}");
            assert!(failed.to_string().contains("append log/0"), "{failed}");
        }
    }
}

/// A log with one segment, whose appends from call `at` on meet `fault` once.
struct Run {
    disk: SimFs,
    fs: Inject,
    sync: Arc<GroupSync>,
    writer: Writer,
}

impl Run {
    fn begin(layout: SegmentLayout) -> Self {
        let disk = disk();
        let fs = Inject::over_sim(disk.clone(), Plan::none());
        let sync = Arc::new(GroupSync::new());
        let mut writer = Writer::new(Arc::clone(&sync));
        writer.begin(begin(&fs, 0, layout).unwrap());
        Self { disk, fs, sync, writer }
    }

    /// Appends batch `sequence`, of frames of 64 bytes.
    fn append(&mut self, sequence: u64, frames: usize) -> Result<()> {
        self.append_filled(sequence, frames, sequence as u8)
    }

    fn append_filled(&mut self, sequence: u64, frames: usize, filler: u8) -> Result<()> {
        let payload = [filler; 40];
        let frame = || Frame { kind: 1, payload: [&payload, &[], &[]] };
        self.writer.append(sequence, (0..frames).map(|_| frame())).map(drop)
    }

    /// The append of a batch of five frames that meets `fault`: its space is reserved, and then it is written. A fault in the
    /// middle leaves whole frames behind the place of the first one. A frame of it has another payload than the batch that
    /// takes its number.
    fn refused_append(&mut self, sequence: u64, fault: Fault, sticky: bool) -> Error {
        self.fs.arm(Plan { at: self.fs.calls() + 1, fault, sticky });
        self.append_filled(sequence, 5, 0xee).unwrap_err()
    }
}

#[test]
fn a_batch_that_finds_no_space_is_refused_and_the_next_one_takes_its_place() {
    for layout in LAYOUTS {
        for fault in FULL {
            let mut run = Run::begin(layout);
            run.append(1, 2).unwrap();
            let end = run.writer.position();
            let refused = run.refused_append(2, fault.clone(), false);
            assert!(is_full(&refused) && refused.to_string().contains("log/0"), "{refused}");
            run.sync.check().expect("a full disk poisons nothing");
            assert_eq!(run.writer.position(), end, "nothing of it is left");
            let bytes = run.disk.contents(&path(0)).unwrap();
            assert_eq!(bytes.len() as u64, end.offset, "its space is given back");
            run.append(2, 1).unwrap();
            run.append(3, 3).unwrap();
            run.sync.sync_to(run.writer.position()).unwrap();
            assert_eq!(recover(&run.disk, 1).unwrap(), [1, 2, 3], "{layout:?}, {fault:?}");
        }
    }
}

/// The frames of the refused batch would lie right behind those of the shorter one that takes its place.
#[test]
fn no_crash_brings_a_batch_back_that_found_no_space() {
    for layout in LAYOUTS {
        let mut run = Run::begin(layout);
        let begun = run.disk.ops();
        run.append(1, 1).unwrap();
        run.sync.sync_to(run.writer.position()).unwrap();
        let synced = run.disk.ops();
        run.refused_append(2, Fault::Fills, false);
        run.append(2, 1).unwrap();
        run.append(3, 1).unwrap();
        let mut sweep = run.disk.sweep();
        let mut states = 0;
        while let Some(point) = sweep.next_point() {
            if point < begun {
                continue;
            }
            for variant in sweep.all_variants(8) {
                let found = recover(&sweep.image(&variant), 1)
                    .unwrap_or_else(|error| panic!("point {point}, {variant}: {error}"));
                let prefix: Vec<u64> = (1..=found.len() as u64).collect();
                assert_eq!(found, prefix, "point {point}, {variant}");
                assert!(point < synced || !found.is_empty(), "point {point}, {variant}");
                states += 1;
            }
        }
        assert!(states > 50, "{layout:?}: {states}");
    }
}

/// The log cannot know whether the bytes of the batch are gone for good.
#[test]
fn a_batch_that_cannot_be_taken_back_poisons_the_log() {
    let mut run = Run::begin(SegmentLayout::Witnessed);
    run.append(1, 1).unwrap();
    // The sync after the cut finds no space, either.
    let refused = run.refused_append(2, Fault::NoSpace, true);
    assert!(is_full(&refused), "{refused}");
    assert!(matches!(run.sync.check(), Err(Error::Poisoned { .. })));
    run.fs.lift();
    assert!(matches!(run.append(2, 1), Err(Error::Poisoned { .. })));
}

#[test]
fn a_batch_that_fails_for_another_reason_poisons_the_log() {
    for fault in [Fault::Eio, Fault::Short, Fault::Late] {
        let mut run = Run::begin(SegmentLayout::Plain);
        let failed = run.refused_append(1, fault, false);
        assert!(!is_full(&failed), "{failed}");
        assert!(matches!(run.sync.check(), Err(Error::Poisoned { .. })));
    }
}

/// A claim of the witness is made by a round of syncs. Taking a batch back syncs, and is none.
#[test]
fn after_a_batch_was_taken_back_the_next_round_still_leaves_its_claim() {
    let mut run = Run::begin(SegmentLayout::Witnessed);
    run.append(1, 1).unwrap();
    run.refused_append(2, Fault::Fills, false);
    run.sync.sync_to(run.writer.position()).unwrap();
    let mut bytes = run.disk.contents(&path(0)).unwrap();
    bytes[2048..].fill(0);
    run.disk.set_contents(&path(0), bytes);
    assert!(recover(&run.disk, 1).unwrap_err().is_corruption(), "batch 1 was synced");
}
