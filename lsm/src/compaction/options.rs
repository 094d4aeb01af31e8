//! The parameters of the strategies, with their limits.

use super::invalid_options::{InvalidOptions, require};
use super::reclaim_options::ReclaimOptions;

/// The parameters of [`SizeTiered`](super::SizeTiered).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeTieredOptions {
    /// So many runs of similar size are merged, at least 2.
    pub min_runs: usize,
    /// At most so many at once.
    pub max_runs: usize,
    /// Runs are similar if each has at least this share of their mean, at most 100 %.
    pub low_percent: u64,
    /// Runs are similar if none has more than this share of their mean, at least 100 %.
    pub high_percent: u64,
    /// All runs below this size are similar, in bytes.
    pub small_bytes: u64,
    /// From so many runs on, the cheapest adjacent ones are merged, similar or not.
    pub run_limit: usize,
    /// The length of output files, in bytes.
    pub file_bytes: u64,
    /// Compactions that reclaim space.
    pub reclaim: ReclaimOptions,
}

impl Default for SizeTieredOptions {
    fn default() -> Self {
        Self {
            min_runs: 4,
            max_runs: 32,
            low_percent: 50,
            high_percent: 150,
            small_bytes: 48 << 20,
            run_limit: 48,
            file_bytes: 64 << 20,
            reclaim: ReclaimOptions::default(),
        }
    }
}

impl SizeTieredOptions {
    /// Whether the parameters are in their ranges.
    ///
    /// # Errors
    /// The first one that is not.
    pub fn validate(&self) -> Result<(), InvalidOptions> {
        require(self.min_runs >= 2, "min_runs is at least 2")?;
        require(self.max_runs >= self.min_runs, "max_runs is at least min_runs")?;
        require(self.low_percent <= 100, "low_percent is at most 100")?;
        require(self.high_percent >= 100, "high_percent is at least 100")?;
        require(self.run_limit >= self.min_runs, "run_limit is at least min_runs")?;
        require(self.small_bytes > 0 && self.file_bytes > 0, "sizes are not 0")?;
        self.reclaim.validate()
    }
}

/// The parameters of [`Leveled`](super::Leveled).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeveledOptions {
    /// So many runs of level 0 cause a compaction.
    pub l0_runs: usize,
    /// From so many runs of level 0 on, it goes before deeper levels.
    pub l0_soft_runs: usize,
    /// The first level below 0 has at most this many bytes, and a level `fan_out` times as many as the one above.
    pub base_bytes: u64,
    /// The ratio of the sizes of adjacent levels, at least 2.
    pub fan_out: u64,
    /// No compaction moves entries into a level that has at least this share of its target, at least 100 %. The level
    /// is compacted first. For the base level, `l0_runs` files are the least target.
    pub stop_percent: u64,
    /// The length of output files, in bytes.
    pub file_bytes: u64,
    /// The most that a compaction reads, in bytes, unless one file with its overlaps has more.
    pub max_input_bytes: u64,
    /// An output file overlaps at most so many times `file_bytes` of the level below its own.
    pub max_grandparent_files: u64,
    /// Compactions that reclaim space.
    pub reclaim: ReclaimOptions,
}

impl Default for LeveledOptions {
    fn default() -> Self {
        Self {
            l0_runs: 4,
            l0_soft_runs: 12,
            base_bytes: 256 << 20,
            fan_out: 10,
            stop_percent: 125,
            file_bytes: 64 << 20,
            max_input_bytes: 25 * (64 << 20),
            max_grandparent_files: 10,
            reclaim: ReclaimOptions::default(),
        }
    }
}

impl LeveledOptions {
    /// Whether the parameters are in their ranges.
    ///
    /// # Errors
    /// The first one that is not.
    pub fn validate(&self) -> Result<(), InvalidOptions> {
        require(self.l0_runs >= 1, "l0_runs is at least 1")?;
        require(self.l0_soft_runs >= self.l0_runs, "l0_soft_runs is at least l0_runs")?;
        require(self.fan_out >= 2, "fan_out is at least 2")?;
        require(self.stop_percent >= 100, "stop_percent is at least 100")?;
        require(self.base_bytes > 0 && self.file_bytes > 0, "sizes are not 0")?;
        require(self.max_input_bytes >= self.file_bytes, "max_input_bytes is at least file_bytes")?;
        require(self.max_grandparent_files > 0, "max_grandparent_files is not 0")?;
        self.reclaim.validate()
    }
}

/// The parameters of [`LazyLeveled`](super::LazyLeveled).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LazyLeveledOptions {
    /// So many runs of level 0 become one run of level 1.
    pub l0_runs: usize,
    /// So many runs of a level become one run of the next, at least 2. The levels above the last have at most
    /// 1 / (`fan_out` - 1) of its bytes.
    pub fan_out: u64,
    /// The size of a memtable, the measure of the debt, in bytes.
    pub flush_bytes: u64,
    /// The length of output files, in bytes.
    pub file_bytes: u64,
    /// Compactions that reclaim space.
    pub reclaim: ReclaimOptions,
}

impl Default for LazyLeveledOptions {
    fn default() -> Self {
        Self {
            l0_runs: 4,
            fan_out: 4,
            flush_bytes: 64 << 20,
            file_bytes: 64 << 20,
            reclaim: ReclaimOptions::default(),
        }
    }
}

impl LazyLeveledOptions {
    /// Whether the parameters are in their ranges.
    ///
    /// # Errors
    /// The first one that is not.
    pub fn validate(&self) -> Result<(), InvalidOptions> {
        require(self.l0_runs >= 1, "l0_runs is at least 1")?;
        require(self.fan_out >= 2, "fan_out is at least 2")?;
        require(self.flush_bytes > 0 && self.file_bytes > 0, "sizes are not 0")?;
        self.reclaim.validate()
    }
}
