//! The footprint of a recorded trace: the average over all windows of a length, exactly.
//!
//! A store of any size is so many copies of the trace, each with its own keys and at a random place in it. The trace is
//! taken as a circle. Let `gap` be the number of steps from an operation to the next one on its key. In a window of `w`
//! steps, an operation is the last one on its key on two conditions. The window ends less than `w` steps after it, and before
//! the next one. So there are `min(gap, w)` such windows. Xiang et al. (*Linear-time modeling of program working set in shared cache*,
//! 2011) have the same sum for caches.

use crate::input::TraceStep;

use super::footprint::{Density, Footprint};

/// The footprint of copies of a trace.
#[derive(Clone, Debug)]
pub(super) struct TraceFootprint {
    /// The gap after each operation, in rising order.
    gaps: Vec<f64>,
    /// For each operation and one more: the sums over the operations before it, first of the density times the gap,
    /// then of the density.
    sums: Vec<(Density, Density)>,
    /// Keys of one copy.
    keys: f64,
    copies: f64,
    operation_bytes: f64,
}

impl TraceFootprint {
    /// The footprint of `copies` copies of `steps`, of which the key `id` has `key_bytes[id]` bytes.
    pub(super) fn new(steps: &[TraceStep], key_bytes: &[usize], copies: f64) -> Self {
        assert!(!steps.is_empty(), "a trace has operations");
        let gaps = gaps(steps, key_bytes.len());
        let mut operations: Vec<(f64, Density)> = steps
            .iter()
            .zip(gaps)
            .map(|(step, gap)| (gap as f64, density(step, key_bytes)))
            .collect();
        operations.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut sums = vec![(Density::default(), Density::default())];
        for (gap, density) in &operations {
            let (by_gap, plain) = sums[sums.len() - 1];
            sums.push((add(by_gap, *density, *gap), add(plain, *density, 1.0)));
        }
        let all = sums[operations.len()].1;
        let operation_bytes = all.bytes / steps.len() as f64;
        let gaps = operations.iter().map(|(gap, _)| *gap).collect();
        Self { gaps, sums, keys: key_bytes.len() as f64, copies, operation_bytes }
    }
}

/// The steps from each operation to the next one on the same key, around the circle.
fn gaps(steps: &[TraceStep], keys: usize) -> Vec<usize> {
    let mut next = vec![usize::MAX; keys];
    for (at, step) in steps.iter().enumerate().rev() {
        next[step.id as usize] = at + steps.len();
    }
    let mut gaps = vec![0; steps.len()];
    for (at, step) in steps.iter().enumerate().rev() {
        gaps[at] = next[step.id as usize] - at;
        next[step.id as usize] = at;
        debug_assert!((1..=steps.len()).contains(&gaps[at]), "a gap is within one round");
    }
    gaps
}

fn density(step: &TraceStep, key_bytes: &[usize]) -> Density {
    let key = key_bytes[step.id as usize] as f64;
    let bytes = key + step.value_bytes.map_or(0.0, f64::from);
    match step.value_bytes {
        Some(_) => Density { entries: 1.0, bytes, ..Density::default() },
        None => Density { entries: 1.0, tombstones: 1.0, bytes, tombstone_bytes: bytes },
    }
}

/// `sum + part * factor`.
fn add(sum: Density, part: Density, factor: f64) -> Density {
    Density {
        entries: sum.entries + part.entries * factor,
        tombstones: sum.tombstones + part.tombstones * factor,
        bytes: sum.bytes + part.bytes * factor,
        tombstone_bytes: sum.tombstone_bytes + part.tombstone_bytes * factor,
    }
}

impl Footprint for TraceFootprint {
    fn at(&self, window: f64) -> Density {
        let steps = (window / self.copies).max(0.0);
        let short = self.gaps.partition_point(|gap| *gap < steps);
        let (by_gap, before) = self.sums[short];
        let all = self.sums[self.gaps.len()].1;
        let long = add(all, before, -1.0);
        let sum = add(by_gap, long, steps);
        // Averages over the places where a window may end, and over the keys.
        add(Density::default(), sum, 1.0 / (self.gaps.len() as f64 * self.keys))
    }

    fn complete(&self) -> f64 {
        self.gaps.len() as f64 * self.copies
    }

    fn operation_bytes(&self) -> f64 {
        self.operation_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_over_gaps_is_the_average_over_all_windows() {
        let ids = [0_u32, 1, 0, 2, 2, 1, 0, 3, 1, 0, 0, 2];
        let steps: Vec<TraceStep> = ids
            .iter()
            .enumerate()
            .map(|(at, id)| TraceStep { id: *id, value_bytes: (at % 3 != 1).then_some(at as u32) })
            .collect();
        let footprint = TraceFootprint::new(&steps, &[5, 6, 7, 8], 1.0);
        for window in 1..=12 {
            let (mut entries, mut tombstones, mut bytes) = (0, 0, 0);
            for end in 0..12 {
                let mut seen = [false; 4];
                for back in 0..window {
                    let step = &steps[(end + 12 - back) % 12];
                    let is_first = !std::mem::replace(&mut seen[step.id as usize], true);
                    if is_first {
                        entries += 1;
                        tombstones += usize::from(step.value_bytes.is_none());
                        bytes += step.id as usize + 5 + step.value_bytes.unwrap_or(0) as usize;
                    }
                }
            }
            let found = footprint.at(window as f64);
            let mean = |sum: usize| sum as f64 / 12.0 / 4.0;
            assert!((found.entries - mean(entries)).abs() < 1e-9, "{window}");
            assert!((found.tombstones - mean(tombstones)).abs() < 1e-9, "{window}");
            assert!((found.bytes - mean(bytes)).abs() < 1e-9, "{window}");
        }
    }
}
