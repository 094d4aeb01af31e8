//! The store of this test binary: an LSM tree on a simulated disk, so small that it flushes and compacts all the time.

use std::sync::Arc;

use durable::{Env, SimFs};
use kv::{KeyRange, SequenceNumber};
use lsm::compaction::{SizeTieredOptions, StrategyOptions};
use mvcc::{LsmStore, VersionedStore as _};

pub(crate) type Store = LsmStore;

/// Options for a tree on `disk`, with threads in the background.
pub(crate) fn options(disk: &SimFs) -> lsm::Options {
    let env = Env { fs: Arc::new(disk.clone()), ..Env::os(2) };
    let strategy = StrategyOptions::SizeTiered(SizeTieredOptions {
        min_runs: 2,
        max_runs: 4,
        small_bytes: 2_000,
        run_limit: 8,
        file_bytes: 2_000,
        ..SizeTieredOptions::default()
    });
    let options = lsm::Options::in_env(env).memtable_bytes(4 << 10).log_segment_bytes(8 << 10);
    options.strategy(strategy)
}

pub(crate) fn new_store() -> Store {
    LsmStore::open("store", options(&SimFs::new())).unwrap()
}

/// Drops every version that nobody can read.
pub(crate) fn collect_garbage(store: &Store) {
    store.engine().compact_range(&KeyRange::all()).unwrap();
}

/// Does what the store does by itself sooner or later: compactions drop versions.
pub(crate) fn catch_up(store: &Store) {
    collect_garbage(store);
}

/// How many keys the store has something of, after [`collect_garbage`].
pub(crate) fn keys(store: &Store) -> u64 {
    store.engine().statistics().table_entries
}

/// Whether a version of `key` is left.
pub(crate) fn has_version(store: &Store, key: &[u8]) -> bool {
    store.newest_version(key, SequenceNumber::ZERO).unwrap().is_some()
}
