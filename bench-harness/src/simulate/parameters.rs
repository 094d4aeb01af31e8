//! The parameters of a simulation, from a TOML file.

use std::ops::RangeInclusive;

use lsm::compaction::{
    InvalidOptions, LazyLeveled, LazyLeveledOptions, Leveled, LeveledOptions, SizeTiered,
    SizeTieredOptions, Strategy,
};
use serde::Deserialize;

use crate::failure::{Failure, Outcome};
use crate::workload::{Bytes, Count};

/// The file that is built in.
pub(super) const BUILT_IN: &str = include_str!("../../simulations/amplification.toml");

/// How many keys a store may have: from a thousand to a hundred times those of the largest one in the file.
const KEYS: RangeInclusive<u64> = 1_000..=1_000_000_000_000;
/// How many levels a tree may have.
const LEVELS: RangeInclusive<usize> = 2..=32;
/// The most that `warm_up` and `measured` may be.
const MOST_TIMES: f64 = 1_000.0;

/// The names of the strategies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StrategyName {
    Leveled,
    SizeTiered,
    LazyLeveled,
}

impl StrategyName {
    pub(super) const ALL: [Self; 3] = [Self::Leveled, Self::SizeTiered, Self::LazyLeveled];

    /// The name in tables and files.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Leveled => "leveled",
            Self::SizeTiered => "size-tiered",
            Self::LazyLeveled => "lazy-leveled",
        }
    }
}

/// A whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    pub(super) keys: Vec<Count>,
    pub(super) key_bytes: u64,
    pub(super) value_bytes: u64,
    pub(super) memtable_bytes: Bytes,
    pub(super) levels: usize,
    pub(super) warm_up: f64,
    pub(super) measured: f64,
    pub(super) workloads: Vec<String>,
    pub(super) leveled: LeveledParameters,
    #[serde(rename = "size-tiered")]
    pub(super) size_tiered: SizeTieredParameters,
    #[serde(rename = "lazy-leveled")]
    pub(super) lazy_leveled: LazyLeveledParameters,
    pub(super) band: BandParameters,
}

/// The parameters of leveled compaction.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LeveledParameters {
    l0_runs: usize,
    base_bytes: Bytes,
    fan_out: u64,
    file_bytes: Bytes,
    max_input_bytes: Bytes,
    max_grandparent_files: u64,
}

/// The parameters of size-tiered compaction.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SizeTieredParameters {
    min_runs: usize,
    max_runs: usize,
    low_percent: u64,
    high_percent: u64,
    small_bytes: Bytes,
    run_limit: usize,
    file_bytes: Bytes,
}

/// The parameters of lazy leveling.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LazyLeveledParameters {
    l0_runs: usize,
    fan_out: u64,
    file_bytes: Bytes,
}

/// The tolerance around the formulas.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BandParameters {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) overlap: f64,
    pub(super) aligned: f64,
}

impl LeveledParameters {
    pub(super) fn options(&self) -> LeveledOptions {
        LeveledOptions {
            l0_runs: self.l0_runs,
            base_bytes: self.base_bytes.0,
            fan_out: self.fan_out,
            file_bytes: self.file_bytes.0,
            max_input_bytes: self.max_input_bytes.0,
            max_grandparent_files: self.max_grandparent_files,
            ..LeveledOptions::default()
        }
    }
}

impl SizeTieredParameters {
    pub(super) fn options(&self) -> SizeTieredOptions {
        SizeTieredOptions {
            min_runs: self.min_runs,
            max_runs: self.max_runs,
            low_percent: self.low_percent,
            high_percent: self.high_percent,
            small_bytes: self.small_bytes.0,
            run_limit: self.run_limit,
            file_bytes: self.file_bytes.0,
            ..SizeTieredOptions::default()
        }
    }
}

impl LazyLeveledParameters {
    pub(super) fn options(&self, flush_bytes: u64) -> LazyLeveledOptions {
        LazyLeveledOptions {
            l0_runs: self.l0_runs,
            fan_out: self.fan_out,
            flush_bytes,
            file_bytes: self.file_bytes.0,
            ..LazyLeveledOptions::default()
        }
    }
}

impl Parameters {
    /// Reads the text of a file.
    pub(super) fn parse(text: &str) -> Outcome<Self> {
        let parsed: Self = toml::from_str(text).map_err(|error| {
            let before = error.span().map_or("", |span| &text[..span.start]);
            let message = error.message().trim().replace('\n', " ");
            Failure::usage(format!("line {}: {message}", before.matches('\n').count() + 1))
        })?;
        parsed.validate().map_err(Failure::usage)?;
        Ok(parsed)
    }

    /// The same parameters with other sizes, if there are any.
    pub(super) fn with_keys(mut self, keys: &[u64]) -> Outcome<Self> {
        if !keys.is_empty() {
            self.keys = keys.iter().copied().map(Count).collect();
        }
        self.validate().map_err(Failure::usage)?;
        Ok(self)
    }

    fn validate(&self) -> Result<(), String> {
        let entry = self.key_bytes.saturating_add(self.value_bytes);
        if self.memtable_bytes.0 < entry.saturating_mul(100) || entry == 0 {
            return Err("memtable_bytes: a memtable has at least 100 entries".into());
        }
        if self.keys.iter().any(|keys| !KEYS.contains(&keys.0)) {
            return Err(format!("keys: from {} to {} of them", KEYS.start(), KEYS.end()));
        }
        if self.keys.is_empty() || self.workloads.is_empty() {
            return Err("keys and workloads: there is at least one of each".into());
        }
        if !LEVELS.contains(&self.levels) {
            return Err(format!("levels: from {} to {} of them", LEVELS.start(), LEVELS.end()));
        }
        // Also false for a number that is none.
        let is_bounded = |times: f64| (0.0..=MOST_TIMES).contains(&times);
        if !is_bounded(self.warm_up) || !is_bounded(self.measured) || self.measured <= 0.0 {
            return Err(format!(
                "warm_up and measured: at most {MOST_TIMES}, and something is measured"
            ));
        }
        for name in StrategyName::ALL {
            self.strategy(name).map_err(|error| format!("{}: {error}", name.text()))?;
        }
        Ok(())
    }

    /// The strategy with its parameters.
    pub(super) fn strategy(
        &self,
        name: StrategyName,
    ) -> Result<Box<dyn Strategy<u64>>, InvalidOptions> {
        Ok(match name {
            StrategyName::Leveled => Box::new(Leveled::new(self.leveled.options())?),
            StrategyName::SizeTiered => Box::new(SizeTiered::new(self.size_tiered.options())?),
            StrategyName::LazyLeveled => {
                Box::new(LazyLeveled::new(self.lazy_leveled.options(self.memtable_bytes.0))?)
            }
        })
    }
}
