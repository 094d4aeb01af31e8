//! How the operations of a phase spread over its time, and whether that is steady.

use std::time::Duration;

use crate::client::Window;
use crate::statistics::mean;

/// The length of a bucket.
const BUCKET: Duration = Duration::from_millis(5);
/// A phase is cut into this many slices; the last [`JUDGED`] of them are judged.
const SLICES: usize = 10;
const JUDGED: usize = 5;
/// The most that the slices may differ: standard deviation by mean.
const LARGEST_VARIATION: f64 = 0.05;
/// Student's t at 97.5 % for three degrees of freedom: five slices and a line through them.
const T_THREE: f64 = 3.182;

/// Operations by time.
#[derive(Clone, Debug, Default)]
pub(super) struct OpsOverTime {
    /// The operations that ended in each [`BUCKET`] of the phase.
    buckets: Vec<u32>,
}

impl OpsOverTime {
    /// Adds the windows of all threads, which began at `offset` after the begin of the phase.
    pub(super) fn add<'w, I: Iterator<Item = &'w Window>>(&mut self, offset: Duration, windows: I) {
        for window in windows {
            let mut done = 0;
            for sample in &window.samples {
                let next = (sample.at + 1).min(window.ops);
                self.count(offset + Duration::from_nanos(sample.end_ns), next - done.min(next));
                done = next;
            }
            assert!(done <= window.ops, "a sample belongs to an operation");
            self.count(offset + (window.ended - window.begun), window.ops - done);
        }
    }

    /// Operations of all buckets.
    pub(super) fn ops(&self) -> u64 {
        self.buckets.iter().map(|ops| u64::from(*ops)).sum()
    }

    fn count(&mut self, at: Duration, ops: u32) {
        let bucket = (at.as_nanos() / BUCKET.as_nanos()) as usize;
        if bucket >= self.buckets.len() {
            self.buckets.resize(bucket + 1, 0);
        }
        debug_assert!(bucket < self.buckets.len(), "each moment has a bucket");
        self.buckets[bucket] += ops;
    }

    /// Whether the speed of the second half of the phase neither varies nor drifts; `None` for a phase too short to say.
    pub(super) fn is_even(&self) -> Option<bool> {
        // The last bucket is not full.
        let full = self.buckets.len().checked_sub(1)?;
        let width = full / SLICES;
        if width < 2 {
            return None;
        }
        let judged = &self.buckets[full - JUDGED * width..full];
        let sum = |slice: &[u32]| slice.iter().map(|ops| f64::from(*ops)).sum::<f64>();
        let slices: Vec<_> = judged.chunks(width).map(sum).collect();
        assert_eq!(slices.len(), JUDGED, "the slices fill the second half");
        Some(varies_little(&slices) && !drifts(&slices))
    }
}

fn varies_little(slices: &[f64]) -> bool {
    assert!(slices.len() > 1, "a deviation needs two slices");
    let middle = mean(slices);
    let squares = slices.iter().map(|slice| (slice - middle).powi(2)).sum::<f64>();
    let deviation = (squares / (slices.len() as f64 - 1.0)).sqrt();
    middle > 0.0 && deviation <= LARGEST_VARIATION * middle
}

/// Whether the 95 % interval of the slope of a line through the slices excludes 0.
fn drifts(slices: &[f64]) -> bool {
    assert_eq!(slices.len(), JUDGED, "three degrees of freedom");
    let middle = (slices.len() as f64 - 1.0) / 2.0;
    let height = mean(slices);
    let offsets = || (0..slices.len()).map(|at| at as f64 - middle);
    let spread: f64 = offsets().map(|offset| offset * offset).sum();
    let products = offsets().zip(slices).map(|(offset, slice)| offset * slice);
    let slope = products.sum::<f64>() / spread;
    let square = |(offset, slice): (f64, &f64)| (slice - height - slope * offset).powi(2);
    let squares: f64 = offsets().zip(slices).map(square).sum();
    let error = (squares / (slices.len() as f64 - 2.0) / spread).sqrt();
    slope.abs() > T_THREE * error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ops(speed: impl Fn(u32) -> u32) -> OpsOverTime {
        OpsOverTime { buckets: (0..=200).map(speed).collect() }
    }

    #[test]
    fn an_even_speed_is_steady_after_any_beginning() {
        let wobble = |at: u32| if at < 90 { 10 } else { 1000 + at * 7 % 13 };
        assert_eq!(ops(wobble).is_even(), Some(true));
    }

    #[test]
    fn a_speed_that_falls_or_jumps_is_not_steady() {
        assert_eq!(ops(|at| 10_000 - 10 * at).is_even(), Some(false));
        assert_eq!(ops(|at| if at / 20 % 2 == 0 { 1000 } else { 1200 }).is_even(), Some(false));
    }

    #[test]
    fn a_phase_that_is_too_short_is_not_judged() {
        assert_eq!(OpsOverTime::default().is_even(), None);
        assert_eq!(OpsOverTime { buckets: vec![5; 12] }.is_even(), None);
    }
}
