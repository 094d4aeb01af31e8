//! Merging comes to rest, and leaves alone the inputs that are not as the manifest says.

use std::time::Duration;

use bitcask::{Bitcask, MergeOptions, ReadMode};
use kv::{Durability, Kv, UnixMillis, WriteBatch};

use crate::world::{FIRST_RECORD, STORE, World, entries, fill, key};

fn expiring(engine: &dyn Kv, number: u32, expires_at: u64) {
    let mut batch = WriteBatch::new();
    batch.put_expiring(&key(number), &[2; 100], UnixMillis(expires_at));
    engine.write(&batch, Durability::Buffered).unwrap();
}

/// An expired put hides older puts of its key. A damaged file stays and still holds such puts.
#[test]
fn an_expired_file_is_not_dropped_while_a_damaged_one_holds_older_puts() {
    let world = World::new();
    let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
    // Data file 0: puts that never expire.
    fill(&engine, 0..13, 1);
    engine.merge().unwrap();
    // Another: puts of the same keys that expire. Each hides the put before for good.
    (0..13).for_each(|number| expiring(&engine, number, 10_000));
    fill(&engine, 100..140, 3);
    engine.close().unwrap();
    drop(engine);
    // The record of key 12 in the first file rots. That of key 0 is whole.
    let victim = world.data_path(0);
    let mut bytes = world.disk.contents(&victim).unwrap();
    bytes[FIRST_RECORD + 12 * 136 + 60] ^= 1;
    world.disk.set_contents(&victim, bytes);

    // The merge of the first file fails, and the file is left alone.
    let engine =
        Bitcask::open(STORE, world.options().merge(Some(MergeOptions::default()))).unwrap();
    world.executor.run_all();
    assert!(engine.statistics().merges_failed > 0, "{:?}", engine.statistics());
    assert_eq!(engine.get(&key(0)).unwrap().as_deref(), Some(&[2; 100][..]));

    world.clock.advance(Duration::from_secs(100));
    assert_eq!(engine.get(&key(0)).unwrap(), None, "it has expired");
    // Full files look for something to merge.
    fill(&engine, 200..240, 4);
    world.executor.run_all();
    assert_eq!(engine.get(&key(0)).unwrap(), None);
    engine.close().unwrap();
    drop(engine);
    let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
    assert_eq!(
        engine.get(&key(0)).unwrap().map(|v| v[0]),
        None,
        "an expired put hides older ones for good"
    );
}

/// A store that is read by position, whose first file has some dead records and the bytes that `damaged` makes of its own.
/// Its merge must fail.
fn assert_merge_refuses_first_file(damaged: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    let world = World::new();
    let engine =
        Bitcask::open(STORE, world.options().merge(None).read(ReadMode::Positional)).unwrap();
    fill(&engine, 0..40, 1);
    fill(&engine, 0..3, 2);
    world.executor.run_all();
    let victim = world.data_path(0);
    let bytes = world.disk.contents(&victim).unwrap();
    world.disk.set_contents(&victim, damaged(bytes));
    let merged = engine.merge();
    assert!(merged.as_ref().is_err_and(kv::Error::is_corruption), "{merged:?}");
    assert!(world.data_files().contains(&0), "what is damaged is not thrown away");
}

/// An input that was cut between two batches reads like a whole one: only its length shows the damage.
#[test]
fn an_input_that_is_shorter_than_the_manifest_says_fails_the_merge() {
    assert_merge_refuses_first_file(|mut bytes| {
        bytes.truncate(FIRST_RECORD + 7 * 136);
        bytes
    });
}

/// The same for an input that is shorter than a header.
#[test]
fn an_input_without_a_header_fails_the_merge() {
    assert_merge_refuses_first_file(|_| vec![0; 10]);
}

/// The bits that key `number` sets in a filter of one block.
fn bits(number: u32) -> Vec<usize> {
    let product = (u64::from(durable::crc32(&key(number))) + 1).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let spread = product ^ (product >> 32);
    (0..7).map(|probe| (spread >> (9 * probe)) as usize % 512).collect()
}

/// A tombstone is kept for a small file whose filter is wrong about its key. The output of a merge of that file alone has the
/// same filter, so such a merge would be followed by another one, for ever.
#[test]
fn merging_comes_to_rest_when_a_filter_is_wrong_about_deleted_keys() {
    let world = World::new();
    let options = || world.options().data_file_bytes(64 << 10);
    let engine = Bitcask::open(STORE, options()).unwrap();
    // 51 keys: a filter of one block.
    for number in 0..51 {
        engine.put(&key(number), b"", Durability::Buffered).unwrap();
    }
    engine.close().unwrap();
    drop(engine);
    let set: std::collections::BTreeSet<usize> = (0..51).flat_map(bits).collect();
    let is_taken_for_there = |number: &u32| bits(*number).iter().all(|bit| set.contains(bit));
    let keys: Vec<u32> = (1_000..).filter(is_taken_for_there).take(100).collect();
    let engine = Bitcask::open(STORE, options()).unwrap();
    for &number in &keys {
        engine.put(&key(number), b"", Durability::Buffered).unwrap();
    }
    for &number in &keys {
        engine.delete(&key(number), Durability::Buffered).unwrap();
    }
    engine.close().unwrap();
    drop(engine);
    let engine = Bitcask::open(STORE, options()).unwrap();
    let jobs = (0..20_000).take_while(|_| world.executor.step()).count();
    assert!(jobs < 20_000, "{:?}", engine.statistics());
}

/// The same with keys that nobody has chosen: an old small file, and many keys that come and go.
#[test]
fn merging_comes_to_rest_after_many_keys_have_come_and_gone() {
    let mut endless = Vec::new();
    for (few, many, sessions) in
        [(51, 20_000, 1), (51, 20_000, 2), (40, 40_000, 2), (51, 60_000, 2), (100, 60_000, 2)]
    {
        let world = World::new();
        let options = || world.options().data_file_bytes(1 << 20);
        let engine = Bitcask::open(STORE, options()).unwrap();
        for number in 0..few {
            engine.put(&key(number), b"", Durability::Buffered).unwrap();
        }
        engine.close().unwrap();
        drop(engine);
        let mut engine = Bitcask::open(STORE, options()).unwrap();
        let rest = |engine: &Bitcask| {
            let jobs = (0..5_000).take_while(|_| world.executor.step()).count();
            (jobs == 5_000).then(|| engine.statistics().merges)
        };
        for number in 1_000..1_000 + many {
            engine.put(&key(number), b"", Durability::Buffered).unwrap();
        }
        if sessions > 1 {
            engine.close().unwrap();
            drop(engine);
            engine = Bitcask::open(STORE, options()).unwrap();
        }
        for number in 1_000..1_000 + many {
            engine.delete(&key(number), Durability::Buffered).unwrap();
        }
        engine.close().unwrap();
        drop(engine);
        let engine = Bitcask::open(STORE, options()).unwrap();
        if let Some(merges) = rest(&engine) {
            endless.push((few, many, sessions, merges, engine.statistics().keys));
        }
    }
    assert!(
        endless.is_empty(),
        "few keys, many keys, sessions, merges so far, keys left: {endless:?}"
    );
}

/// Each session writes, merges and closes.
#[test]
fn sessions_that_merge_and_close_do_not_pile_up_empty_files() {
    for merges_in_background in [false, true] {
        let world = World::new();
        let mut counts = Vec::new();
        for round in 0..12 {
            let merge = merges_in_background.then(MergeOptions::default);
            let engine = Bitcask::open(STORE, world.options().merge(merge)).unwrap();
            fill(&engine, 0..5, round);
            engine.merge().unwrap();
            engine.close().unwrap();
            counts.push(world.data_files().len());
        }
        assert_eq!(counts, [1; 12], "one file holds the five keys");
    }
}

/// A session that only merges begins no file.
#[test]
fn a_merge_of_a_store_that_was_not_written_to_leaves_no_empty_file() {
    let world = World::new();
    let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
    fill(&engine, 0..5, 1);
    engine.close().unwrap();
    drop(engine);
    let before = world.data_files();
    let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
    engine.merge().unwrap();
    engine.close().unwrap();
    assert_eq!(world.data_files(), before);
}

/// A step of the merge copies several batches. Those of one input must not overtake those of another.
#[test]
fn a_step_that_copies_many_batches_keeps_the_order_of_interleaved_inputs() {
    let world = World::new();
    let open = || {
        let options = world.options().data_file_bytes(16 << 10).merge(None);
        Bitcask::open(STORE, options).unwrap()
    };
    let put = |engine: &Bitcask, number: u32, round: u8| {
        engine.put(&key(number), &[round], Durability::Buffered).unwrap();
    };
    // Each session fills a file, with even and with odd keys in turn.
    for part in 0..8 {
        let engine = open();
        (0..400).for_each(|number| put(&engine, part / 2 * 800 + 2 * number + part % 2, 1));
        engine.close().unwrap();
    }
    let engine = open();
    // Only the files with odd keys waste anything, and then all do.
    (0..1_600).step_by(50).for_each(|number| put(&engine, 2 * number + 1, 2));
    engine.merge().unwrap();
    (0..3_200).step_by(7).for_each(|number| put(&engine, number, 3));
    let before = entries(&engine);
    engine.merge().unwrap();
    assert_eq!(entries(&engine), before);
    assert_eq!((before.len(), engine.statistics().merges_failed), (3_200, 0));
    engine.verify().unwrap();
}
