//! From blocks to numbers with intervals. The unit of repetition is the block: a fresh process on a fresh directory.
//!
//! The middle is the median over blocks; the interval is the 95 % t-interval of the mean of the logarithms, which keeps
//! its promise from three blocks on where a bootstrap would not. Ratios are paired: both numbers of a pair come from
//! the same block, so that drift over time cancels out.

/// Student's t at 97.5 % for 1 to 30 degrees of freedom.
const T_QUANTILES: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];
/// The same beyond the table.
const T_LIMIT: f64 = 1.96;

/// A number from several blocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    /// The median over the blocks.
    pub(crate) median: f64,
    /// The 95 % interval; none from a single block.
    pub(crate) interval: Option<(f64, f64)>,
}

impl Estimate {
    /// The estimate from one positive number a block; `None` without any.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        if values.iter().any(|value| *value <= 0.0) {
            return None;
        }
        Some(Self { median: median(values)?, interval: interval(values) })
    }

    /// Whether the interval holds `value`: a difference from it is then not shown. Without an interval nothing is.
    pub(crate) fn may_be(&self, value: f64) -> bool {
        self.interval.is_none_or(|(low, high)| low <= value && value <= high)
    }
}

/// The ratio of two series of blocks, paired.
pub(crate) fn paired_ratio(of: &[(u32, f64)], to: &[(u32, f64)]) -> Option<Estimate> {
    let partner =
        |block: u32| to.iter().find(|(other, _)| *other == block).map(|(_, value)| *value);
    let ratios: Vec<_> =
        of.iter().filter_map(|(block, value)| Some(value / partner(*block)?)).collect();
    Estimate::of(&ratios)
}

/// The middle of `values`, or the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        len if len % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

fn interval(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < 2 {
        return None;
    }
    let n = values.len() as f64;
    let logs: Vec<_> = values.iter().map(|value| value.ln()).collect();
    let mean = logs.iter().sum::<f64>() / n;
    let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let t = T_QUANTILES.get(values.len() - 2).copied().unwrap_or(T_LIMIT);
    let half = t * (variance / n).sqrt();
    assert!(half >= 0.0 || half.is_nan(), "a variance is not negative");
    Some(((mean - half).exp(), (mean + half).exp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_the_one_of_the_textbook() {
        // ln of the values is 0, 1, 2: mean 1, deviation 1, half width 4.303 / sqrt(3).
        let values = [1.0, 1.0_f64.exp(), 2.0_f64.exp()];
        let (low, high) = interval(&values).unwrap();
        assert!((low.ln() - (1.0 - 2.4843)).abs() < 1e-3, "{low}");
        assert!((high.ln() - (1.0 + 2.4843)).abs() < 1e-3, "{high}");
    }

    #[test]
    fn a_drift_that_both_share_leaves_the_ratio_exact() {
        let of = [(1, 20.0), (2, 40.0), (3, 80.0)];
        let to = [(3, 40.0), (1, 10.0), (2, 20.0)];
        let ratio = paired_ratio(&of, &to).unwrap();
        assert!((ratio.median - 2.0).abs() < 1e-12);
        assert!(!ratio.may_be(1.0));
    }

    #[test]
    fn one_block_has_a_number_and_no_interval() {
        let estimate = Estimate::of(&[5.0]).unwrap();
        assert_eq!(estimate, Estimate { median: 5.0, interval: None });
        assert!(estimate.may_be(1.0));
        assert_eq!(Estimate::of(&[]), None);
    }
}
