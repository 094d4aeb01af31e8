//! The entries that all sides hold.

use bench_harness::KeyShape;

pub(crate) const VALUE_BYTES: usize = 100;
/// The bytes at the front of a value that follow from its key: they show that an answer belongs to the key.
const MARK_BYTES: usize = 8;

/// Keys that lie side by side: reading the next one costs each side the same.
pub(crate) struct Keys {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Keys {
    pub(crate) fn new<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> Self {
        let (mut bytes, mut ends) = (Vec::new(), vec![0]);
        for key in keys {
            bytes.extend_from_slice(key.as_ref());
            ends.push(bytes.len());
        }
        Self { bytes, ends }
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len() - 1
    }

    /// The keys in turns.
    pub(crate) fn turns(&self) -> KeyTurns<'_> {
        KeyTurns { keys: self, at: 0 }
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &[u8]> + Clone {
        self.ends.windows(2).map(|ends| &self.bytes[ends[0]..ends[1]])
    }
}

/// The keys in turns, again and again.
pub(crate) struct KeyTurns<'k> {
    keys: &'k Keys,
    at: usize,
}

impl<'k> KeyTurns<'k> {
    /// The next `count` keys. Where fewer are left, the turn begins at the first key: a step of a turn is a few instructions.
    pub(crate) fn next_turn(&mut self, count: usize) -> impl Iterator<Item = &'k [u8]> {
        assert!(count <= self.keys.len(), "keys for a turn");
        if self.keys.len() - self.at < count {
            self.at = 0;
        }
        let ends = &self.keys.ends[self.at..=self.at + count];
        self.at += count;
        ends.windows(2).map(|ends| &self.keys.bytes[ends[0]..ends[1]])
    }
}

/// Sorted keys, and keys to look up.
pub(crate) struct Data {
    pub(crate) keys: Keys,
    /// The same keys, far from their order.
    pub(crate) shuffled: Keys,
    /// As many keys that are not there, far from their order.
    pub(crate) absent: Keys,
}

impl Data {
    /// Keys of even numbers are there, keys of odd ones are not. So the absent keys of every shape lie between present ones.
    pub(crate) fn new(shape: KeyShape, entries: u32) -> Self {
        let key_of = |number| {
            let mut key = Vec::new();
            shape.write_key(number, &mut key);
            key
        };
        let mut keys: Vec<Vec<u8>> = (0..entries).map(|number| key_of(2 * number)).collect();
        keys.sort_unstable();
        let mut numbers: Vec<u32> = (0..entries).collect();
        numbers.sort_unstable_by_key(|number| mix(u64::from(*number)));
        Self {
            keys: Keys::new(keys),
            shuffled: Keys::new(numbers.iter().map(|number| key_of(2 * number))),
            absent: Keys::new(numbers.iter().map(|number| key_of(2 * number + 1))),
        }
    }

    /// The bytes of all keys and values.
    pub(crate) fn len_bytes(&self) -> usize {
        self.keys.bytes.len() + self.keys.len() * VALUE_BYTES
    }
}

/// The value of `key`: the end of the key, and bytes that do not compress.
pub(crate) fn value_of(key: &[u8]) -> [u8; VALUE_BYTES] {
    let mut value = std::array::from_fn(|at| (at as u8).wrapping_mul(151) ^ 0x5a);
    value[..MARK_BYTES].copy_from_slice(mark_of(key));
    value
}

/// Whether `value` is the one of `key`, by its first bytes.
#[inline]
pub(crate) fn belongs(key: &[u8], value: &[u8]) -> bool {
    value.len() == VALUE_BYTES && value[..MARK_BYTES] == *mark_of(key)
}

fn mark_of(key: &[u8]) -> &[u8] {
    &key[key.len() - MARK_BYTES..]
}

/// A number that looks random, another one for each number.
pub(crate) fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (number ^ number >> 29).wrapping_mul(0xd1b5_4a32_d192_ed03) ^ number >> 32
}
