//! The amplification that the literature expects of uniform overwrites, to check a simulation against.
//!
//! Sources: O'Neil et al., *The log-structured merge-tree*, 1996 (leveled); Dayan and Idreos, *Dostoevsky*, 2018, which
//! compares tiered, leveled and lazy-leveled trees. The tolerances are in the file of parameters, with their sources.
//!
//! The formulas hold for stores of many memtables. With less than about twenty, a memtable has a good part of the keys, and
//! the base level is no larger than level 0. Leveled and size-tiered compaction then write less.
//!
//! With `D` live bytes, a memtable of `M`, fan-out `T`, and `L = ceil(log_T(D / M))` levels:
//! - leveled: the flush, level 0 into the base of `D / T^(L - 1)` bytes, and each deeper level `overlap * T + 1`; all but the
//!   flush times `aligned`; space 1 + 1 / (T - 1) + level 0;
//! - size-tiered with a fan-in `t`: the flush and one merge in each of `ceil(log_t(D / M))` tiers; space at most `t`;
//! - lazy-leveled: the flush, one merge in each level above the last, and T / 2 to T in the last; space as leveled.

use super::parameters::{Parameters, StrategyName};

/// What is expected for one size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Band {
    /// Bytes written to tables for each byte of the user, at least.
    pub(super) write_low: f64,
    /// The same at most.
    pub(super) write_high: f64,
    /// Runs at most.
    pub(super) read: f64,
    /// The most that space may be, on average between compactions.
    pub(super) space: f64,
}

impl Band {
    /// The band of `strategy` for `live_bytes`, the tolerance of the parameters included.
    pub(super) fn of(strategy: StrategyName, parameters: &Parameters, live_bytes: f64) -> Self {
        let memtable = parameters.memtable_bytes.0 as f64;
        let ratio = live_bytes / memtable;
        let levels = |fan_out: f64| (ratio.ln() / fan_out.ln()).ceil().max(1.0);
        let (low, high, read, space) = match strategy {
            StrategyName::Leveled => {
                let options = parameters.leveled.options();
                let (fan_out, runs) = (options.fan_out as f64, options.l0_runs as f64);
                let levels = levels(fan_out);
                let base = live_bytes / fan_out.powf(levels - 1.0);
                let deeper = (levels - 1.0) * (parameters.band.overlap * fan_out + 1.0);
                let compactions = 1.0 + base / (runs * memtable) + deeper;
                let write = 1.0 + parameters.band.aligned * compactions;
                (write, write, runs + levels, 1.0 + 1.0 / (fan_out - 1.0) + runs / ratio)
            }
            StrategyName::SizeTiered => {
                let options = parameters.size_tiered.options();
                let fan_in = options.min_runs as f64;
                let write = 1.0 + levels(fan_in);
                (write, write, (fan_in - 1.0) * levels(fan_in) + fan_in, fan_in)
            }
            StrategyName::LazyLeveled => {
                let options = parameters.lazy_leveled.options(parameters.memtable_bytes.0);
                let (fan_out, runs) = (options.fan_out as f64, options.l0_runs as f64);
                let above = levels(fan_out) - 1.0;
                let read = (fan_out - 1.0) * above + 1.0 + runs;
                let space = 1.0 + 1.0 / (fan_out - 1.0) + runs / ratio;
                (1.0 + above + fan_out / 2.0, 1.0 + above + fan_out, read, space)
            }
        };
        let (write_low, write_high) = (low * parameters.band.low, high * parameters.band.high);
        assert!(write_low <= write_high, "{write_low} to {write_high} is a band");
        Self { write_low, write_high, read, space }
    }
}
