//! Seeded randomness: one stream per purpose, the same on every machine and for every engine.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    stream: Xoshiro256PlusPlus,
}

impl Random {
    /// The stream for `purpose` (block, phase, thread, ...) of a run. Streams of different purposes share nothing.
    pub(crate) fn new(seed: u64, purpose: &[u64]) -> Self {
        let mixed = purpose.iter().fold(mix(seed), |state, part| mix(state ^ mix(*part)));
        Self { stream: Xoshiro256PlusPlus::seed_from_u64(mixed) }
    }

    /// A number from the whole range.
    pub(crate) fn bits(&mut self) -> u64 {
        self.stream.next_u64()
    }

    /// A number in `0.0..1.0`, all multiples of 2^-53 equally likely.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number in `0..bound`, biased by less than `bound / 2^64`. `bound` is not 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        debug_assert!(bound > 0, "no number is below 0");
        let number = ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64;
        debug_assert!(number < bound, "{number} is below {bound}");
        number
    }

    /// Brings `items` into a random order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at as u64 + 1) as usize);
        }
    }
}

/// Steele, Lea and Flood's `SplitMix64`: a bijection that spreads neighbours over the whole range.
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number for a name, the same in every build.
pub(crate) fn hash_name(name: &str) -> u64 {
    name.bytes().fold(0, |state, byte| mix(state ^ u64::from(byte)))
}

/// A fixed bijection of `0..count` that puts neighbours far apart: where hot ranks lie must not follow key order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scatter {
    count: u64,
    stride: u64,
}

impl Scatter {
    /// The bijection of `0..count`.
    pub(crate) fn new(count: u64) -> Self {
        // Any stride without a common divisor visits every place; near the golden section neighbours end up far apart.
        let golden = count as f64 * 0.618_033_988_749_895;
        let mut stride = crate::quantity::floor_to_u64(golden).max(1);
        while common_divisor(stride, count) > 1 {
            stride += 1;
        }
        debug_assert!(stride <= count.max(1), "a stride up to the count has no divisor with it");
        Self { count, stride }
    }

    /// Where `index` goes.
    pub(crate) fn place(self, index: u64) -> u64 {
        debug_assert!(index < self.count, "{index} is one of {}", self.count);
        (u128::from(index) * u128::from(self.stride) % u128::from(self.count.max(1))) as u64
    }
}

fn common_divisor(left: u64, right: u64) -> u64 {
    if right == 0 { left } else { common_divisor(right, left % right) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scatter_visits_every_place_once() {
        for count in [1_u64, 2, 3, 10, 1000, 1023, 4096] {
            let mut places: Vec<_> = (0..count).map(|i| Scatter::new(count).place(i)).collect();
            places.sort_unstable();
            assert!(places.into_iter().eq(0..count), "{count}");
        }
    }

    #[test]
    fn streams_repeat_by_purpose_and_differ_between_purposes() {
        assert_eq!(Random::new(7, &[1, 2]).bits(), Random::new(7, &[1, 2]).bits());
        assert_ne!(Random::new(7, &[1, 2]).bits(), Random::new(7, &[2, 1]).bits());
    }
}
