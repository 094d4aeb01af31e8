//! The strategies under test, with tiny limits.

use lsm::compaction::{
    LazyLeveled, LazyLeveledOptions, Leveled, LeveledOptions, ReclaimOptions, SizeTiered,
    SizeTieredOptions, Strategy,
};

use crate::random::Random;

/// The length of a flush, about.
pub(crate) const FLUSH_BYTES: u64 = 2_000;
pub(crate) const LEVELS: usize = 6;

pub(crate) type Boxed = Box<dyn Strategy<u64>>;

fn reclaim_options(random: &mut Random) -> ReclaimOptions {
    let max_age = random.one_in(3).then(|| 5 + random.below(40));
    let percents = (20 + random.below(70), 10 + random.below(80), 5 + random.below(45));
    let (dense_percent, dense_block_percent, elide_percent) = percents;
    ReclaimOptions { dense_percent, dense_block_percent, elide_percent, max_age }
}

pub(crate) fn leveled_options(random: &mut Random) -> LeveledOptions {
    let file_bytes = 500 + random.below(3_000);
    LeveledOptions {
        l0_runs: 1 + random.below(5) as usize,
        l0_soft_runs: 6 + random.below(10) as usize,
        base_bytes: 2_000 + random.below(10_000),
        fan_out: 2 + random.below(9),
        stop_percent: 100 + random.below(100),
        file_bytes,
        max_input_bytes: file_bytes * (1 + random.below(30)),
        max_grandparent_files: 1 + random.below(10),
        reclaim: reclaim_options(random),
    }
}

pub(crate) fn size_tiered_options(random: &mut Random) -> SizeTieredOptions {
    let min_runs = 2 + random.below(4) as usize;
    SizeTieredOptions {
        min_runs,
        max_runs: min_runs + random.below(10) as usize,
        low_percent: 30 + random.below(50),
        high_percent: 110 + random.below(90),
        small_bytes: 200 + random.below(2_000),
        run_limit: min_runs + 4 + random.below(20) as usize,
        file_bytes: 500 + random.below(3_000),
        reclaim: reclaim_options(random),
    }
}

pub(crate) fn lazy_options(random: &mut Random) -> LazyLeveledOptions {
    LazyLeveledOptions {
        l0_runs: 1 + random.below(4) as usize,
        fan_out: 2 + random.below(5),
        flush_bytes: FLUSH_BYTES,
        file_bytes: 500 + random.below(3_000),
        reclaim: reclaim_options(random),
    }
}

/// How many kinds there are.
pub(crate) const KINDS: u64 = 3;

/// A strategy of the kind `kind % KINDS` with random limits.
pub(crate) fn strategy(kind: u64, random: &mut Random) -> Boxed {
    match kind % KINDS {
        0 => Box::new(Leveled::new(leveled_options(random)).unwrap()),
        1 => Box::new(SizeTiered::new(size_tiered_options(random)).unwrap()),
        _ => Box::new(LazyLeveled::new(lazy_options(random)).unwrap()),
    }
}
