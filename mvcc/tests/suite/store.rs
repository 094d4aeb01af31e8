//! The store of this test binary: versions in memory.

use kv::SequenceNumber;
use mvcc::{MemoryStore, VersionedStore as _};

pub(crate) type Store = MemoryStore;

pub(crate) fn new_store() -> Store {
    MemoryStore::new()
}

/// Drops every version that nobody can read.
pub(crate) fn collect_garbage(store: &Store) {
    store.collect_garbage();
}

/// Does what the store does by itself sooner or later. This one drops versions with each commit.
pub(crate) fn catch_up(_: &Store) {}

/// How many keys the store has something of.
pub(crate) fn keys(store: &Store) -> u64 {
    store.stats().get("keys").unwrap()
}

/// Whether a version of `key` is left.
pub(crate) fn has_version(store: &Store, key: &[u8]) -> bool {
    store.newest_version(key, SequenceNumber::ZERO).unwrap().is_some()
}
