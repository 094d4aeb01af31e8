//! A strategy with its parameters, as a value.

use std::sync::Arc;

use super::file::Key;
use super::invalid_options::InvalidOptions;
use super::lazy_leveled::LazyLeveled;
use super::leveled::Leveled;
use super::options::{LazyLeveledOptions, LeveledOptions, SizeTieredOptions};
use super::size_tiered::SizeTiered;
use super::strategy::Strategy;

/// Writers wait for compactions not before level 0 has so many runs more than the strategy means it to have.
const LEAST_SPARE_RUNS: usize = 8;

/// A strategy with its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StrategyOptions {
    /// [`SizeTiered`].
    SizeTiered(SizeTieredOptions),
    /// [`Leveled`].
    Leveled(LeveledOptions),
    /// [`LazyLeveled`].
    LazyLeveled(LazyLeveledOptions),
}

impl StrategyOptions {
    /// The strategy.
    ///
    /// # Errors
    /// A parameter is out of its range.
    pub fn strategy<K: Key + 'static>(&self) -> Result<Arc<dyn Strategy<K>>, InvalidOptions> {
        Ok(match *self {
            Self::SizeTiered(options) => Arc::new(SizeTiered::new(options)?),
            Self::Leveled(options) => Arc::new(Leveled::new(options)?),
            Self::LazyLeveled(options) => Arc::new(LazyLeveled::new(options)?),
        })
    }

    /// From so many runs of level 0 on writers wait. The strategy has a plan long before.
    pub fn most_level_0_runs(&self) -> usize {
        let (wanted, spare) = match self {
            Self::SizeTiered(options) => (options.run_limit, options.run_limit),
            Self::Leveled(options) => (options.l0_soft_runs, options.l0_runs),
            Self::LazyLeveled(options) => (options.l0_runs, options.l0_runs * 4),
        };
        wanted.saturating_add(spare.max(LEAST_SPARE_RUNS))
    }
}

impl Default for StrategyOptions {
    fn default() -> Self {
        Self::Leveled(LeveledOptions::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_wait_at_the_stated_number_of_runs() {
        assert_eq!(StrategyOptions::default().most_level_0_runs(), 20);
        let tiered = StrategyOptions::SizeTiered(SizeTieredOptions::default());
        assert_eq!(tiered.most_level_0_runs(), 96);
        let lazy = StrategyOptions::LazyLeveled(LazyLeveledOptions::default());
        assert_eq!(lazy.most_level_0_runs(), 20);
    }

    #[test]
    fn a_parameter_out_of_its_range_makes_no_strategy() {
        let options = LeveledOptions { fan_out: 1, ..LeveledOptions::default() };
        assert!(StrategyOptions::Leveled(options).strategy::<u64>().is_err());
        assert!(StrategyOptions::default().strategy::<u64>().is_ok());
    }
}
