//! Arrays of heads: the bytes of stems that follow the prefix of their block.
//!
//! A head has a fixed width. A stem that ends before is padded with zeros. So heads are in the order of their stems, and
//! different stems may have equal heads.

/// Of so many stems, one may need more bytes than its head has, before the heads get wider. A tie of heads costs a search the
/// reading of a stem or two.
const STEMS_PER_TIE: usize = 16;

/// How many bytes a head has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadWidth {
    One = 1,
    Two = 2,
    Four = 4,
    Eight = 8,
}

impl HeadWidth {
    /// All of them, the narrowest first.
    pub(crate) const ALL: [Self; 4] = [Self::One, Self::Two, Self::Four, Self::Eight];

    /// The width with that code in the header of a block.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            4 => Some(Self::Four),
            8 => Some(Self::Eight),
            _ => None,
        }
    }

    pub(crate) const fn bytes(self) -> usize {
        self as usize
    }

    /// The narrowest heads that are long enough for nearly all of `count` stems. `needed` has how many bytes behind the prefix
    /// a stem needs, for all stems that need any.
    pub(crate) fn for_stems(count: usize, needed: impl Iterator<Item = usize>) -> Self {
        let mut ties = [0; Self::ALL.len()];
        for needed in needed {
            for (ties, width) in ties.iter_mut().zip(Self::ALL) {
                *ties += usize::from(needed > width.bytes());
            }
        }
        debug_assert!(ties.is_sorted_by(|narrow, wide| narrow >= wide), "wide heads tie less");
        debug_assert!(ties[0] <= count, "a stem counts once");
        let mut widths = Self::ALL.into_iter().zip(ties);
        let narrow = widths.find(|(_, ties)| ties * STEMS_PER_TIE <= count);
        narrow.map_or(Self::Eight, |(width, _)| width)
    }

    /// Appends the head of a stem without its prefix to `out`.
    pub(crate) fn push_head(self, rest: &[u8], out: &mut Vec<u8>) {
        let head = &rest[..rest.len().min(self.bytes())];
        out.extend_from_slice(head);
        out.resize(out.len() + self.bytes() - head.len(), 0);
    }
}

/// The heads of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Heads<'b> {
    One(&'b [[u8; 1]]),
    Two(&'b [[u8; 2]]),
    Four(&'b [[u8; 4]]),
    Eight(&'b [[u8; 8]]),
}

impl<'b> Heads<'b> {
    /// The heads of `width` that `bytes` consists of.
    #[inline]
    pub(crate) fn new(width: HeadWidth, bytes: &'b [u8]) -> Self {
        debug_assert!(bytes.len().is_multiple_of(width.bytes()), "heads are whole");
        match width {
            HeadWidth::One => Self::One(bytes.as_chunks().0),
            HeadWidth::Two => Self::Two(bytes.as_chunks().0),
            HeadWidth::Four => Self::Four(bytes.as_chunks().0),
            HeadWidth::Eight => Self::Eight(bytes.as_chunks().0),
        }
    }
}

/// The first `W` bytes of `rest`, padded with zeros.
#[inline]
pub(crate) fn padded<const W: usize>(rest: &[u8]) -> [u8; W] {
    if let Some(head) = rest.first_chunk() {
        return *head;
    }
    let mut head = [0; W];
    head[..rest.len()].copy_from_slice(rest);
    head
}

/// So many heads are compared side by side: a step of a binary search waits for the one before.
const SIDE_BY_SIDE: usize = 24;

/// A head as a number, in the order of heads.
#[inline]
fn number<const W: usize>(head: &[u8; W]) -> u64 {
    debug_assert!(W <= 8, "the widest head has 8 bytes");
    let mut bytes = [0; 8];
    bytes[8 - W..].copy_from_slice(head);
    u64::from_be_bytes(bytes)
}

/// How many of the ascending `heads` are less than `sought`. The loops take the same steps whatever is sought, so the
/// processor mispredicts none of them.
#[inline]
pub(crate) fn lower_bound<const W: usize>(heads: &[[u8; W]], sought: &[u8; W]) -> usize {
    let sought = number(sought);
    let mut base = 0;
    let mut len = heads.len();
    while len > SIDE_BY_SIDE {
        let half = len / 2;
        base += usize::from(number(&heads[base + half - 1]) < sought) * half;
        len -= half;
    }
    let left = &heads[base..base + len];
    let found = base + left.iter().map(|head| usize::from(number(head) < sought)).sum::<usize>();
    debug_assert!(found <= heads.len(), "a head, or the end");
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_bound_is_the_number_of_lesser_heads() {
        for len in 0..70_u16 {
            let heads: Vec<[u8; 2]> = (0..len).map(|at| (at / 3 * 5).to_be_bytes()).collect();
            for sought in 0..130_u16 {
                let sought = sought.to_be_bytes();
                let expected = heads.partition_point(|head| *head < sought);
                assert_eq!(lower_bound(&heads, &sought), expected, "{sought:?} among {len}");
            }
        }
    }

    #[test]
    fn heads_are_as_wide_as_most_stems_need() {
        let width = |count, needed: &[usize]| HeadWidth::for_stems(count, needed.iter().copied());
        assert_eq!(width(0, &[]), HeadWidth::One);
        assert_eq!(width(17, &[1; 16]), HeadWidth::One);
        assert_eq!(width(17, &[1, 1, 6]), HeadWidth::One, "one tie among 16 stems");
        assert_eq!(width(17, &[1, 2, 6]), HeadWidth::Two);
        assert_eq!(width(17, &[3, 3, 6]), HeadWidth::Four);
        assert_eq!(width(17, &[5, 8]), HeadWidth::Eight);
        assert_eq!(width(2, &[100]), HeadWidth::Eight);
    }

    #[test]
    fn a_stem_that_ends_is_padded_with_zeros() {
        assert_eq!(padded::<4>(b""), [0; 4]);
        assert_eq!(padded::<4>(b"ab"), *b"ab\0\0");
        assert_eq!(padded::<2>(b"abc"), *b"ab");
        let mut out = vec![1];
        HeadWidth::Four.push_head(b"ab", &mut out);
        HeadWidth::One.push_head(b"ab", &mut out);
        assert_eq!(out, b"\x01ab\0\0a");
    }
}
