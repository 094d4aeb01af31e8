//! A store on the simulated disk, whose background work is stepped by hand.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::{Env, ManualClock, ManualExecutor, SeededEntropy, SimFs};
use kv::{Cursor, Durability, KeyRange, Kv, SequenceNumber};
use lsm::compaction::{LazyLeveledOptions, LeveledOptions, SizeTieredOptions, StrategyOptions};
use lsm::{Lsm, Options};

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

    /// Memtables of 2 KiB, segments of 1 KiB, and nothing is compacted in the background.
    pub(crate) fn options(&self) -> Options {
        let env = Env {
            fs: Arc::new(self.disk.clone()),
            clock: Arc::clone(&self.clock) as _,
            executor: Arc::clone(&self.executor) as _,
            entropy: Arc::new(SeededEntropy::new(7)),
        };
        let options = Options::in_env(env).memtable_bytes(2048).log_segment_bytes(1024);
        options.compaction_threads(0)
    }

    /// The same with `strategy` in the background, and tables of 600 bytes.
    pub(crate) fn compacting(&self, strategy: StrategyOptions) -> Options {
        self.options().compaction_threads(1).table_bytes(600).strategy(strategy)
    }

    pub(crate) fn open(&self) -> kv::Result<Lsm> {
        Lsm::open(STORE, self.options())
    }

    /// The names of the files with this extension.
    pub(crate) fn files(&self, extension: &str) -> Vec<String> {
        let files = self.disk.files();
        let has_extension =
            |path: &&PathBuf| path.extension().is_some_and(|found| found == extension);
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        files.iter().filter(has_extension).map(name).collect()
    }

    /// Changes one bit in the first data block of a file.
    pub(crate) fn damage(&self, name: &str) {
        let path = Path::new(STORE).join(name);
        let mut bytes = self.disk.contents(&path).unwrap();
        bytes[100] ^= 1;
        self.disk.set_contents(&path, bytes);
    }

    /// The disk after a power cut now, when all that was not synced is lost.
    pub(crate) fn after_power_cut(&self) -> Self {
        Self::on(self.disk.crash(self.disk.ops(), &"strict/none".parse().unwrap()))
    }
}

/// Leveled compaction with such small limits that a few dozen writes fill several levels.
pub(crate) fn leveled() -> StrategyOptions {
    StrategyOptions::Leveled(LeveledOptions {
        l0_runs: 2,
        l0_soft_runs: 4,
        base_bytes: 3_000,
        fan_out: 2,
        file_bytes: 600,
        max_input_bytes: 12_000,
        ..LeveledOptions::default()
    })
}

/// The same for size-tiered compaction.
pub(crate) fn size_tiered() -> StrategyOptions {
    StrategyOptions::SizeTiered(SizeTieredOptions {
        min_runs: 2,
        max_runs: 4,
        small_bytes: 2_000,
        run_limit: 4,
        file_bytes: 600,
        ..SizeTieredOptions::default()
    })
}

/// The same for lazy leveling.
pub(crate) fn lazy_leveled() -> StrategyOptions {
    StrategyOptions::LazyLeveled(LazyLeveledOptions {
        l0_runs: 2,
        fan_out: 2,
        flush_bytes: 1_500,
        file_bytes: 600,
        ..LazyLeveledOptions::default()
    })
}

/// Every strategy.
pub(crate) fn strategies() -> [StrategyOptions; 3] {
    [size_tiered(), leveled(), lazy_leveled()]
}

/// Every entry that `cursor` shows from its position on.
pub(crate) fn rest(cursor: &mut dyn Cursor) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries = Vec::new();
    while cursor.next().unwrap() {
        entries.push((cursor.key().to_vec(), cursor.value().unwrap().to_vec()));
    }
    entries
}

/// Every entry, in order.
pub(crate) fn entries(engine: &dyn Kv) -> Vec<(Vec<u8>, Vec<u8>)> {
    rest(&mut *engine.scan(KeyRange::all()).unwrap())
}

/// A store with four runs of the same keys, opened with leveled compaction, which has not run yet.
pub(crate) fn with_four_runs(world: &World) -> Lsm {
    let engine = world.open().unwrap();
    for round in 0..4 {
        fill(&engine, 0..15, round);
        engine.flush().unwrap();
    }
    engine.close().unwrap();
    drop(engine);
    Lsm::open(STORE, world.compacting(leveled())).unwrap()
}

/// The number of the newest version of `key`.
pub(crate) fn newest(engine: &Lsm, key: &[u8]) -> Option<SequenceNumber> {
    let newest = engine.newest_version(key, SequenceNumber::ZERO).unwrap();
    newest.map(|newest| newest.sequence)
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

/// The entries that [`fill`] leaves.
pub(crate) fn filled(keys: std::ops::Range<u32>, round: u8) -> Vec<(Vec<u8>, Vec<u8>)> {
    keys.map(|number| (key(number).to_vec(), vec![round; 100])).collect()
}
