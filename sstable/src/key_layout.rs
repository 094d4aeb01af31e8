//! The order of the keys of a table.

use std::cmp::Ordering;

/// How the keys of a table are made up, and so how they are ordered.
///
/// A key is a *stem* of any length and a *suffix* of a fixed length, which is 0 in a plain table. Keys are ordered by the
/// bytes of the stem, and among equal stems by the bytes of the suffix. A store with several versions of a key encodes
/// the version into the suffix, the newest first. Comparing the joined bytes would be wrong there: the stem `a` comes
/// before the stem `ab`, whatever the suffix of `a` is.
///
/// The layout is plain data and stands in the footer, so every tool can read and verify every table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct KeyLayout {
    suffix_len: u8,
}

/// A key in its two parts. Ordered as the keys are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitKey<'k> {
    /// The part that is compared first, and that the filter sees.
    pub stem: &'k [u8],
    /// The part that tells versions of one stem apart.
    pub suffix: &'k [u8],
}

impl Ord for SplitKey<'_> {
    /// Compares in words: most keys are too short for a call of `memcmp` to pay.
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        let shared = common_prefix_len(self.stem, other.stem);
        // A stem that ends there comes first.
        let stems = self.stem.get(shared).cmp(&other.stem.get(shared));
        stems.then_with(|| self.suffix.cmp(other.suffix))
    }
}

impl PartialOrd for SplitKey<'_> {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl KeyLayout {
    /// Keys in byte order, without a suffix.
    pub const PLAIN: Self = Self { suffix_len: 0 };

    /// Keys whose last `suffix_len` bytes are the suffix.
    pub const fn with_suffix(suffix_len: u8) -> Self {
        Self { suffix_len }
    }

    /// How many bytes of a key are its suffix.
    #[inline]
    pub const fn suffix_len(self) -> usize {
        self.suffix_len as usize
    }

    /// The parts of `key`. `None`: it is shorter than a suffix.
    #[inline]
    pub fn split(self, key: &[u8]) -> Option<SplitKey<'_>> {
        let stem_len = key.len().checked_sub(self.suffix_len())?;
        let (stem, suffix) = key.split_at(stem_len);
        Some(SplitKey { stem, suffix })
    }

    /// Compares two keys.
    ///
    /// # Panics
    /// When one of them is shorter than a suffix.
    #[inline]
    pub fn compare(self, one: &[u8], other: &[u8]) -> Ordering {
        if self.suffix_len == 0 {
            return one.cmp(other);
        }
        let split = |key| self.split(key).expect("a key has a suffix");
        split(one).cmp(&split(other))
    }

    /// Writes a short key that is greater than `before` and not greater than `key` over `out`.
    ///
    /// If the stems differ, it is the shortest such stem with the least suffix, else it is `key`.
    pub(crate) fn separator(self, before: SplitKey<'_>, key: SplitKey<'_>, out: &mut Vec<u8>) {
        debug_assert!(before < key, "keys ascend");
        out.clear();
        if before.stem == key.stem {
            out.extend_from_slice(key.stem);
            out.extend_from_slice(key.suffix);
        } else {
            let shared = common_prefix_len(before.stem, key.stem);
            out.extend_from_slice(&key.stem[..=shared]);
            out.resize(out.len() + self.suffix_len(), 0);
        }
        debug_assert!(self.split(out).is_some_and(|found| before < found && found <= key));
    }
}

/// The bytes of `stem` behind `prefix`. `None`: it does not begin with it.
#[inline]
pub(crate) fn behind_prefix<'s>(stem: &'s [u8], prefix: &[u8]) -> Option<&'s [u8]> {
    let (beginning, rest) = stem.split_at_checked(prefix.len())?;
    is_equal(beginning, prefix).then_some(rest)
}

/// Whether `a` and `b` are equal. Parts of keys are short, so most comparisons take one or two words and no call.
#[inline]
pub(crate) fn is_equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let equal = match a.len() {
        0..4 => a.iter().zip(b).all(|(a, b)| a == b),
        4..8 => a.first_chunk::<4>() == b.first_chunk() && a.last_chunk::<4>() == b.last_chunk(),
        8..=16 => a.first_chunk::<8>() == b.first_chunk() && a.last_chunk::<8>() == b.last_chunk(),
        _ => a == b,
    };
    debug_assert_eq!(equal, a == b, "two words cover all bytes");
    equal
}

/// How many bytes `a` and `b` have in common at their beginnings.
#[inline]
pub(crate) fn common_prefix_len(a: &[u8], b: &[u8]) -> usize {
    let words = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
    let mut shared = 0;
    for (a, b) in words {
        let difference = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if difference != 0 {
            return shared + difference.trailing_zeros() as usize / 8;
        }
        shared += 8;
    }
    debug_assert!(shared <= a.len().min(b.len()), "whole words of both");
    let rest = a[shared..].iter().zip(&b[shared..]);
    shared + rest.take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stem_comes_before_its_extensions_whatever_the_suffixes() {
        let layout = KeyLayout::with_suffix(2);
        let ordered: [&[u8]; 6] =
            [b"\xff\xff", b"a\xff\xff", b"ab\0\0", b"ab\0\x01", b"ab\xff\xff", b"b\0\0"];
        let split = ordered.map(|key| layout.split(key).unwrap());
        assert!(split.is_sorted());
        assert!(!ordered.is_sorted(), "joined bytes have another order");
        assert_eq!(layout.split(b"x"), None);
    }

    #[test]
    fn a_separator_is_the_shortest_stem_that_tells_two_keys_apart() {
        let plain = KeyLayout::PLAIN;
        let mut out = Vec::new();
        for (before, key, expected) in [
            (&b"apple"[..], &b"banana"[..], &b"b"[..]),
            (b"banal", b"banana", b"banan"),
            (b"ban", b"banana", b"bana"),
            (b"", b"x", b"x"),
            (b"a\xff\xff", b"b", b"b"),
        ] {
            plain.separator(plain.split(before).unwrap(), plain.split(key).unwrap(), &mut out);
            assert_eq!(out, expected);
        }
        let layout = KeyLayout::with_suffix(1);
        let split = |key| layout.split(key).unwrap();
        layout.separator(split(b"banal7"), split(b"banana3"), &mut out);
        assert_eq!(out, b"banan\0");
        layout.separator(split(b"banana3"), split(b"banana4"), &mut out);
        assert_eq!(out, b"banana4", "versions of one stem need the suffix");
    }

    #[test]
    fn short_and_long_slices_are_equal_if_all_bytes_are() {
        let a: Vec<u8> = (0..40).collect();
        for len in 0..=a.len() {
            assert!(is_equal(&a[..len], &a.clone()[..len]));
            assert_eq!(behind_prefix(&a, &a[..len]), Some(&a[len..]));
            for at in 0..len {
                let mut b = a[..len].to_vec();
                b[at] ^= 1;
                assert!(!is_equal(&a[..len], &b), "{at} of {len}");
                assert_eq!(behind_prefix(&a, &b), None);
            }
            assert!(len == 0 || !is_equal(&a[..len], &a[..len - 1]));
        }
        assert_eq!(behind_prefix(b"a", b"ab"), None);
    }

    #[test]
    fn a_common_prefix_is_counted_in_words_and_in_bytes() {
        let a: Vec<u8> = (0..40).collect();
        for shared in 0..40 {
            let mut b = a.clone();
            b[shared] ^= 0x80;
            assert_eq!(common_prefix_len(&a, &b), shared);
            assert_eq!(common_prefix_len(&a, &a[..shared]), shared);
        }
        assert_eq!(common_prefix_len(&a, &a), 40);
    }
}
