//! The operations that a workload is made of, and the stream of them that is drawn before anything is timed.
//!
//! A stream depends on the seed, the block, the workload, the phase and the thread, and on nothing else: every engine
//! gets the same operations.

use crate::distribution::{KeyChoice, Picker};
use crate::random::Random;
use crate::workload::{LengthRange, Mix};

/// A kind of call on the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Reads a key.
    Get,
    /// Reads a key that was never put.
    GetMiss,
    /// Writes a key.
    Put,
    /// Writes the next new key.
    Insert,
    /// Removes a key.
    Delete,
    /// Reads some entries from a key on.
    Scan,
    /// Reads a key and writes it back.
    ReadModifyWrite,
}

impl Operation {
    /// Every operation.
    pub(crate) const ALL: [Self; 7] = [
        Self::Get,
        Self::GetMiss,
        Self::Put,
        Self::Insert,
        Self::Delete,
        Self::Scan,
        Self::ReadModifyWrite,
    ];

    /// Whether the call returns an answer that is stamped.
    pub(crate) fn is_read(self) -> bool {
        matches!(self, Self::Get | Self::GetMiss | Self::Scan | Self::ReadModifyWrite)
    }

    /// Whether the call writes.
    pub(crate) fn is_write(self) -> bool {
        matches!(self, Self::Put | Self::Insert | Self::Delete | Self::ReadModifyWrite)
    }

    /// The name in workload files and results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::GetMiss => "get-miss",
            Self::Put => "put",
            Self::Insert => "insert",
            Self::Delete => "delete",
            Self::Scan => "scan",
            Self::ReadModifyWrite => "rmw",
        }
    }
}

/// Index of the read part of a read-modify-write; it follows the indexes of all operations.
pub(crate) const RMW_GET: usize = Operation::ALL.len();
/// Index of the write part.
pub(crate) const RMW_PUT: usize = RMW_GET + 1;

/// One operation of a stream, in eight bytes: a long stream must not push the engine's data out of the processor's cache.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pick: u32,
    /// The operation in the upper three bits, `length` in the others.
    packed: u32,
}

/// Bits of [`Step::length`].
const LENGTH_BITS: u32 = 29;
const _: () = assert!(size_of::<Step>() == 8);

impl Step {
    /// A step. `length` is below 2^29.
    pub(crate) fn new(operation: Operation, pick: u32, length: u32) -> Self {
        assert!(length < 1 << LENGTH_BITS, "no value and no scan is so long");
        let step = Self { pick, packed: (operation as u32) << LENGTH_BITS | length };
        debug_assert_eq!((step.operation(), step.length()), (operation, length), "reads back");
        step
    }

    /// The kind of call.
    pub(crate) fn operation(self) -> Operation {
        Operation::ALL[(self.packed >> LENGTH_BITS) as usize]
    }

    /// The id of the key; with `latest` the distance from the newest one.
    pub(crate) fn pick(self) -> u32 {
        self.pick
    }

    /// The length of a scan, or the size of a value.
    pub(crate) fn length(self) -> u32 {
        self.packed & ((1 << LENGTH_BITS) - 1)
    }
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({})", self.operation().name(), self.pick(), self.length())
    }
}

/// The parameters that a random stream is drawn with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamPlan {
    /// The weights of the operations.
    pub(crate) mix: Mix,
    /// How keys are picked.
    pub(crate) keys: KeyChoice,
    /// The keys that are picked from; not 0.
    pub(crate) key_count: u32,
    /// The lengths of scans.
    pub(crate) scan_length: LengthRange,
    /// The size of values.
    pub(crate) value_bytes: u32,
    /// The number of steps.
    pub(crate) steps: usize,
}

impl StreamPlan {
    /// Draws the stream. Operation, key and length come from independent draws, so that one does not tell another.
    pub(crate) fn draw(&self, random: &mut Random) -> Vec<Step> {
        let weights = weights(self.mix);
        let total = self.mix.total();
        let mut picker = Picker::new(self.keys, u64::from(self.key_count));
        assert!(total > 0, "some operation has a weight");
        assert!(self.scan_length.least <= self.scan_length.most, "lengths are a range");
        let lengths = u64::from(self.scan_length.most - self.scan_length.least) + 1;
        let mut draw_step = || {
            let operation = operation_at(&weights, random.below(total));
            let length = match operation {
                Operation::Scan => self.scan_length.least + random.below(lengths) as u32,
                _ => self.value_bytes,
            };
            Step::new(operation, picker.pick(random) as u32, length)
        };
        (0..self.steps).map(|_| draw_step()).collect()
    }
}

/// Each operation with its weight in `mix`.
pub(crate) fn weights(mix: Mix) -> [(Operation, u32); 7] {
    let Mix { get, get_miss, put, insert, delete, scan, rmw } = mix;
    let weights = [get, get_miss, put, insert, delete, scan, rmw];
    let weights: [_; 7] = std::array::from_fn(|at| (Operation::ALL[at], weights[at]));
    let sum: u64 = weights.iter().map(|(_, weight)| u64::from(*weight)).sum();
    assert_eq!(sum, mix.total(), "each operation has its weight");
    weights
}

/// The operation whose part of the sum of all weights has `point` in it.
fn operation_at(weights: &[(Operation, u32)], point: u64) -> Operation {
    let mut end = 0;
    for (operation, weight) in weights {
        end += u64::from(*weight);
        if point < end {
            return *operation;
        }
    }
    unreachable!("point {point} lies below the sum of the weights, {end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_keeps_its_parts() {
        for operation in Operation::ALL {
            let step = Step::new(operation, u32::MAX, (1 << LENGTH_BITS) - 1);
            assert_eq!(step.operation(), operation);
            assert_eq!((step.pick(), step.length()), (u32::MAX, (1 << LENGTH_BITS) - 1));
        }
    }

    #[test]
    fn a_stream_keeps_its_mix_and_its_lengths() {
        let plan = StreamPlan {
            mix: Mix { get: 75, scan: 25, ..Mix::default() },
            keys: KeyChoice::Uniform,
            key_count: 10,
            scan_length: LengthRange { least: 3, most: 5 },
            value_bytes: 100,
            steps: 20_000,
        };
        let steps = plan.draw(&mut Random::new(1, &[]));
        let scans: Vec<_> = steps.iter().filter(|s| s.operation() == Operation::Scan).collect();
        assert!((4_700..5_300).contains(&scans.len()), "{}", scans.len());
        assert!(scans.iter().all(|step| (3..=5).contains(&step.length())));
        assert_eq!(steps, plan.draw(&mut Random::new(1, &[])));
    }
}
