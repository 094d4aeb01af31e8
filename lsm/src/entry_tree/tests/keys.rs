//! Keys that are hard on a tree of prefixes.

use durable::{Entropy as _, SeededEntropy};

/// Random numbers from a seed.
pub(super) struct Random(SeededEntropy);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(SeededEntropy::new(seed))
    }

    pub(super) fn below(&self, end: usize) -> usize {
        (self.0.next_u64() % end as u64) as usize
    }
}

/// How the keys of a test look.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// Few bytes out of few, so that keys are prefixes of each other and differ in zeros at the end.
    Short,
    /// Ascending numbers behind zeros.
    Ascending,
    /// Descending numbers.
    Descending,
    /// Numbers behind the same 40 bytes.
    SamePrefix,
    /// Four keys, with a version for each write.
    Versions,
    /// Random bytes.
    Hashed,
    /// A zero or not, at one of many places: the bytes that neighbours share vary much.
    Staircase,
    /// Up to the greatest length, with long equal beginnings.
    Long,
}

pub(super) const SHAPES: [Shape; 8] = [
    Shape::Short,
    Shape::Ascending,
    Shape::Descending,
    Shape::SamePrefix,
    Shape::Versions,
    Shape::Hashed,
    Shape::Staircase,
    Shape::Long,
];

impl Shape {
    /// The key of write `number`.
    pub(super) fn key(self, number: usize, random: &Random) -> Vec<u8> {
        match self {
            Self::Short => {
                let len = random.below(6);
                (0..len).map(|_| [0, 0, 1, b'a', 0xff][random.below(5)]).collect()
            }
            Self::Ascending => format!("{number:020}").into_bytes(),
            Self::Descending => format!("{:08}", 99_999_999 - number).into_bytes(),
            Self::SamePrefix => format!("{:x>40}{}", "", random.below(5_000)).into_bytes(),
            Self::Versions => vec![b'k'; 1 + random.below(4)],
            Self::Hashed => (random.0.next_u64()).to_be_bytes().repeat(2),
            Self::Staircase => {
                let mut key = vec![7; 1 + random.below(40)];
                *key.last_mut().expect("it has a byte") = random.below(3) as u8;
                key
            }
            Self::Long => {
                let mut key = vec![b'z'; [9, 300, 20_000, kv::MAX_KEY_LEN][random.below(4)]];
                let at = key.len() - 1 - random.below(9);
                key[at] = random.below(256) as u8;
                key
            }
        }
    }

    /// How many writes are enough for a tree of several levels, within reason.
    pub(super) fn writes(self) -> usize {
        if matches!(self, Self::Long) { 200 } else { 4_000 }
    }
}
