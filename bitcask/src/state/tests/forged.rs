//! Manifests with right checksums and numbers that no store of ours has.
#![cfg(not(shuttle))]

use std::sync::Arc;

use durable::manifest::Manifest;
use durable::store_dir::{OpenMode, StoreDir};
use durable::{Env, ManualClock, ManualExecutor, SeededEntropy, SimFs};
use kv::{Durability, Error, Kv};

use super::*;
use crate::{Bitcask, Options};

fn world() -> (SimFs, Arc<ManualExecutor>, Options) {
    let disk = SimFs::new();
    let clock = Arc::new(ManualClock::new());
    let executor = Arc::new(ManualExecutor::new(Arc::clone(&clock) as _));
    let env = Env {
        fs: Arc::new(disk.clone()),
        clock,
        executor: Arc::clone(&executor) as _,
        entropy: Arc::new(SeededEntropy::new(7)),
    };
    (disk, executor, Options::in_env(env).data_file_bytes(2048))
}

/// Appends `edits` to the manifest of the store.
fn forge(disk: &SimFs, edits: &[Edit]) {
    let fs = Arc::new(disk.clone());
    let dir = StoreDir::open(fs, Path::new("store"), OpenMode::Write).unwrap();
    let manifest = Manifest::<State>::read(&dir).unwrap().open().unwrap();
    manifest.append_all(edits).unwrap();
    manifest.close().unwrap();
}

/// The manifest says that all ids were given away.
#[test]
fn a_store_whose_file_ids_have_run_out_refuses_writes_and_stays_readable() {
    let (disk, _, options) = world();
    let engine = Bitcask::open("store", options.clone()).unwrap();
    engine.put(b"key", b"value", Durability::Sync).unwrap();
    engine.close().unwrap();
    drop(engine);
    forge(&disk, &[Edit::reserve(FILE_ID_LIMIT - 1)]);
    let engine = Bitcask::open("store", options).unwrap();
    for durability in [Durability::Buffered, Durability::Sync] {
        let refused = engine.put(b"key", b"other", durability).unwrap_err();
        assert!(matches!(refused, Error::InvalidArgument(_)), "{refused:?}");
        assert!(refused.to_string().contains("store"), "{refused}");
    }
    assert_eq!(engine.get(b"key").unwrap().as_deref(), Some(&b"value"[..]));
    engine.merge().unwrap();
    engine.close().unwrap();
}

/// The manifest may say any number.
#[test]
fn forged_counts_of_blocked_tombstones_overflow_nothing() {
    let (disk, executor, options) = world();
    let engine = Bitcask::open("store", options.clone()).unwrap();
    for number in 0..60_u32 {
        engine.put(&number.to_be_bytes(), &[1; 100], Durability::Buffered).unwrap();
    }
    engine.close().unwrap();
    drop(engine);
    let blocked = vec![
        Blocked { file: 0, blocker: 1, bytes: u64::MAX },
        Blocked { file: 0, blocker: 2, bytes: u64::MAX },
        Blocked { file: 2, blocker: 1, bytes: u64::MAX },
    ];
    forge(&disk, &[Edit::merge(Merge { blocked, ..Merge::default() })]);
    let engine = Bitcask::open("store", options).unwrap();
    executor.run_all();
    assert!(engine.get(&0_u32.to_be_bytes()).unwrap().is_some());
    engine.put(b"key", b"value", Durability::Sync).unwrap();
    engine.merge().unwrap();
}

/// A file has no more bytes of records than bytes.
#[test]
fn a_sealed_file_with_more_bytes_of_tombstones_and_expiring_puts_than_it_has_is_refused() {
    let expiring = |bytes| Expiring { records: 1, bytes, earliest: 0, latest: 0 };
    let good = Sealed { tombstone_bytes: 96, expiring: expiring(4_000), ..sealed() };
    let bad = [
        Sealed { tombstone_bytes: 97, ..good },
        Sealed { expiring: expiring(4_001), ..good },
        Sealed { expiring: expiring(u64::MAX), ..good },
        Sealed { tombstone_bytes: u64::MAX, ..good },
    ];
    for (sealed, is_good) in [(good, true)].into_iter().chain(bad.map(|bad| (bad, false))) {
        let mut bytes = Vec::new();
        sealed.encode_unchecked(&mut bytes);
        let mut reader = Reader::new(&bytes, Path::new("manifest"), 500);
        match Sealed::decode(4, &mut reader) {
            Ok(decoded) => assert_eq!((is_good, decoded), (true, sealed)),
            Err(Error::Corruption { path, offset, .. }) => {
                assert!(!is_good && path.ends_with("manifest") && offset >= 500, "{offset}");
            }
            Err(other) => panic!("{other}"),
        }
    }
}
