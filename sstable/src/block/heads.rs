//! The array of heads: the bytes of each restart point's stem that follow the prefix of the block.
//!
//! A head has a fixed width. A stem that ends before is padded with zeros. So heads are in the order of their stems, and
//! different stems may have equal heads.

/// How many bytes a head has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadWidth {
    One = 1,
    Two = 2,
    Four = 4,
    Eight = 8,
}

impl HeadWidth {
    /// All of them, the narrowest first.
    pub(super) const ALL: [Self; 4] = [Self::One, Self::Two, Self::Four, Self::Eight];

    /// The width with that code in the header of a block.
    pub(super) fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            4 => Some(Self::Four),
            8 => Some(Self::Eight),
            _ => None,
        }
    }

    pub(super) const fn bytes(self) -> usize {
        self as usize
    }
}

/// The heads of a block.
#[derive(Clone, Copy, Debug)]
pub(super) enum Heads<'b> {
    One(&'b [[u8; 1]]),
    Two(&'b [[u8; 2]]),
    Four(&'b [[u8; 4]]),
    Eight(&'b [[u8; 8]]),
}

impl<'b> Heads<'b> {
    /// The heads of `width` that `bytes` consists of.
    #[inline]
    pub(super) fn new(width: HeadWidth, bytes: &'b [u8]) -> Self {
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
pub(super) fn padded<const W: usize>(rest: &[u8]) -> [u8; W] {
    if let Some(head) = rest.first_chunk() {
        return *head;
    }
    let mut head = [0; W];
    head[..rest.len()].copy_from_slice(rest);
    head
}

/// How many of the ascending `heads` are less than `sought`. The loop takes the same steps whatever is sought, so the
/// processor mispredicts none of them.
#[inline]
pub(super) fn lower_bound<const W: usize>(heads: &[[u8; W]], sought: &[u8; W]) -> usize {
    let mut base = 0;
    let mut len = heads.len();
    while len > 1 {
        let half = len / 2;
        base += usize::from(heads[base + half - 1] < *sought) * half;
        len -= half;
    }
    let found = base + usize::from(len == 1 && heads[base] < *sought);
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
    fn a_stem_that_ends_is_padded_with_zeros() {
        assert_eq!(padded::<4>(b""), [0; 4]);
        assert_eq!(padded::<4>(b"ab"), *b"ab\0\0");
        assert_eq!(padded::<2>(b"abc"), *b"ab");
    }
}
