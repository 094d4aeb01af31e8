//! The parameters of a simulation, from a TOML file.

use lsm::compaction::{
    InvalidOptions, LazyLeveled, LazyLeveledOptions, Leveled, LeveledOptions, SizeTiered,
    SizeTieredOptions, Strategy,
};
use serde::Deserialize;

use crate::failure::{Failure, Outcome};
use crate::toml_text;
use crate::workload::{Bytes, Count};

/// The least and the most keys of a store.
const KEYS: std::ops::RangeInclusive<u64> = 1_000..=1_000_000_000_000;
/// The most levels of a tree.
const MAX_LEVELS: usize = 64;
/// The most bytes of a key and of a value.
const MAX_ENTRY_BYTES: u64 = 1 << 30;
/// The most bytes of a memtable: two of them have a sum.
const MAX_MEMTABLE_BYTES: u64 = 1 << 50;
/// The most times that the data is written.
const MAX_TIMES: f64 = 1_000.0;
/// The least entries of a memtable.
const LEAST_MEMTABLE_ENTRIES: u64 = 100;

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
    /// Reads the text of the file called `name` (for messages). `keys` stand in the place of the sizes of the file, if there are
    /// any.
    pub(super) fn parse(name: &str, text: &str, keys: &[u64]) -> Outcome<Self> {
        let mut parsed: Self = toml_text::parse(name, text)?;
        if !keys.is_empty() {
            parsed.keys = keys.iter().copied().map(Count).collect();
        }
        parsed.validate().map_err(|text| Failure::usage(format!("{name}: {text}")))?;
        Ok(parsed)
    }

    fn validate(&self) -> Result<(), String> {
        if self.keys.is_empty() || self.workloads.is_empty() {
            return Err("there are no keys or no workloads".into());
        }
        if let Some(Count(keys)) = self.keys.iter().find(|keys| !KEYS.contains(&keys.0)) {
            return Err(format!("keys = {keys} is not from {} to {}", KEYS.start(), KEYS.end()));
        }
        let entry_bytes = self.key_bytes.saturating_add(self.value_bytes);
        if !(1..=MAX_ENTRY_BYTES).contains(&entry_bytes) {
            return Err(format!(
                "key_bytes and value_bytes are from 1 to {MAX_ENTRY_BYTES} together"
            ));
        }
        let least = LEAST_MEMTABLE_ENTRIES * entry_bytes;
        if !(least..=MAX_MEMTABLE_BYTES).contains(&self.memtable_bytes.0) {
            return Err(format!(
                "memtable_bytes is not from {least} ({LEAST_MEMTABLE_ENTRIES} entries) to {MAX_MEMTABLE_BYTES}"
            ));
        }
        if !(2..=MAX_LEVELS).contains(&self.levels) {
            return Err(format!("levels = {} is not from 2 to {MAX_LEVELS}", self.levels));
        }
        if !(0.0..=MAX_TIMES).contains(&self.warm_up)
            || !(f64::MIN_POSITIVE..=MAX_TIMES).contains(&self.measured)
        {
            return Err(format!(
                "warm_up and measured are at most {MAX_TIMES}, and measured is not 0"
            ));
        }
        let BandParameters { low, high, overlap, aligned } = self.band;
        if [low, high, overlap, aligned].iter().any(|part| !part.is_finite() || *part < 0.0) {
            return Err("band: a number is negative or not finite".into());
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

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(from: &str, to: &str) -> String {
        assert!(BUILT_IN.contains(from), "{from}");
        Parameters::parse("own.toml", &BUILT_IN.replace(from, to), &[]).unwrap_err().text
    }

    #[test]
    fn a_mistake_in_a_file_is_one_line_with_the_file_and_the_line() {
        let text = complaint("levels = 7", "lewels = 7");
        let line = 1 + BUILT_IN.lines().position(|line| line == "levels = 7").unwrap();
        assert_eq!(
            text,
            format!("own.toml:{line}: unknown key \"lewels\"; did you mean \"levels\"?")
        );
    }

    #[test]
    fn numbers_with_which_a_simulation_does_not_end_are_refused() {
        for (from, to, expected) in [
            ("warm_up = 3.0", "warm_up = inf", "warm_up and measured"),
            ("warm_up = 3.0", "warm_up = nan", "warm_up and measured"),
            ("measured = 3.0", "measured = nan", "warm_up and measured"),
            ("measured = 3.0", "measured = 0.0", "warm_up and measured"),
            ("levels = 7", "levels = 1", "levels = 1 "),
            ("levels = 7", "levels = 1_000_000_000_000", "levels = 1000000000000 "),
            ("high = 1.4", "high = nan", "band"),
            ("value_bytes = 100", "value_bytes = 9_223_372_036_854_775_807", "value_bytes"),
            ("memtable_bytes = \"64MiB\"", "memtable_bytes = \"11599\"", "memtable_bytes"),
            (
                "workloads = [\"uniform\", \"zipfian:0.99\", \"git-history\"]",
                "workloads = []",
                "workloads",
            ),
        ] {
            let text = complaint(from, to);
            assert!(text.starts_with("own.toml: ") && text.contains(expected), "{to}: {text}");
        }
    }

    #[test]
    fn sizes_of_the_command_line_have_the_limits_of_those_in_a_file() {
        let parse = |keys| Parameters::parse("built in", BUILT_IN, &[keys]);
        assert_eq!(parse(1_000).unwrap().keys, [Count(1_000)]);
        for keys in [0, 999, 1_000_000_000_001, u64::MAX] {
            let text = parse(keys).unwrap_err().text;
            assert_eq!(text, format!("built in: keys = {keys} is not from 1000 to 1000000000000"));
        }
    }
}
