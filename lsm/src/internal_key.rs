//! Internal keys: a user key with the number and the kind of a write.
//!
//! An internal key is the user key and 8 bytes behind it, the *suffix*. The suffix is the bitwise complement of the trailer,
//! big-endian. The *trailer* is the sequence number in the upper 56 bits and the kind in the lower 8:
//!
//! | kind | entry | value |
//! |---|---|---|
//! | 0 | tombstone | empty |
//! | 1 | put | the value |
//! | 2 | put that expires | the moment of its end, and the value ([`crate::expiring`]) |
//!
//! So the versions of one user key lie next to each other, the newest first. The order of internal keys is that of
//! [`LAYOUT`]: user keys first, then suffixes.

use sstable::KeyLayout;

/// How internal keys are made up.
pub(crate) const LAYOUT: KeyLayout = KeyLayout::with_suffix(SUFFIX_BYTES as u8);

/// Sequence numbers are below this. A store that writes a million batches a second reaches it after 2,200 years.
pub(crate) const SEQUENCE_LIMIT: u64 = 1 << 56;

/// Bytes behind the user key.
pub(crate) const SUFFIX_BYTES: usize = 8;

/// The meaning of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The key is deleted.
    Tombstone = 0,
    /// The key has a value.
    Put = 1,
    /// The key has a value until a moment.
    Expiring = 2,
}

/// The sequence number and the kind of an entry. Any number, also of a kind that this code does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Trailer(u64);

impl Trailer {
    /// Before all versions of a key.
    pub(crate) const NEWEST: Self = Self(u64::MAX);

    /// Behind all versions of a key: numbers begin with 1.
    pub(crate) const OLDEST: Self = Self(0);

    /// Of an entry.
    #[inline]
    pub(crate) fn new(sequence: u64, kind: Kind) -> Self {
        debug_assert!(sequence > 0 && sequence < SEQUENCE_LIMIT, "a number of a batch");
        Self(sequence << 8 | kind as u64)
    }

    /// Before the first version of a key that a reader at `sequence` may see.
    #[inline]
    pub(crate) fn seen_at(sequence: u64) -> Self {
        debug_assert!(sequence < SEQUENCE_LIMIT, "a number of a batch, or 0");
        Self(sequence << 8 | 0xff)
    }

    /// The sequence number.
    #[inline]
    pub(crate) fn sequence(self) -> u64 {
        self.0 >> 8
    }

    /// The kind. `None`: this code does not know it.
    #[inline]
    pub(crate) fn kind(self) -> Option<Kind> {
        match self.0 as u8 {
            0 => Some(Kind::Tombstone),
            1 => Some(Kind::Put),
            2 => Some(Kind::Expiring),
            _ => None,
        }
    }

    /// Whether it is that of a tombstone.
    #[inline]
    pub(crate) fn is_tombstone(self) -> bool {
        self.kind() == Some(Kind::Tombstone)
    }

    /// That of a tombstone with the same number.
    pub(crate) fn as_tombstone(self) -> Self {
        Self::new(self.sequence(), Kind::Tombstone)
    }

    /// The bytes behind the user key.
    #[inline]
    pub(crate) fn suffix(self) -> [u8; SUFFIX_BYTES] {
        (!self.0).to_be_bytes()
    }

    /// The trailer of which `suffix` are the bytes.
    #[inline]
    pub(crate) fn of_suffix(suffix: [u8; SUFFIX_BYTES]) -> Self {
        let trailer = Self(!u64::from_be_bytes(suffix));
        debug_assert_eq!(trailer.suffix(), suffix, "the trailer reads back");
        trailer
    }
}

/// Writes the internal key over `out`.
#[inline]
pub(crate) fn encode(user: &[u8], trailer: Trailer, out: &mut Vec<u8>) {
    out.clear();
    out.reserve(user.len() + SUFFIX_BYTES);
    out.extend_from_slice(user);
    out.extend_from_slice(&trailer.suffix());
    debug_assert_eq!(split(out), Some((user, trailer)), "the key reads back");
}

/// The internal key, in memory of its own.
#[inline]
pub(crate) fn encoded(user: &[u8], trailer: Trailer) -> Vec<u8> {
    let mut out = Vec::new();
    encode(user, trailer, &mut out);
    out
}

/// The parts of an internal key. `None`: it is too short for one.
#[inline]
pub(crate) fn split(key: &[u8]) -> Option<(&[u8], Trailer)> {
    let (user, suffix) = key.split_last_chunk::<SUFFIX_BYTES>()?;
    Some((user, Trailer::of_suffix(*suffix)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_a_key_are_adjacent_and_the_newest_is_first() {
        let put = |user: &[u8], sequence| encoded(user, Trailer::new(sequence, Kind::Put));
        let delete = |user: &[u8], sequence| encoded(user, Trailer::new(sequence, Kind::Tombstone));
        let ordered = [
            encoded(b"a", Trailer::NEWEST),
            put(b"a", SEQUENCE_LIMIT - 1),
            encoded(b"a", Trailer::seen_at(9)),
            delete(b"a", 9),
            put(b"a", 1),
            encoded(b"a", Trailer::OLDEST),
            put(b"a\0", 300),
            put(b"ab", 2),
            delete(b"b", 1),
        ];
        assert!(ordered.is_sorted_by(|one, other| LAYOUT.compare(one, other).is_lt()));
    }

    #[test]
    fn the_encoding_is_the_one_of_the_table() {
        let key = encoded(b"k", Trailer::new(0x0102, Kind::Put));
        assert_eq!(key, [b'k', 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xfd, 0xfe]);
        assert_eq!(split(&key[..8]).map(|(user, _)| user.len()), Some(0));
        assert_eq!(split(&key[..7]), None);
        let unknown = Trailer::of_suffix([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xfc]);
        assert_eq!((unknown.sequence(), unknown.kind()), (1, None));
    }
}
