//! From blocks to numbers with intervals. The unit of repetition is the block: a fresh process on a fresh directory.
//!
//! The middle is the median over blocks. The interval is the 95 % t-interval of the mean of the logarithms: it keeps its
//! promise from three blocks on, where a bootstrap would not. Two series are never compared by these intervals: that is
//! the part of [`crate::paired`].

use crate::student;

/// The significance level: the share of intervals that miss the true value.
pub(crate) const LEVEL: f64 = 0.05;

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
        let (median, interval) = (median(values)?, interval(values));
        debug_assert!(interval.is_none_or(|(low, high)| low <= high || low.is_nan()));
        Some(Self { median, interval })
    }
}

/// The middle of `values`, or the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    debug_assert!(sorted.iter().all(|value| !value.is_nan()), "a median is of numbers");
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        len if len % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The mean of `values`; not a number without any.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn interval(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < 2 {
        return None;
    }
    let n = values.len() as f64;
    let logs: Vec<_> = values.iter().map(|value| value.ln()).collect();
    let middle = mean(&logs);
    let variance = logs.iter().map(|log| (log - middle).powi(2)).sum::<f64>() / (n - 1.0);
    let half = student::critical(LEVEL, values.len() as u32 - 1) * (variance / n).sqrt();
    assert!(half >= 0.0 || half.is_nan(), "a variance is not negative");
    Some(((middle - half).exp(), (middle + half).exp()))
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
    fn one_block_has_a_number_and_no_interval() {
        let estimate = Estimate::of(&[5.0]).unwrap();
        assert_eq!(estimate, Estimate { median: 5.0, interval: None });
        assert_eq!(Estimate::of(&[]), None);
    }

    #[test]
    fn the_interval_is_that_of_students_t() {
        let logs = [1.0_f64, 2.0, 3.0];
        let (low, high) = Estimate::of(&logs.map(f64::exp)).unwrap().interval.unwrap();
        // The quantile for two degrees of freedom is 4.302_65.
        let half = 4.302_65 / 3.0_f64.sqrt();
        assert!((low.ln() - (2.0 - half)).abs() < 1e-4, "{low}");
        assert!((high.ln() - (2.0 + half)).abs() < 1e-4, "{high}");
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
        assert_eq!(Estimate::of(&[1.0, 0.0]), None, "a speed of 0 has no logarithm");
    }
}
