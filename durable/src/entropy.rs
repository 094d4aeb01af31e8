//! Random numbers, as a parameter: for ids that must differ between stores, never for decisions.

use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};

use crate::sync::Mutex;

/// Where an engine gets random numbers from.
pub trait Entropy: Debug + Send + Sync {
    /// The next one.
    fn next_u64(&self) -> u64;
}

/// Random numbers from the operating system, by way of the keys of the standard library's hash maps.
#[derive(Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn next_u64(&self) -> u64 {
        RandomState::new().hash_one(0x5eed_u64)
    }
}

/// The same numbers for the same seed (`SplitMix64`; Steele, Lea, Flood 2014).
#[derive(Debug)]
pub struct SeededEntropy {
    state: Mutex<u64>,
}

impl SeededEntropy {
    /// Numbers that follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: Mutex::new(seed) }
    }
}

impl Entropy for SeededEntropy {
    fn next_u64(&self) -> u64 {
        let mut state = self.state.lock();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
