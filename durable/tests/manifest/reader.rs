//! A reader beside a writer that does not wait for it.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use durable::manifest::Manifest;
use durable::store_dir::{OpenMode, StoreDir};
use durable::{Fs, Inject, OpKind, Plan, SimFs};

use crate::basics::{STORE, add, create, reopen};
use crate::law::{Run, steps};
use crate::toy::Toy;

fn reader(fs: Arc<dyn Fs>) -> StoreDir {
    StoreDir::open(fs, Path::new(STORE), OpenMode::Read).unwrap()
}

/// A reader's file system, on which a writer starts a new generation each time the reader opens one, `moves` times.
fn restless(disk: &SimFs, moves: usize) -> Inject {
    let inject = Inject::over_sim(disk.clone(), Plan::none());
    let (writer, left) = (disk.clone(), AtomicUsize::new(moves));
    inject.on_call(Arc::new(move |call| {
        let is_generation = call.kind == OpKind::Open && !call.path.ends_with("CURRENT");
        if is_generation && left.load(Ordering::SeqCst) > 0 {
            left.fetch_sub(1, Ordering::SeqCst);
            let manifest = reopen(&writer).unwrap();
            manifest.append(&add(manifest.open_epoch())).unwrap();
        }
    }));
    inject
}

#[test]
fn a_reader_starts_over_when_current_moves() {
    for moves in [1, 2, 15] {
        let disk = SimFs::new();
        drop(create(&disk));
        let found = Manifest::<Toy>::read(&reader(Arc::new(restless(&disk, moves)))).unwrap();
        assert_eq!(found.state().files.len(), moves);
    }
}

#[test]
fn a_reader_that_always_loses_gives_up() {
    let disk = SimFs::new();
    drop(create(&disk));
    let restless = restless(&disk, usize::MAX);
    assert!(Manifest::<Toy>::read(&reader(Arc::new(restless.clone()))).is_err());
    assert!(restless.calls() < 200, "{}", restless.calls());
}

#[test]
fn a_reader_at_any_moment_sees_a_state_that_was() {
    let disk = SimFs::new();
    let mut run = Run::on(&disk, Plan::none(), &[]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    run.inject.on_call(Arc::new(move |_| {
        let reader = reader(Arc::new(disk.clone()));
        if Manifest::<Toy>::exists(&reader).is_ok_and(|exists| exists) {
            let found = Manifest::<Toy>::read(&reader).unwrap();
            log.lock().unwrap().push((found.stamp(), found.into_state()));
        }
    }));
    run.go_on(&steps());
    assert!(run.failure.is_none());
    let seen = seen.lock().unwrap();
    assert!(seen.len() > 100, "{}", seen.len());
    assert!(seen.is_sorted_by_key(|(stamp, _)| (stamp.open_epoch, stamp.edit_number)));
    for (stamp, state) in &*seen {
        assert_eq!(*state, run.states[stamp.edit_number as usize]);
    }
}
