//! Mistakes of recovery with a story each. Some break no promise of the contract. Others need two crashes, or a replaced log,
//! at chosen places. The suites find a tombstone that is not replayed by an assertion, and here by a wrong answer.

use std::path::PathBuf;
use std::sync::Arc;

use durable::{Env, ManualClock, ManualExecutor, SeededEntropy, SimFs, Variant};
use kv::{Durability, Kv, WriteBatch};
use lsm::planted::{Action, Hook, Step};
use lsm::{Lsm, Options};

/// Opens the store with segments of 1 KiB.
fn open(disk: &SimFs, mistake: Option<Hook>) -> kv::Result<Lsm> {
    let clock = Arc::new(ManualClock::new());
    let env = Env {
        fs: Arc::new(disk.clone()),
        clock: Arc::clone(&clock) as _,
        executor: Arc::new(ManualExecutor::new(clock as _)),
        entropy: Arc::new(SeededEntropy::new(1)),
    };
    let options = Options::in_env(env).log_segment_bytes(1024);
    Lsm::open("store", mistake.into_iter().fold(options, Options::hook))
}

/// The logs on the disk, the oldest first.
fn logs(disk: &SimFs) -> Vec<PathBuf> {
    let is_log = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "log");
    disk.files().into_iter().filter(is_log).collect()
}

/// A store of a process that died. It put values of these lengths, each at a key of its own.
fn killed_after(lens: &[usize]) -> kv::Result<SimFs> {
    let disk = SimFs::new();
    let engine = open(&disk, None)?;
    for (number, len) in lens.iter().enumerate() {
        engine.put(&[number as u8], &vec![1; *len], Durability::Buffered)?;
    }
    engine.sync()?;
    drop(engine);
    Ok(disk)
}

/// How many logs are left by the opening of a store with several.
fn logs_after_an_opening(mistake: Option<Hook>) -> kv::Result<usize> {
    let disk = killed_after(&[200; 12])?;
    assert!(logs(&disk).len() > 2);
    drop(open(&disk, mistake)?);
    Ok(logs(&disk).len())
}

/// They break no promise: the next opening removes them as orphans. They cost disk space until then.
#[test]
fn replayed_logs_that_are_not_unlinked_are_found() -> kv::Result<()> {
    assert_eq!(logs_after_an_opening(None)?, 0);
    assert!(logs_after_an_opening(Some(Hook::on(Step::UnlinkReplayed, Action::Skip)))? > 2);
    Ok(())
}

/// A store whose first log is that of a twin, which began its second log two batches earlier. Each log is whole.
fn disk_with_the_log_of_a_twin() -> kv::Result<SimFs> {
    let disk = killed_after(&[150; 8])?;
    let twin = killed_after(&[150, 150, 150, 900])?;
    let first = logs(&disk).remove(0);
    assert_eq!(logs(&twin)[0], first);
    disk.set_contents(&first, twin.contents(&first).expect("the twin has it"));
    Ok(disk)
}

/// Every sum and every claim in the logs is right. Only the numbers of the batches tell.
#[test]
fn batches_that_are_missing_between_two_logs_are_found() -> kv::Result<()> {
    let refused = open(&disk_with_the_log_of_a_twin()?, None).map(drop).unwrap_err();
    assert!(refused.is_corruption(), "{refused}");
    assert!(refused.to_string().contains("others are missing"), "{refused}");
    let skipped = Hook::on(Step::CheckFollows, Action::Skip);
    let engine = open(&disk_with_the_log_of_a_twin()?, Some(skipped))?;
    assert!(engine.get(&[7])?.is_some(), "a later batch is there");
    assert_eq!(engine.get(&[3])?, None, "an earlier one is not, and nobody is told");
    Ok(())
}

/// A batch that deletes one key and puts another one survives a kill. Returns the values of both.
fn after_a_replayed_delete(mistake: Option<Hook>) -> kv::Result<[bool; 2]> {
    let disk = SimFs::new();
    let engine = open(&disk, None)?;
    engine.put(b"deleted", b"old", Durability::Buffered)?;
    engine.flush()?;
    let mut batch = WriteBatch::new();
    batch.delete(b"deleted");
    batch.put(b"put", b"new");
    engine.write(&batch, Durability::Buffered)?;
    drop(engine);
    let engine = open(&disk, mistake)?;
    Ok([engine.get(b"deleted")?.is_some(), engine.get(b"put")?.is_some()])
}

#[test]
fn tombstones_that_are_not_replayed_bring_deleted_keys_back() -> kv::Result<()> {
    assert_eq!(after_a_replayed_delete(None)?, [false, true]);
    let skipped = Hook::on(Step::ReplayTombstone, Action::Skip);
    assert_eq!(after_a_replayed_delete(Some(skipped))?, [true, true]);
    Ok(())
}

/// The process dies at each call of a flush, and the power is cut at each call of the next opening, when the disk has all
/// names and no byte that was not synced. Returns how many of these stores do not open, or have lost a key.
fn damaged_by_two_crashes(mistake: Option<&Hook>) -> kv::Result<usize> {
    let (disk, keys) = (SimFs::new(), 12);
    let engine = open(&disk, None)?;
    for key in 0..keys {
        engine.put(&[key], &[1; 200], Durability::Buffered)?;
    }
    engine.sync()?;
    let before = disk.ops();
    engine.flush()?;
    let is_whole = |disk: &SimFs| -> kv::Result<bool> {
        let engine = open(disk, None)?;
        (0..keys).try_fold(true, |whole, key| Ok(whole && engine.get(&[key])?.is_some()))
    };
    let (mut damaged, mut sweep) = (0, disk.sweep());
    while let Some(point) = sweep.next_point() {
        if point < before {
            continue;
        }
        let restarted = sweep.restarted();
        drop(open(&restarted, mistake.cloned())?);
        let mut second = restarted.sweep();
        while second.next_point().is_some() {
            let image = second.image(&Variant::NamesOnly);
            damaged += usize::from(!is_whole(&image).unwrap_or(false));
        }
    }
    Ok(damaged)
}

/// The edit that made the logs orphans was written and not synced. The manifest that comes back names them.
#[test]
fn orphans_that_are_removed_before_their_edit_is_durable_are_found() -> kv::Result<()> {
    assert_eq!(damaged_by_two_crashes(None)?, 0);
    assert!(damaged_by_two_crashes(Some(&Hook::on(Step::RemoveOrphans, Action::Swap)))? > 0);
    Ok(())
}
