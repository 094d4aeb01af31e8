//! The entries that all sides hold.

use bench_harness::KeyShape;

pub(crate) const VALUE_BYTES: usize = 100;

/// Keys that lie side by side.
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

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.ends.windows(2).map(|ends| &self.bytes[ends[0]..ends[1]])
    }
}

/// Sorted keys with one value for all of them, and keys to look up.
pub(crate) struct Data {
    pub(crate) keys: Keys,
    /// The same keys, far from their order.
    pub(crate) shuffled: Keys,
    /// Keys of the same shape that are not there.
    pub(crate) absent: Keys,
}

impl Data {
    pub(crate) fn new(shape: KeyShape, entries: u32) -> Self {
        let key_of = |number| {
            let mut key = Vec::new();
            shape.write_key(number, &mut key);
            key
        };
        let mut keys: Vec<Vec<u8>> = (0..entries).map(key_of).collect();
        keys.sort_unstable();
        let mut numbers: Vec<u32> = (0..entries).collect();
        numbers.sort_unstable_by_key(|number| mix(u64::from(*number)));
        Self {
            keys: Keys::new(keys),
            shuffled: Keys::new(numbers.into_iter().map(key_of)),
            absent: Keys::new((entries..entries.saturating_mul(2)).map(key_of)),
        }
    }

    /// The bytes of all keys and values.
    pub(crate) fn len_bytes(&self) -> usize {
        self.keys.bytes.len() + self.keys.len() * VALUE_BYTES
    }
}

/// The value of every entry. It does not compress.
pub(crate) fn value() -> [u8; VALUE_BYTES] {
    std::array::from_fn(|at| (at as u8).wrapping_mul(151) ^ 0x5a)
}

/// A number that looks random, another one for each number.
pub(crate) fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (number ^ number >> 29).wrapping_mul(0xd1b5_4a32_d192_ed03) ^ number >> 32
}
