//! Choices that follow from a seed, so that a line of text repeats a whole run.

use durable::{Entropy as _, SeededEntropy};

/// A stream of choices.
#[derive(Debug)]
pub(crate) struct Random(SeededEntropy);

impl Random {
    /// The choices that follow from `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(SeededEntropy::new(seed))
    }

    pub(crate) fn next(&self) -> u64 {
        self.0.next_u64()
    }

    /// A number less than `end`. The bias of the remainder does not matter for tests.
    pub(crate) fn below(&self, end: usize) -> usize {
        let number = (self.next() % end.max(1) as u64) as usize;
        debug_assert!(number < end.max(1), "{number} is not below {end}");
        number
    }

    pub(crate) fn one_in(&self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of `choices`, which are not none.
    pub(crate) fn pick<'c, T>(&self, choices: &'c [T]) -> &'c T {
        assert!(!choices.is_empty(), "there is a choice");
        &choices[self.below(choices.len())]
    }
}

/// A seed for part `part` of a run that started from `seed`.
pub(crate) fn sub_seed(seed: u64, part: u64) -> u64 {
    SeededEntropy::new(seed ^ part.wrapping_mul(0xa076_1d64_78bd_642f)).next_u64()
}
