//! The keys and values of scripts, by number.
//!
//! A script names a key by its index in this table and a value by its length. So scripts stay readable and mean the same
//! everywhere. The keys are awkward on purpose:
//! - the empty key and zero bytes;
//! - runs of `0xFF`, which have no successor of the same length;
//! - keys that are prefixes of each other;
//! - lengths around the edges of one-byte lengths;
//! - long shared prefixes that differ in the last byte only.

use std::sync::LazyLock;

use kv::Bytes;

/// How many keys there are.
pub(crate) const KEYS: usize = 64;

static TABLE: LazyLock<Vec<Bytes>> =
    LazyLock::new(|| (0..KEYS).map(|index| Bytes::from(make(index))).collect());

/// The key with `index`, modulo [`KEYS`].
pub(crate) fn key(index: u8) -> &'static Bytes {
    &TABLE[usize::from(index) % KEYS]
}

fn make(index: usize) -> Vec<u8> {
    assert!(index < KEYS, "the table has no key {index}");
    match index {
        0 => b"a".to_vec(),
        1 => b"b".to_vec(),
        2 => Vec::new(),
        3 => vec![0],
        4 => vec![0, 0],
        5 => vec![0xff],
        6 => vec![0xff, 0xff],
        7 => vec![0xff, 0xff, 0x00],
        8 => b"a\0".to_vec(),
        9 => vec![b'L'; 300],
        10 => [&[b'L'; 300][..], b"x"].concat(),
        11..=14 => vec![b'E'; [127, 128, 255, 256][index - 11]],
        15..=39 => format!("user{:010}", (index - 15) * 7919).into_bytes(),
        _ => [&[b'/'; 40][..], &[index as u8]].concat(),
    }
}

/// The value of `len` bytes with number `ordinal`. No two writes of a run put the same eight bytes. So an old value is
/// never taken for a newer one of the same length.
pub(crate) fn value(ordinal: u64, len: usize) -> Vec<u8> {
    let stamp = (ordinal + 1).to_le_bytes();
    let mut bytes: Vec<u8> = stamp.iter().copied().cycle().take(len).collect();
    for (at, byte) in bytes.iter_mut().enumerate().skip(stamp.len()) {
        *byte = byte.wrapping_add((at / stamp.len()) as u8);
    }
    debug_assert_eq!(bytes.len(), len, "a value is as long as was asked for");
    bytes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn all_keys_differ() {
        let keys: BTreeSet<_> = (0..KEYS as u8).map(key).collect();
        assert_eq!(keys.len(), KEYS);
    }

    #[test]
    fn values_of_one_length_differ_between_writes() {
        for len in [1, 8, 9, 100] {
            assert_ne!(value(1, len), value(2, len));
            assert_eq!(value(1, len).len(), len);
        }
    }
}
