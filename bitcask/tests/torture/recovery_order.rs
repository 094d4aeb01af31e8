//! Recovery discards the files behind a torn one before it seals the torn one.

use std::path::PathBuf;
use std::sync::Arc;

use bitcask::planted::{Action, Hook, Step};
use bitcask::{Bitcask, Options};
use durable::{Env, ManualClock, ManualExecutor, SeededEntropy, SimFs, Variant};
use kv::{Durability, Kv};

fn open_on(disk: &SimFs, mistake: Option<Hook>) -> kv::Result<Bitcask> {
    let clock = Arc::new(ManualClock::new());
    let env = Env {
        fs: Arc::new(disk.clone()),
        clock: Arc::clone(&clock) as _,
        executor: Arc::new(ManualExecutor::new(clock as _)),
        entropy: Arc::new(SeededEntropy::new(1)),
    };
    let options = Options::in_env(env).data_file_bytes(1024).merge(None);
    Bitcask::open("store", mistake.into_iter().fold(options, Options::hook))
}

/// A store of a process that died, whose first file has lost its last record and its end mark. The second file has records.
fn disk_with_a_torn_file() -> kv::Result<SimFs> {
    let disk = SimFs::new();
    let engine = open_on(&disk, None)?;
    for number in 0..8 {
        engine.put(&[number], &[number + 1; 200], Durability::Buffered)?;
    }
    drop(engine);
    let is_first = |path: &PathBuf| path.ends_with("000000.data");
    let first = disk.files().into_iter().find(is_first).expect("the store has files");
    let mut bytes = disk.contents(&first).expect("it is there");
    let end = bytes.iter().rposition(|&byte| byte != 0).expect("it has records");
    bytes[end - 200..].fill(0);
    disk.set_contents(&first, bytes);
    Ok(disk)
}

/// The greatest number of keys that an opening finds after the process has died at any call of a first opening.
fn most_keys_after_a_crash_in_recovery(mistake: Option<Hook>) -> kv::Result<u64> {
    let disk = disk_with_a_torn_file()?;
    let before = disk.ops();
    drop(open_on(&disk, mistake)?);
    let mut most = 0;
    for op in before..=disk.ops() {
        let engine = open_on(&disk.crash(op, &Variant::All), None)?;
        most = most.max(engine.statistics().keys);
    }
    Ok(most)
}

/// As soon as the torn file is sealed, nothing says that the log ends in it.
#[test]
fn sealing_the_torn_file_before_later_files_are_discarded_is_found() -> kv::Result<()> {
    let in_order = most_keys_after_a_crash_in_recovery(None)?;
    assert!((1..4).contains(&in_order), "the records in front of the torn one: {in_order}");
    let swapped = Hook::on(Step::DiscardTail, Action::Swap);
    let in_wrong_order = most_keys_after_a_crash_in_recovery(Some(swapped))?;
    assert!(in_wrong_order > in_order, "later records come back: {in_wrong_order}");
    Ok(())
}
