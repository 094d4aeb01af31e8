//! Checkpoints, against flushes, compactions and a close.

use std::sync::Arc;

use durable::{ManualExecutor, SimFs};
use kv::{Durability, Error, KeyRange, Kv};
use lsm::Lsm;

use crate::world::{check, check_view, clock, open_compacting, options, put_both};

const COPY: &str = "copy";

/// Opens the checkpoint, which has the state after batch `newest`.
fn check_copy(disk: &SimFs, newest: u64) {
    let opening = options(disk, Arc::new(ManualExecutor::new(clock()))).create(false);
    let copy = Lsm::open(COPY, opening).unwrap();
    assert_eq!(copy.newest_sequence().0, newest);
    check_view(&copy);
    copy.verify().unwrap();
}

fn taken_beside_everything(closes: bool) {
    let disk = SimFs::new();
    let engine = open_compacting(&disk);
    assert!(put_both(&engine, 1, Durability::Buffered));
    let spawn = |act: fn(&Lsm)| {
        let engine = Arc::clone(&engine);
        shuttle::thread::spawn(move || act(&engine))
    };
    let writer: fn(&Lsm) = |engine| {
        (2..=5).all(|round| put_both(engine, round, Durability::Buffered));
    };
    let compacter: fn(&Lsm) = |engine| match engine.compact_range(&KeyRange::all()) {
        Ok(()) | Err(Error::Closed) => {}
        Err(error) => panic!("{error}"),
    };
    let closer: fn(&Lsm) = |engine| engine.close().unwrap();
    let threads = [writer, compacter].into_iter().chain(closes.then_some(closer));
    let threads: Vec<_> = threads.map(spawn).collect();
    let least = engine.newest_sequence();
    match engine.checkpoint(COPY) {
        Ok(newest) => {
            assert!(newest >= least);
            check_copy(&disk, newest.0);
        }
        Err(Error::Closed) if closes => {}
        Err(error) => panic!("{error}"),
    }
    for thread in threads {
        thread.join().unwrap();
    }
    check_view(&engine);
}

#[test]
fn a_checkpoint_beside_flushes_and_compactions_is_the_state_after_one_batch() {
    check(|| taken_beside_everything(false), 200);
}

#[test]
fn a_checkpoint_beside_a_close_is_whole_or_refused() {
    check(|| taken_beside_everything(true), 200);
}
