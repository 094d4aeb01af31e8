//! The parameters of a simulation, from a TOML file.

use lsm::compaction::{
    InvalidOptions, LazyLeveled, LazyLeveledOptions, Leveled, LeveledOptions, SizeTiered,
    SizeTieredOptions, Strategy,
};
use serde::Deserialize;

use crate::failure::{Failure, Outcome};
use crate::workload::{Bytes, Count};

/// The file that is built in.
pub(super) const BUILT_IN: &str = include_str!("../../simulations/amplification.toml");

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
    /// The sizes of the stores, in keys.
    pub(super) keys: Vec<Count>,
    /// Bytes of each key.
    pub(super) key_bytes: u64,
    /// Bytes of each value.
    pub(super) value_bytes: u64,
    /// Bytes of entries that fill a memtable.
    pub(super) memtable_bytes: Bytes,
    /// Levels of the tree, level 0 included.
    pub(super) levels: usize,
    /// How often the user writes the live bytes before anything is measured.
    pub(super) warm_up: f64,
    /// How often the user writes the live bytes while it is measured.
    pub(super) measured: f64,
    /// The names of the workloads ([`super::workload::SimulatedWorkload::read`]).
    pub(super) workloads: Vec<String>,
    pub(super) leveled: LeveledParameters,
    #[serde(rename = "size-tiered")]
    pub(super) size_tiered: SizeTieredParameters,
    #[serde(rename = "lazy-leveled")]
    pub(super) lazy_leveled: LazyLeveledParameters,
    pub(super) band: BandParameters,
}

/// The parameters of leveled compaction: see [`LeveledOptions`].
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

/// The parameters of size-tiered compaction: see [`SizeTieredOptions`].
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

/// The parameters of lazy leveling: see [`LazyLeveledOptions`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LazyLeveledParameters {
    l0_runs: usize,
    fan_out: u64,
    file_bytes: Bytes,
}

/// The tolerance around the formulas of [`super::bands`], as factors.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BandParameters {
    /// Of the least write amplification by the formula, the share that is still expected.
    pub(super) low: f64,
    /// Of the most write amplification by the formula, the multiple that is still expected.
    pub(super) high: f64,
    /// The files of the next level that a file overlaps, as a share of the fan-out.
    pub(super) overlap: f64,
    /// The share of the writing of leveled compactions that is left where output files end with files of the next level.
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
        let parsed: Self =
            toml::from_str(text).map_err(|error| Failure::usage(error.to_string()))?;
        parsed.validate().map_err(Failure::usage)?;
        Ok(parsed)
    }

    fn validate(&self) -> Result<(), String> {
        let entry = self.key_bytes + self.value_bytes;
        if self.memtable_bytes.0 < 100 * entry || entry == 0 {
            return Err("memtable_bytes: a memtable has at least 100 entries".into());
        }
        if self.keys.iter().any(|keys| keys.0 < 1000) {
            return Err("keys: at least 1000".into());
        }
        if self.levels < 2 || self.warm_up < 0.0 || self.measured <= 0.0 {
            return Err("there are at least 2 levels, and something is measured".into());
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
