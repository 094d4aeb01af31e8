//! One line of `amplification.csv`.

use serde::Serialize;

use super::bands::Band;
use super::drive::Cost;

/// A phase of a cell. Units stand in the names; empty means that no band is known.
#[derive(Clone, Debug, Serialize)]
pub(super) struct AmplificationRow {
    pub(super) strategy: &'static str,
    pub(super) workload: String,
    pub(super) keys: u64,
    pub(super) live_bytes: u64,
    /// Bytes written to tables for each byte of the user; a log would add 1.
    pub(super) write_amplification: f64,
    /// Runs that a read of an absent key asks without filters, on average.
    pub(super) read_amplification: f64,
    /// Bytes of tables for each live byte, on average between compactions. In a load, those loaded so far are live.
    pub(super) space_amplification: f64,
    /// The same at most, with the outputs of a compaction beside its inputs.
    pub(super) space_amplification_peak: f64,
    pub(super) flushes: u64,
    pub(super) compactions: u64,
    pub(super) moves: u64,
    pub(super) levels: u64,
    pub(super) expected_write_low: Option<f64>,
    pub(super) expected_write_high: Option<f64>,
    pub(super) expected_read_most: Option<f64>,
    pub(super) expected_space_most: Option<f64>,
}

impl AmplificationRow {
    pub(super) fn new(
        strategy: &'static str,
        workload: String,
        (keys, live_bytes): (u64, f64),
        cost: &Cost,
        band: Option<Band>,
    ) -> Self {
        // Three digits after the point are more than the model can promise.
        let rounded = |value: f64| (value * 1e3).round() / 1e3;
        let expected = |value: fn(Band) -> f64| band.map(value).map(rounded);
        Self {
            strategy,
            workload,
            keys,
            live_bytes: crate::quantity::floor_to_u64(live_bytes.round()),
            write_amplification: rounded(cost.write),
            read_amplification: rounded(cost.read),
            space_amplification: rounded(cost.space),
            space_amplification_peak: rounded(cost.space_peak),
            flushes: cost.flushes,
            compactions: cost.compactions,
            moves: cost.moves,
            levels: cost.levels,
            expected_write_low: expected(|band| band.write_low),
            expected_write_high: expected(|band| band.write_high),
            expected_read_most: expected(|band| band.read),
            expected_space_most: expected(|band| band.space),
        }
    }

    /// Whether all three amplifications lie where they are expected.
    pub(super) fn is_expected(&self) -> bool {
        self.expected_write_low.is_none_or(|low| self.write_amplification >= low)
            && self.expected_write_high.is_none_or(|high| self.write_amplification <= high)
            && self.expected_read_most.is_none_or(|most| self.read_amplification <= most)
            && self.expected_space_most.is_none_or(|most| self.space_amplification <= most)
    }
}
