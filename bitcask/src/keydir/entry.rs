//! How an entry of the keydir lies in memory: a version and its key, side by side.
//!
//! | bytes | field |
//! |---|---|
//! | 0-3 | offset of the record / 8, `u32` little-endian |
//! | 4-7 | length of the record / 8, `u32` little-endian |
//! | 8-13 | sequence number, 48 bits little-endian |
//! | 14-15 | file, `u16` little-endian; [`FREED`] for an entry that was removed |
//! | 16 | length of the key up to 127; longer keys have `0x80` here and a little-endian `u16` behind it |
//! | then | the key, and zeros up to a multiple of [`UNIT`] |

use super::version::{Location, Version};

/// Entries start on multiples of this many bytes.
pub(super) const UNIT: usize = 4;

/// Bytes of an entry before the length of its key.
pub(super) const FIELDS: usize = 16;

/// The file number of a removed entry. Data files and tombstones have smaller ones.
pub(super) const FREED: u16 = u16::MAX;

/// The location of a tombstone that is remembered while loading. Data files have smaller numbers.
pub(super) const DELETED: Location = Location { file: u16::MAX - 1, offset: 0, len: 0 };

/// Marks a key of 128 bytes or more.
const LONG_KEY: u8 = 0x80;

const _: () = assert!(DELETED.file < FREED, "removed entries differ");

/// How many bytes an entry takes whose key has `key_len` bytes.
#[inline]
pub(super) fn stored_len(key_len: usize) -> usize {
    (key_start(key_len) + key_len).next_multiple_of(UNIT)
}

#[inline]
fn key_start(key_len: usize) -> usize {
    FIELDS + if key_len < usize::from(LONG_KEY) { 1 } else { 3 }
}

/// The encoding of a version.
#[inline]
pub(super) fn fields(version: Version) -> [u8; FIELDS] {
    let Version { location, sequence } = version;
    debug_assert!(location.offset % 8 == 0 && location.len % 8 == 0, "{location:?}");
    debug_assert!(location.offset >> 35 == 0 && location.len >> 35 == 0, "{location:?}");
    debug_assert!(sequence >> 48 == 0, "sequence numbers have 48 bits");
    debug_assert_ne!(location.file, FREED, "no data file has the mark of a removed entry");
    let mut fields = [0; FIELDS];
    fields[..4].copy_from_slice(&((location.offset / 8) as u32).to_le_bytes());
    fields[4..8].copy_from_slice(&((location.len / 8) as u32).to_le_bytes());
    fields[8..14].copy_from_slice(&sequence.to_le_bytes()[..6]);
    fields[14..].copy_from_slice(&location.file.to_le_bytes());
    debug_assert_eq!(version_of(&fields), version, "a version reads back as it was stored");
    fields
}

/// Writes the entry of `key` into `entry`, which has [`stored_len`] bytes, all zero.
#[inline]
pub(super) fn encode(key: &[u8], version: Version, entry: &mut [u8]) {
    assert_eq!(entry.len(), stored_len(key.len()), "an entry fills its place");
    entry[..FIELDS].copy_from_slice(&fields(version));
    let key_at = key_start(key.len());
    if key_at == FIELDS + 1 {
        entry[FIELDS] = key.len() as u8;
    } else {
        entry[FIELDS] = LONG_KEY;
        entry[FIELDS + 1..key_at].copy_from_slice(&(key.len() as u16).to_le_bytes());
    }
    entry[key_at..key_at + key.len()].copy_from_slice(key);
    debug_assert_eq!(key_of(entry), key, "a key reads back as it was stored");
}

/// The version of the entry that starts `entry`.
#[inline]
pub(super) fn version_of(entry: &[u8]) -> Version {
    let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| entry[at + byte]));
    let high = u64::from(u16::from_le_bytes([entry[12], entry[13]]));
    let location = Location {
        file: u16::from_le_bytes([entry[14], entry[15]]),
        offset: u64::from(u32_at(0)) * 8,
        len: u64::from(u32_at(4)) * 8,
    };
    Version { location, sequence: high << 32 | u64::from(u32_at(8)) }
}

/// The key of the entry that starts `entry`.
#[inline]
pub(super) fn key_of(entry: &[u8]) -> &[u8] {
    match entry[FIELDS] {
        LONG_KEY => {
            let len = usize::from(u16::from_le_bytes([entry[FIELDS + 1], entry[FIELDS + 2]]));
            debug_assert!(len >= usize::from(LONG_KEY), "shorter keys have one byte of length");
            &entry[FIELDS + 3..FIELDS + 3 + len]
        }
        len => {
            debug_assert!(len < LONG_KEY, "only the mark has the high bit");
            &entry[FIELDS + 1..=FIELDS + usize::from(len)]
        }
    }
}

/// Marks the entry that starts `entry` as removed.
pub(super) fn free(entry: &mut [u8]) {
    assert!(!is_freed(entry), "an entry is removed once");
    entry[14..FIELDS].copy_from_slice(&FREED.to_le_bytes());
    debug_assert!(!is_end(entry), "the entries behind it are still found");
}

/// Whether the entry that starts `entry` was removed.
#[inline]
pub(super) fn is_freed(entry: &[u8]) -> bool {
    entry[14..FIELDS] == FREED.to_le_bytes()
}

/// Whether `rest`, the rest of a chunk, holds no more entries: an entry has a record with a length, or it is a tombstone
/// or removed and has a file number.
#[inline]
pub(super) fn is_end(rest: &[u8]) -> bool {
    rest.len() <= FIELDS || rest[4..FIELDS] == [0; FIELDS - 4]
}
