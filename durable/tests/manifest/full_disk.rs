//! A disk without space for an edit: the edit is certainly not durable, and the same handle takes the next one.

use std::path::Path;
use std::sync::{Arc, Mutex};

use durable::manifest::Manifest;
use durable::{Fault, Fs as _, OpKind, Plan, SimFs};
use kv::Error;

use crate::basics::{STORE, add};
use crate::law::{Run, Step};
use crate::toy::{Edit, SHINY, Toy};

/// An opening, edits behind a snapshot, edits that begin new generations, a clean close.
fn steps() -> Vec<Step> {
    let edits = [add(1), Edit::Note("n".repeat(4000)), Edit::Note("m".repeat(200)), add(2)];
    let features = [Edit::Require(SHINY), add(3)];
    let appends = edits.into_iter().chain(features).map(Step::Append);
    [Step::Open, Step::Open].into_iter().chain(appends).chain([Step::Close]).collect()
}

/// A call that failed for want of space, and how.
#[derive(Clone, Debug)]
struct Failed {
    kind: OpKind,
    path: String,
}

/// Runs the steps with no space at call `at`, which leaves half of a record behind if `partial`.
fn run(at: usize, fault: Fault, partial: bool) -> (Run, Option<Failed>) {
    let disk = SimFs::new();
    let mut run = Run::on(&disk, Plan::once(at, fault), &[]);
    let failed = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&failed);
    run.inject.on_call(Arc::new(move |call| {
        if call.index == at {
            let path = call.path.display().to_string();
            *seen.lock().unwrap() = Some(Failed { kind: call.kind, path });
            if partial && call.kind == OpKind::Write {
                let file = disk.open_writable(call.path).unwrap();
                file.write_at(file.len().unwrap(), &[0xa5; 3000]).unwrap();
            }
        }
    }));
    run.go_on(&steps());
    let failed = failed.lock().unwrap().clone();
    (run, failed)
}

/// Whether a failure of this call may leave it open which edits are durable.
fn is_in_doubt(failed: &Failed) -> bool {
    matches!(failed.kind, OpKind::SyncFile | OpKind::SyncDir)
}

#[test]
fn a_full_disk_at_any_call_leaves_no_trace_and_a_handle_that_goes_on() {
    let (mut went_on, mut poisoned) = (0, 0);
    for partial in [false, true] {
        for fault in [Fault::NoSpace, Fault::Quota] {
            for at in 0.. {
                let (mut run, failed) = run(at, fault.clone(), partial);
                let Some(failed) = failed else { break };
                let Failed { kind, path } = &failed;
                let told = format!("{fault} at {at}, {kind} {path}, partial {partial}");
                let (Some(error), Some(manifest)) = (run.failure.take(), &run.manifest) else {
                    continue;
                };
                assert!(error.is_out_of_resources(), "{told}: {error}");
                if let Err(error) = manifest.check() {
                    assert!(is_in_doubt(&failed), "{told}: {error}");
                    poisoned += 1;
                    continue;
                }
                if run.states.len() as u64 == manifest.stamp().edit_number + 2 {
                    run.states.pop();
                }
                assert_eq!(*manifest.state(), *run.states.last().unwrap(), "{told}");
                run.go_on(&[add(50), add(51)].map(Step::Append));
                run.go_on(&[Step::Close, Step::Open, Step::Append(add(52))]);
                assert!(run.failure.is_none(), "{told}: {:?}", run.failure);
                assert_eq!(run.first_breach(2), None, "{told}");
                went_on += 1;
            }
        }
    }
    assert!(went_on > 40 && poisoned > 10, "{went_on} went on, {poisoned} were poisoned");
}

#[test]
fn a_disk_that_stays_full_for_a_while_takes_edits_afterwards() {
    let mut run = Run::of(&[Step::Open, Step::Append(add(1))]);
    let manifest = run.manifest.as_ref().unwrap();
    run.disk.set_free_space(Some(0));
    for _ in 0..3 {
        for edit in [add(2), Edit::Note("x".repeat(9000))] {
            let error = manifest.append(&edit).unwrap_err();
            assert!(error.is_out_of_resources(), "{error}");
        }
        assert!(manifest.close().unwrap_err().is_out_of_resources());
    }
    run.disk.set_free_space(None);
    run.go_on(&[Step::Append(add(3)), Step::Close, Step::Open]);
    assert!(run.failure.is_none(), "{:?}", run.failure);
    assert_eq!(run.first_breach(4), None);
}

#[test]
fn a_sync_without_space_poisons() {
    let append = [Step::Open, Step::Append(add(1))];
    let calls = Run::of(&append).inject.calls();
    let run = Run::on(&SimFs::new(), Plan::once(calls - 1, Fault::NoSpace), &append);
    let manifest: Manifest<Toy> = run.manifest.unwrap();
    assert!(run.failure.is_some_and(|error| error.is_out_of_resources()));
    assert!(matches!(manifest.check(), Err(Error::Poisoned { .. })));
    assert!(matches!(manifest.append(&add(2)), Err(Error::Poisoned { .. })));
}

/// A generation that cannot be synced leaves the disk in doubt. A `CURRENT.tmp` that cannot be synced is not renamed.
#[test]
fn a_sync_without_space_poisons_for_a_generation_and_not_for_the_next_current() {
    let (mut poisoned, mut went_on) = (0, 0);
    for at in 0.. {
        let (run, failed) = run(at, Fault::NoSpace, false);
        let Some(failed) = failed else { break };
        let (Some(manifest), true) = (&run.manifest, failed.kind == OpKind::SyncFile) else {
            continue;
        };
        assert!(run.failure.is_some(), "{failed:?}");
        let is_current = failed.path.ends_with("CURRENT.tmp");
        assert_eq!(manifest.check().is_ok(), is_current, "{failed:?}");
        *(if is_current { &mut went_on } else { &mut poisoned }) += 1;
    }
    assert!(poisoned > 0 && went_on > 0, "{poisoned} poisoned, {went_on} went on");
}

/// The whole record lands on the disk, and the write reports that there is no space.
#[test]
fn a_record_that_was_written_and_reported_as_failed_never_comes_back() {
    let path = Path::new(STORE).join("MANIFEST-000001");
    let begun = [Step::Open, Step::Append(add(1))];
    let calls = Run::of(&begun).inject.calls();
    let disk = SimFs::new();
    let mut run = Run::on(&disk, Plan::once(calls, Fault::NoSpace), &begun);
    let before = disk.contents(&path).unwrap();
    let with_record = Run::of(&[begun[0].clone(), begun[1].clone(), Step::Append(add(2))]);
    let with_record = with_record.disk.contents(&path).unwrap();
    assert!(with_record.len() > before.len() && with_record.starts_with(&before));
    let (on_disk, record) = (disk.clone(), with_record[before.len()..].to_vec());
    let end = before.len() as u64;
    let write = path.clone();
    run.inject.on_call(Arc::new(move |call| {
        if call.index == calls {
            assert_eq!(call.kind, OpKind::Write);
            on_disk.open_writable(&write).unwrap().write_at(end, &record).unwrap();
        }
    }));
    run.go_on(&[Step::Append(add(2))]);
    assert!(run.failure.take().is_some_and(|error| error.is_out_of_resources()));
    run.manifest.as_ref().unwrap().check().unwrap();
    // The engine goes on without the edit, so no crash may bring it back.
    let point = disk.ops();
    let mut sweep = disk.sweep();
    while let Some(at) = sweep.next_point() {
        if at < point {
            continue;
        }
        for variant in sweep.all_variants(8) {
            let image = sweep.image(&variant);
            assert_eq!(image.contents(&path).unwrap(), before, "{variant}");
        }
    }
}

#[test]
fn a_generation_that_the_disk_has_no_space_for_leaves_no_file() {
    let begun = [Step::Open, Step::Append(add(1))];
    let calls = Run::of(&begun).inject.calls();
    let mut failures = 0;
    for at in calls.. {
        let disk = SimFs::new();
        let mut run = Run::on(&disk, Plan::once(at, Fault::NoSpace), &begun);
        run.go_on(&[Step::Append(Edit::Note("n".repeat(9000)))]);
        let manifest = run.manifest.as_ref().unwrap();
        if run.failure.is_some() && manifest.check().is_ok() {
            let names: Vec<_> = disk.files();
            let left = |name: &str| names.contains(&Path::new(STORE).join(name));
            assert!(left("MANIFEST-000001") && left("CURRENT"), "{names:?}");
            assert!(!left("MANIFEST-000002") && !left("CURRENT.tmp"), "call {at}: {names:?}");
            failures += 1;
        }
        if run.inject.injected() == 0 {
            break;
        }
    }
    assert!(failures >= 3, "create, write and rename: {failures}");
}

/// On a full disk its space is needed by the next attempt.
#[test]
fn an_opening_that_finds_no_space_leaves_no_part_of_a_generation() {
    let begun = [Step::Open, Step::Append(add(1))];
    let calls = Run::of(&begun).inject.calls();
    let mut writes = 0;
    for at in calls.. {
        let disk = SimFs::new();
        let mut run = Run::on(&disk, Plan::once(at, Fault::Fills), &begun);
        run.go_on(&[Step::Open]);
        if run.inject.calls() <= at {
            break;
        }
        // Other calls than writes cannot fail so.
        if run.inject.injected() == 0 {
            continue;
        }
        assert!(run.failure.is_some(), "call {at} failed");
        let generation = Path::new(STORE).join("MANIFEST-000002");
        assert_eq!(disk.contents(&generation), None, "call {at}");
        writes += 1;
    }
    assert_eq!(writes, 2, "the generation and CURRENT are written");
}
