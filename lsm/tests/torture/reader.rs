//! Mistakes of readers: no script has one.

use std::sync::Arc;

use durable::{Env, ManualClock, ManualExecutor, SeededEntropy, SimFs};
use kv::{Durability, KeyRange, Kv};
use lsm::planted::{Action, Hook, Step};
use lsm::{Lsm, Options, Reader};

fn options(disk: &SimFs) -> (Options, Arc<ManualExecutor>) {
    let clock = Arc::new(ManualClock::new());
    let executor = Arc::new(ManualExecutor::new(Arc::clone(&clock) as _));
    let env = Env {
        fs: Arc::new(disk.clone()),
        clock,
        executor: Arc::clone(&executor) as _,
        entropy: Arc::new(SeededEntropy::new(disk.ops() as u64)),
    };
    (Options::in_env(env).compaction_threads(0), executor)
}

fn read(disk: &SimFs, mistake: Option<&Hook>) -> kv::Result<Reader> {
    let options = options(disk).0;
    Lsm::open_read_only("store", mistake.cloned().into_iter().fold(options, Options::hook))
}

/// A reader opens a store of two runs, and a compaction unlinks them. Returns what the reader finds then.
fn found_after_a_compaction(mistake: Option<&Hook>) -> kv::Result<bool> {
    let disk = SimFs::new();
    let (options, executor) = options(&disk);
    let engine = Lsm::open("store", options)?;
    for value in 0..2_u8 {
        engine.put(b"key", &[value], Durability::Buffered)?;
        engine.flush()?;
    }
    let reader = read(&disk, mistake)?;
    engine.compact_range(&KeyRange::all())?;
    executor.run_all();
    Ok(reader.get(b"key")?.is_some())
}

#[test]
fn tables_that_are_not_opened_at_once_are_found_missing() {
    assert!(found_after_a_compaction(None).is_ok_and(|found| found));
    let skipped = Hook::on(Step::OpenTables, Action::Skip);
    assert!(found_after_a_compaction(Some(&skipped)).is_err());
}

/// Puts `value` into a table of a store of its own, at the same number of the same file each time.
fn put_into_table(disk: &SimFs, value: u8) -> kv::Result<()> {
    let engine = Lsm::open("store", options(disk).0)?;
    engine.put(b"key", &[value], Durability::Buffered)?;
    engine.flush()
}

/// A power cut takes a table that a reader has open, and the next opening gives its number to another one. Returns what the
/// reader shows after a refresh.
fn shown_after_a_power_cut(mistake: Option<&Hook>) -> kv::Result<Option<u8>> {
    let disk = SimFs::new();
    drop(Lsm::open("store", options(&disk).0)?);
    let before = disk.all_contents();
    put_into_table(&disk, 1)?;
    let reader = read(&disk, mistake)?;
    assert_eq!(reader.get(b"key")?.as_deref(), Some(&[1][..]));
    disk.set_all_contents(&before);
    // Another opening in between, so that the epoch tells.
    drop(Lsm::open("store", options(&disk).0)?);
    put_into_table(&disk, 2)?;
    reader.refresh()?;
    Ok(reader.get(b"key")?.map(|value| value[0]))
}

#[test]
fn tables_that_are_kept_over_another_opening_show_what_a_power_cut_took() -> kv::Result<()> {
    assert_eq!(shown_after_a_power_cut(None)?, Some(2));
    let kept = Hook::on(Step::KeepTables, Action::Skip);
    assert_eq!(shown_after_a_power_cut(Some(&kept))?, Some(1));
    Ok(())
}
