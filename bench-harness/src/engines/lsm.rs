//! `lsm-stcs`, `lsm-lcs` and `lsm-lazy`: one tree with each of its strategies of compaction.
//!
//! The memory budget is the memory of five memtables, one active and four sealed, with room for two more that are being read
//! or built. Tables are as large as memtables, and the limits of the strategies keep the ratio to them that the defaults
//! have. Tables are read through mappings, so there is no cache of blocks to divide.

use std::path::Path;

use kv::{Durability, Kv};
use lsm::compaction::{LazyLeveledOptions, LeveledOptions, SizeTieredOptions, StrategyOptions};
use lsm::{Lsm, Options};

use super::{EngineConfig, Registration};

/// The memory budget divided by this is one memtable.
const MEMTABLES_IN_BUDGET: u64 = 8;
const LEAST_MEMTABLE_BYTES: u64 = 1 << 20;
const LARGEST_MEMTABLE_BYTES: u64 = 64 << 20;

pub(super) const SIZE_TIERED: Registration = Registration {
    name: "lsm-stcs",
    about: "write-ahead log, memtables, sorted tables with size-tiered compaction",
    open: |directory, config| open(directory, config, size_tiered),
    ..LEVELED
};

pub(super) const LEVELED: Registration = Registration {
    name: "lsm-lcs",
    about: "write-ahead log, memtables, sorted tables with leveled compaction",
    version: env!("CARGO_PKG_VERSION"),
    classes: &[Durability::None, Durability::Buffered, Durability::Sync],
    open: |directory, config| open(directory, config, leveled),
    settings: |config| {
        let mib = memtable_bytes(config) >> 20;
        format!(
            "memtables and tables of {mib} MiB, at most 4 sealed; mapped tables, no block cache"
        )
    },
};

pub(super) const LAZY_LEVELED: Registration = Registration {
    name: "lsm-lazy",
    about: "write-ahead log, memtables, sorted tables with lazy leveled compaction",
    open: |directory, config| open(directory, config, lazy_leveled),
    ..LEVELED
};

fn open(
    directory: &Path,
    config: EngineConfig,
    strategy: fn(u64) -> StrategyOptions,
) -> kv::Result<Box<dyn Kv>> {
    let bytes = memtable_bytes(config);
    let options = Options::new().memtable_bytes(bytes).table_bytes(bytes);
    Ok(Box::new(Lsm::open(directory, options.strategy(strategy(bytes)))?))
}

fn memtable_bytes(config: EngineConfig) -> u64 {
    let share = config.memory_budget_bytes / MEMTABLES_IN_BUDGET;
    share.clamp(LEAST_MEMTABLE_BYTES, LARGEST_MEMTABLE_BYTES)
}

/// For tables of `table_bytes`, as the two below.
fn size_tiered(table_bytes: u64) -> StrategyOptions {
    StrategyOptions::SizeTiered(SizeTieredOptions {
        small_bytes: table_bytes / 4 * 3,
        file_bytes: table_bytes,
        ..SizeTieredOptions::default()
    })
}

fn leveled(table_bytes: u64) -> StrategyOptions {
    StrategyOptions::Leveled(LeveledOptions {
        base_bytes: table_bytes * 4,
        file_bytes: table_bytes,
        max_input_bytes: table_bytes * 25,
        ..LeveledOptions::default()
    })
}

fn lazy_leveled(table_bytes: u64) -> StrategyOptions {
    StrategyOptions::LazyLeveled(LazyLeveledOptions {
        flush_bytes: table_bytes,
        file_bytes: table_bytes,
        ..LazyLeveledOptions::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_the_largest_tables_the_strategies_have_their_defaults() {
        let of = |strategy: fn(u64) -> StrategyOptions| strategy(LARGEST_MEMTABLE_BYTES);
        assert_eq!(of(leveled), StrategyOptions::Leveled(LeveledOptions::default()));
        assert_eq!(of(size_tiered), StrategyOptions::SizeTiered(SizeTieredOptions::default()));
        assert_eq!(of(lazy_leveled), StrategyOptions::LazyLeveled(LazyLeveledOptions::default()));
    }

    #[test]
    fn seven_memtables_fit_into_the_budget() {
        let config = |memory_budget_bytes| EngineConfig {
            memory_budget_bytes,
            durability: Durability::Buffered,
            value_bytes: 100,
            limit_memory_bytes: None,
        };
        for budget in [8 << 20, 320 << 20, 1 << 30] {
            assert!(memtable_bytes(config(budget)) * 7 <= budget);
        }
        assert_eq!(memtable_bytes(config(0)), LEAST_MEMTABLE_BYTES);
        let settings = (LEVELED.settings)(config(320 << 20));
        assert!(settings.starts_with("memtables and tables of 40 MiB"), "{settings}");
    }
}
