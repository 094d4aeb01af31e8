//! Writes and refreshes that find the keydir full.

use std::collections::BTreeMap;
use std::sync::Arc;

use durable::{Env, ManualClock, ManualExecutor, SeededEntropy, SimFs};
use kv::{Durability, Error, KeyRange, Kv, WriteBatch};

use crate::keydir::Limits;
use crate::{Bitcask, Options};

fn options(disk: &SimFs, limits: Limits) -> Options {
    let clock = Arc::new(ManualClock::new());
    let env = Env {
        fs: Arc::new(disk.clone()),
        clock: Arc::clone(&clock) as _,
        executor: Arc::new(ManualExecutor::new(clock)),
        entropy: Arc::new(SeededEntropy::new(7)),
    };
    let mut options = Options::in_env(env).data_file_bytes(1 << 16);
    options.keydir = limits;
    options
}

fn open(disk: &SimFs) -> Bitcask {
    let options = options(disk, Limits { for_writes: 4, addressable: 64 });
    Bitcask::open("store", options).expect("the store opens")
}

fn entries(engine: &dyn Kv) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut cursor = engine.scan(KeyRange::all()).expect("the store is open");
    let mut entries = BTreeMap::new();
    while cursor.next().expect("the disk works") {
        entries.insert(cursor.key().to_vec(), cursor.value().expect("the disk works").to_vec());
    }
    entries
}

/// Key number `number` of `len` bytes.
fn key(number: u32, len: usize) -> Vec<u8> {
    let mut key = vec![b'k'; len];
    key[..4].copy_from_slice(&number.to_be_bytes());
    key
}

/// A put whose key had no address panicked after its record was in the log.
#[test]
fn a_write_that_finds_the_keydir_full_is_refused_before_its_append() {
    for durability in [Durability::Buffered, Durability::Sync] {
        for len in [60, 1_400, 2_100, 4_080, 4_200] {
            let disk = SimFs::new();
            let engine = open(&disk);
            let mut model = BTreeMap::new();
            let mut refused = 0;
            for number in 0..1_500_u32 {
                let batch_len = 1 + number % 3;
                let mut batch = WriteBatch::new();
                let keys: Vec<_> = (0..batch_len).map(|at| key(number * 3 + at, len)).collect();
                for key in &keys {
                    batch.put(key, b"value");
                }
                let before = (engine.newest_sequence(), engine.statistics().log_bytes);
                match engine.write(&batch, durability) {
                    Ok(_) => model.extend(keys.into_iter().map(|key| (key, b"value".to_vec()))),
                    Err(error) => {
                        assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
                        let after = (engine.newest_sequence(), engine.statistics().log_bytes);
                        assert_eq!(after, before, "nothing was appended");
                        refused += 1;
                    }
                }
                if refused > 20 {
                    break;
                }
            }
            assert!(refused > 20 || len == 60, "{len}");
            assert_eq!(entries(&engine), model);
            drop(engine);
            assert_eq!(entries(&open(&disk)), model, "a refused batch is not in the log");
        }
    }
}

#[test]
fn deletes_go_through_when_the_keydir_is_full_and_puts_after_them() {
    let disk = SimFs::new();
    let engine = open(&disk);
    let mut number = 0;
    while engine.put(&key(number, 2_100), b"value", Durability::Buffered).is_ok() {
        number += 1;
    }
    for number in 0..number {
        engine.delete(&key(number, 2_100), Durability::Buffered).expect("deletes need no room");
    }
    engine.put(&key(number, 2_100), b"value", Durability::Buffered).expect("there is room");
    assert_eq!(entries(&engine).len(), 1);
}

/// A refresh applies the new keys before it forgets the old ones. Each key takes a page. The shards have room for the keys of
/// either state, and not for those of both.
#[test]
fn a_reader_whose_keydir_has_no_room_for_the_new_keys_loads_the_whole_store() {
    const KEYS: u32 = 2_048;
    let disk = SimFs::new();
    let engine = Bitcask::open("store", options(&disk, Limits::default()).merge(None));
    let engine = engine.expect("the store opens");
    let put = |number| {
        let put = engine.put(&key(number, 2_100), b"value", Durability::Buffered);
        put.expect("there is room");
    };
    (0..KEYS).for_each(put);
    let limits = Limits { for_writes: 22, addressable: 22 };
    let reader = Bitcask::open_read_only("store", options(&disk, limits));
    let reader = reader.expect("the first keys fit");
    for number in 0..KEYS {
        engine.delete(&key(number, 2_100), Durability::Buffered).expect("the disk works");
    }
    (KEYS..2 * KEYS).for_each(put);
    engine.merge().expect("the disk works");
    reader.refresh().expect("the second keys fit");
    assert_eq!(entries(&reader), entries(&engine));
}
