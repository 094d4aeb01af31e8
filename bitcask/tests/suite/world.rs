//! A store on the simulated disk, whose background work is stepped by hand.

use std::path::PathBuf;
use std::sync::Arc;

use bitcask::{Bitcask, Options};
use durable::{Env, ManualClock, ManualExecutor, SeededEntropy, SimFs};
use kv::{Durability, KeyRange, Kv};

/// Where the first record of a data file of the log starts: behind the header and the witness.
pub(crate) const FIRST_RECORD: usize = 2048;

/// Where the store is.
pub(crate) const STORE: &str = "store";

/// A disk, and the world around it.
pub(crate) struct World {
    pub(crate) disk: SimFs,
    pub(crate) executor: Arc<ManualExecutor>,
    pub(crate) clock: Arc<ManualClock>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::on(SimFs::new())
    }

    pub(crate) fn on(disk: SimFs) -> Self {
        let clock = Arc::new(ManualClock::new());
        let executor = Arc::new(ManualExecutor::new(Arc::clone(&clock) as _));
        Self { disk, executor, clock }
    }

    /// Options with data files of 2 KiB.
    pub(crate) fn options(&self) -> Options {
        let env = Env {
            fs: Arc::new(self.disk.clone()),
            clock: Arc::clone(&self.clock) as _,
            executor: Arc::clone(&self.executor) as _,
            entropy: Arc::new(SeededEntropy::new(7)),
        };
        Options::in_env(env).data_file_bytes(2048)
    }

    /// The ids of the data files in the directory.
    pub(crate) fn data_files(&self) -> Vec<u64> {
        let files = self.disk.files();
        let is_data =
            |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "data");
        let id = |path: &PathBuf| path.file_stem()?.to_str()?.parse().ok();
        files.iter().filter(is_data).filter_map(id).collect()
    }

    /// The path of data file `id`, which is there.
    pub(crate) fn data_path(&self, id: u64) -> PathBuf {
        let name = format!("{id:06}.data");
        self.disk.files().into_iter().find(|path| path.ends_with(&name)).unwrap()
    }

    /// Runs so many background jobs, if there are so many.
    pub(crate) fn step(&self, jobs: u64) {
        for _ in 0..jobs {
            self.executor.step();
        }
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
        entries.push((cursor.key().to_vec(), cursor.value().unwrap().to_vec()));
    }
    entries
}

/// A key that is a number.
pub(crate) fn key(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

/// Puts 100 bytes at each of `keys`, which name the round.
pub(crate) fn fill(engine: &dyn Kv, keys: std::ops::Range<u32>, round: u8) {
    for number in keys {
        engine.put(&key(number), &[round; 100], Durability::Buffered).unwrap();
    }
}

/// Deletes `keys`.
pub(crate) fn delete(engine: &dyn Kv, keys: std::ops::Range<u32>) {
    for number in keys {
        engine.delete(&key(number), Durability::Buffered).unwrap();
    }
}
