//! A store that is open for writing: edits, segments of its log, failures.

use std::path::Path;
use std::sync::Arc;

use durable::log::SegmentLayout;
use durable::manifest::Manifest;
use durable::steps::Steps;
use durable::store_dir::{OpenMode, StoreDir};
use durable::{
    Env, Fault, Fs as _, Inject, ManualClock, ManualExecutor, OpenStore, Plan, SeededEntropy,
    SimFs, copy_whole, orphan_segments,
};
use kv::{Error, Result};

use crate::basics::{STORE, add};
use crate::toy::Toy;

/// The name of segment 1.
const SEGMENT: &str = "000001.seg";

fn env(inject: &Inject) -> Env {
    let clock = Arc::new(ManualClock::new());
    Env {
        fs: Arc::new(inject.clone()),
        clock: Arc::clone(&clock) as _,
        executor: Arc::new(ManualExecutor::new(clock)),
        entropy: Arc::new(SeededEntropy::new(1)),
    }
}

fn disk() -> Inject {
    Inject::over_sim(SimFs::new(), Plan::none())
}

fn open(inject: &Inject, create: bool) -> Result<OpenStore<Toy>> {
    let (env, steps) = (env(inject), Steps::default());
    let dir = OpenStore::<Toy>::lock_dir(&env, Path::new(STORE), create, (&steps, ()))?;
    let manifest = Manifest::read(&dir)?.open()?;
    Ok(OpenStore::new(env, dir, manifest))
}

fn is_io_of(error: &Error, kind: std::io::ErrorKind) -> bool {
    error.io_kind() == Some(kind)
}

#[test]
fn a_store_is_created_only_on_request_and_opens_once_at_a_time() {
    let inject = disk();
    inject.create_dir(Path::new(STORE)).unwrap();
    let missing = open(&inject, false).unwrap_err();
    assert!(is_io_of(&missing, std::io::ErrorKind::NotFound), "{missing}");
    assert!(inject.list(Path::new(STORE)).unwrap().is_empty(), "not even a lock was left");
    let store = open(&inject, true).unwrap();
    assert!(matches!(open(&inject, true), Err(Error::Locked { .. })));
    store.edit_all(&[add(1), add(2)]).unwrap();
    store.close().unwrap();
    store.unlock();
    let store = open(&inject, false).unwrap();
    assert_eq!(store.state().files.len(), 2);
    assert_eq!((store.path(), store.stamp().open_epoch), (Path::new(STORE), 3));
}

#[test]
fn a_file_of_the_engine_without_a_manifest_is_damage_and_no_missing_store() {
    let inject = disk();
    inject.create_dir(Path::new(STORE)).unwrap();
    inject.create(&Path::new(STORE).join("000007.toy")).unwrap();
    let damaged = open(&inject, false).unwrap_err();
    assert!(matches!(&damaged, Error::Corruption { path, .. } if path.ends_with("000007.toy")));
}

/// Runs `act` on a new store while its call `at` fails. `None`: it makes fewer calls.
fn failing_at<T>(
    fault: Fault,
    at: usize,
    act: impl FnOnce(&OpenStore<Toy>) -> Result<T>,
) -> Option<(Inject, OpenStore<Toy>, Result<T>)> {
    let inject = disk();
    let store = open(&inject, true).unwrap();
    inject.arm(Plan::once(inject.calls() + at, fault));
    let acted = act(&store);
    let has_failed = inject.injected() > 0;
    inject.lift();
    has_failed.then_some((inject, store, acted))
}

#[test]
fn an_edit_without_space_passes_and_an_edit_that_the_disk_fails_poisons() {
    let (mut passed, mut poisoned) = (0, 0);
    for fault in [Fault::NoSpace, Fault::Eio] {
        for at in 0.. {
            let edit = |store: &OpenStore<Toy>| store.edit(&add(1));
            let Some((_, store, edited)) = failing_at(fault.clone(), at, edit) else { break };
            let Err(error) = edited else { continue };
            if store.check().is_ok() {
                assert!(error.is_out_of_resources(), "{fault} at {at}: {error}");
                assert!(store.state().files.is_empty(), "the edit is not durable");
                store.edit(&add(1)).unwrap();
                passed += 1;
            } else {
                assert!(store.edit(&add(2)).is_err());
                poisoned += 1;
            }
        }
    }
    assert!(passed > 0 && poisoned > 1, "{passed} passed, {poisoned} were poisoned");
}

#[test]
fn a_segment_that_finds_no_space_leaves_no_file_and_any_other_failure_poisons() {
    let (mut passed, mut poisoned) = (0, 0);
    for fault in [Fault::NoSpace, Fault::Eio] {
        for at in 0.. {
            let layout = SegmentLayout::Witnessed;
            let begin =
                |store: &OpenStore<Toy>| store.begin_segment(1, &store.file(SEGMENT), 4096, layout);
            let Some((inject, store, begun)) = failing_at(fault.clone(), at, begin) else { break };
            let Err(error) = begun else { continue };
            if store.check().is_ok() {
                let is_there = inject.open(&store.file(SEGMENT)).is_ok();
                assert!(!is_there, "{fault} at {at}: {error}");
                passed += 1;
            } else {
                poisoned += 1;
            }
        }
    }
    assert!(passed > 0 && poisoned > 1, "{passed} passed, {poisoned} were poisoned");
}

#[test]
fn a_segment_does_not_take_the_name_of_another_file() {
    let inject = disk();
    let store = open(&inject, true).unwrap();
    let path = store.file(SEGMENT);
    inject.create(&path).unwrap().write_at(0, b"foreign").unwrap();
    let begun = store.begin_segment(1, &path, 4096, SegmentLayout::Plain).unwrap();
    assert!(begun.is_none());
    assert_eq!(copy_whole(&*inject.open(&path).unwrap()).unwrap(), b"foreign");
}

#[test]
fn a_new_file_is_removed_after_a_failed_edit_unless_the_edit_may_be_durable() {
    let inject = disk();
    let store = open(&inject, true).unwrap();
    let path = store.file(SEGMENT);
    store.begin_segment(1, &path, 4096, SegmentLayout::Plain).unwrap().unwrap();
    store.remove_unnamed(&path);
    assert!(inject.open(&path).is_err());
    store.begin_segment(2, &path, 4096, SegmentLayout::Plain).unwrap().unwrap();
    store.poison(Error::io("sync", &path, std::io::ErrorKind::Other.into()));
    store.remove_unnamed(&path);
    assert!(inject.open(&path).is_ok(), "the edit that names it may be durable");
}

#[test]
fn a_segment_of_this_store_is_an_orphan_and_another_file_is_foreign() {
    let inject = disk();
    let store = open(&inject, true).unwrap();
    let (path, id) = (store.file(SEGMENT), store.id());
    store.begin_segment(1, &path, 4096, SegmentLayout::Witnessed).unwrap().unwrap();
    let dir = StoreDir::open(Arc::new(inject.clone()), Path::new(STORE), OpenMode::Read).unwrap();
    assert!(orphan_segments::is_own(&dir, id, 1, &path).unwrap());
    assert!(!orphan_segments::is_own(&dir, id, 2, &path).unwrap(), "it has another number");
    assert!(!orphan_segments::is_own(&dir, id, 3, &store.file("000003.seg")).unwrap());
    // It is empty and as old as the manifest, so it proves nothing.
    let loaded = Manifest::<Toy>::read(&dir).unwrap();
    orphan_segments::check_unnamed(&dir, &loaded, &path, 1).unwrap();
    store.edit(&add(1)).unwrap();
    let later = store.file("000002.seg");
    store.begin_segment(2, &later, 4096, SegmentLayout::Witnessed).unwrap().unwrap();
    let lost = orphan_segments::check_unnamed(&dir, &loaded, &later, 2).unwrap_err();
    assert!(matches!(lost, Error::Corruption { .. }), "an edit came before it: {lost}");
}

#[test]
fn a_dropped_store_tells_its_jobs() {
    let store = open(&disk(), true).unwrap();
    assert!(!store.is_abandoned());
    store.abandon();
    assert!(store.is_abandoned());
}
