//! A store on the simulated disk, whose background work is stepped by hand.

use std::sync::Arc;

use bitcask::{Bitcask, Options};
use durable::{Env, ManualClock, ManualExecutor, SeededEntropy, SimFs};
use kv::{KeyRange, Kv};

/// Where the store is.
pub(crate) const STORE: &str = "store";

/// A disk, and the world around it.
pub(crate) struct World {
    pub(crate) disk: SimFs,
    pub(crate) executor: Arc<ManualExecutor>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::on(SimFs::new())
    }

    pub(crate) fn on(disk: SimFs) -> Self {
        Self { disk, executor: Arc::new(ManualExecutor::new()) }
    }

    /// Options with data files of 2 KiB.
    pub(crate) fn options(&self) -> Options {
        let env = Env {
            fs: Arc::new(self.disk.clone()),
            clock: Arc::new(ManualClock::new()),
            executor: Arc::clone(&self.executor) as _,
            entropy: Arc::new(SeededEntropy::new(7)),
        };
        Options::in_env(env).data_file_bytes(2048)
    }

    pub(crate) fn open(&self) -> kv::Result<Bitcask> {
        Bitcask::open(STORE, self.options())
    }
}

/// Every entry, in order.
pub(crate) fn entries(engine: &dyn Kv) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut cursor = engine.scan(KeyRange::all()).unwrap();
    let mut entries = Vec::new();
    while cursor.next().unwrap() {
        entries.push((cursor.key().to_vec(), cursor.value().to_vec()));
    }
    entries
}
