//! Engines that people use today, under the features `peers` and `peer-rocksdb`, to compare ours with.
//!
//! Each adapter passes the calls of [`kv::Kv`] on. It refuses a call that its engine lacks as `Unsupported` or
//! `InvalidArgument`. Four adapters keep a read transaction for each thread between writes ([`thread_views`]); none adds anything
//! else. Each is set up as its maintainers advise for a small machine: one memory budget for cache and write buffers, Bloom
//! filters of 10 bits a key where there are any, no compression. Each setting that differs from the engine's default is
//! printed with every result ([`super::Registration::settings`]); the file of the engine says why it is there.
//!
//! A durability class is registered only where the engine keeps it to the letter. redb and sled have nothing between
//! "may be lost with the process" and a sync: in a run of the class `buffered` they are run as `none`, unranked.
//!
//! The adapters leave out range deletion and expiry, whether the engine has them or not: no workload uses them.

mod adapter_state;
mod canopydb;
mod copied;
mod fjall;
mod lmdb;
mod redb;
#[cfg(feature = "peer-rocksdb")]
mod rocksdb;
mod sled;
mod sqlite;
mod surrealkv;
#[cfg(target_os = "linux")]
mod sync_calls;
#[cfg(test)]
mod tests;
mod thread_views;
mod view_cursor;

#[cfg(target_os = "linux")]
pub(super) use sync_calls::sync_calls;

use super::{EngineConfig, Registration};

/// The peers of this build, in the order in which they are listed.
pub(super) fn all() -> Vec<Registration> {
    vec![
        fjall::REGISTRATION,
        #[cfg(feature = "peer-rocksdb")]
        rocksdb::REGISTRATION,
        surrealkv::REGISTRATION,
        lmdb::REGISTRATION,
        canopydb::REGISTRATION,
        redb::REGISTRATION,
        sqlite::REGISTRATION,
        sled::REGISTRATION,
    ]
}

/// How an engine that gathers writes in memory splits its budget: a fifth for them, the rest for its cache.
#[derive(Clone, Copy, Debug)]
struct BudgetSplit {
    write_bytes: u64,
    cache_bytes: u64,
}

impl BudgetSplit {
    fn of(config: EngineConfig) -> Self {
        let write_bytes = config.memory_budget_bytes / 5;
        assert!(write_bytes <= config.memory_budget_bytes, "a part of the budget");
        Self { write_bytes, cache_bytes: config.memory_budget_bytes - write_bytes }
    }

    /// Both parts, that of the writes under the engine's name for it.
    fn describe(self, writes: &str) -> String {
        format!("cache {}, {writes} {}", mebibytes(self.cache_bytes), mebibytes(self.write_bytes))
    }
}

/// A size for a line of settings.
fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
