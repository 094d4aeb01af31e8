//! Keys: every key of a run has a number, its *id*, and the bytes follow from the id alone.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::decimal::{LONGEST_DECIMAL, write_decimal};
use crate::distribution::fnv_1a;
use crate::random::mix;

/// The begin of the keys of YCSB.
const USER: &[u8] = b"user";
/// The length of hashed and padded keys.
const FIXED_BYTES: usize = 16;
/// The last byte of the keys that are never put.
const MISSING_MARK: u8 = 0;

/// How an id becomes a key. The three shapes stress different parts of an engine: scattered bytes, a common prefix
/// before scattered digits, and a long common prefix in key order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyShape {
    /// 16 bytes of hash.
    Hashed,
    /// YCSB's: `user` and the FNV-1a hash of the id in decimal, 5 to 23 bytes.
    #[default]
    User,
    /// The id in decimal, padded with zeros to 16 bytes: key order is id order.
    Padded,
}

impl KeyShape {
    /// Writes the key of `id` into `key`, replacing its content.
    pub fn write_key(self, id: u32, key: &mut Vec<u8>) {
        key.clear();
        match self {
            Self::Hashed => {
                let first = mix(u64::from(id));
                let both = u128::from(first) << 64 | u128::from(mix(first));
                key.extend_from_slice(&both.to_be_bytes());
            }
            Self::User => {
                key.extend_from_slice(USER);
                write_decimal(fnv_1a(u64::from(id)), 0, key);
            }
            Self::Padded => write_decimal(u64::from(id), FIXED_BYTES, key),
        }
        debug_assert!((5..=USER.len() + LONGEST_DECIMAL).contains(&key.len()), "{key:?}");
    }
}

impl std::str::FromStr for KeyShape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "hashed" => Ok(Self::Hashed),
            "user" => Ok(Self::User),
            "padded" => Ok(Self::Padded),
            _ => Err(crate::suggest::unknown("key shape", text, ["hashed", "user", "padded"])),
        }
    }
}

/// All keys that a cell can ever use.
#[derive(Clone, Debug)]
pub(crate) enum KeySpace {
    /// Made from the id.
    Shaped(KeyShape),
    /// Read from a real input, in its order.
    Listed(Arc<[Box<[u8]>]>),
}

impl KeySpace {
    /// Writes the key of `id` into `key`, replacing its content.
    pub(crate) fn write_key(&self, id: u32, key: &mut Vec<u8>) {
        match self {
            Self::Shaped(shape) => shape.write_key(id, key),
            Self::Listed(keys) => {
                key.clear();
                key.extend_from_slice(&keys[id as usize]);
            }
        }
        debug_assert_eq!(key.len(), self.key_len(id), "the length is known without the key");
    }

    /// The length of the key of `id`, in bytes.
    pub(crate) fn key_len(&self, id: u32) -> usize {
        match self {
            Self::Shaped(KeyShape::Hashed | KeyShape::Padded) => FIXED_BYTES,
            Self::Shaped(KeyShape::User) => {
                let digits = fnv_1a(u64::from(id)).checked_ilog10().unwrap_or(0) + 1;
                USER.len() + digits as usize
            }
            Self::Listed(keys) => keys[id as usize].len(),
        }
    }

    /// Writes a key that was never put, right after the key of `id` in key order.
    pub(crate) fn write_missing_key(&self, id: u32, key: &mut Vec<u8>) {
        self.write_key(id, key);
        key.push(MISSING_MARK);
        debug_assert!(has_missing_mark(key), "a missing key is known by its end");
    }
}

/// Whether `key` ends like the keys of [`KeySpace::write_missing_key`]. So does one in 256 keys of [`KeyShape::Hashed`].
pub(crate) fn has_missing_mark(key: &[u8]) -> bool {
    key.last() == Some(&MISSING_MARK)
}

/// The ids in key order, so that a scan can be checked for lost entries and not only for wrong ones.
#[derive(Clone, Debug)]
pub(crate) struct KeyOrder {
    ids: Vec<u32>,
}

impl KeyOrder {
    /// The order of the first `count` keys.
    pub(crate) fn new(keys: &KeySpace, count: u32) -> Self {
        let mut ids: Vec<u32> = (0..count).collect();
        if !matches!(keys, KeySpace::Shaped(KeyShape::Padded)) {
            ids.sort_by_cached_key(|&id| {
                let mut key = Vec::new();
                keys.write_key(id, &mut key);
                key.into_boxed_slice()
            });
        }
        assert_eq!(ids.len(), count as usize, "each key has a place");
        Self { ids }
    }

    /// The ids whose keys are not less than `from`, in key order.
    pub(crate) fn ids_from(&self, keys: &KeySpace, from: &[u8]) -> &[u32] {
        let mut key = Vec::new();
        let start = self.ids.partition_point(|&id| {
            keys.write_key(id, &mut key);
            key[..] < *from
        });
        &self.ids[start..]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn keys_of_every_shape_are_distinct() {
        for shape in [KeyShape::Hashed, KeyShape::User, KeyShape::Padded] {
            let mut keys = HashSet::new();
            let mut key = Vec::new();
            for id in 0..50_000 {
                shape.write_key(id, &mut key);
                assert!(keys.insert(key.clone()), "{shape:?} {id}");
            }
        }
    }

    #[test]
    fn the_length_of_a_key_is_known_without_its_bytes() {
        let listed = [&b""[..], b"a", b"long key"].map(Box::from);
        let shaped = [KeyShape::Hashed, KeyShape::User, KeyShape::Padded].map(KeySpace::Shaped);
        let listed = (KeySpace::Listed(listed.into()), vec![0, 1, 2]);
        let ids = || (0..10_000).chain([u32::MAX]).collect();
        for (keys, ids) in shaped.map(|keys| (keys, ids())).into_iter().chain([listed]) {
            let mut key = Vec::new();
            for id in ids {
                keys.write_key(id, &mut key);
                assert_eq!(keys.key_len(id), key.len(), "{keys:?} {id}");
            }
        }
    }

    #[test]
    fn padded_keys_lie_in_id_order_and_user_keys_look_like_ycsb() {
        let mut key = Vec::new();
        KeyShape::Padded.write_key(42, &mut key);
        assert_eq!(key, b"0000000000000042");
        KeyShape::User.write_key(0, &mut key);
        assert_eq!(key, format!("user{}", fnv_1a(0)).as_bytes());
    }

    #[test]
    fn the_mark_of_missing_keys_ends_no_key_of_the_decimal_shapes() {
        for shape in [KeyShape::User, KeyShape::Padded] {
            let keys = KeySpace::Shaped(shape);
            let mut key = Vec::new();
            for id in 0..10_000 {
                keys.write_key(id, &mut key);
                assert!(!has_missing_mark(&key), "{shape:?} {id}");
                keys.write_missing_key(id, &mut key);
                assert!(has_missing_mark(&key), "{shape:?} {id}");
            }
        }
    }

    #[test]
    fn the_order_starts_at_the_first_key_that_is_not_less() {
        let keys = KeySpace::Shaped(KeyShape::Hashed);
        let order = KeyOrder::new(&keys, 500);
        let mut from = Vec::new();
        keys.write_key(7, &mut from);
        assert_eq!(order.ids_from(&keys, &from)[0], 7);
        keys.write_missing_key(7, &mut from);
        assert_ne!(order.ids_from(&keys, &from).first(), Some(&7));
        assert_eq!(order.ids_from(&keys, b"").len(), 500);
    }
}
