//! Places among user keys: where tables and range tombstones begin and end.

/// A key, the gap in front of one, or the end of all keys, in the order of keys. Pebble has the like as `UserKeyBoundary`.
///
/// A table that ends with a range tombstone ends in a gap: the next table of its run may begin with the key behind the gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Boundary<K = Vec<u8>> {
    /// At a key, or in the gap in front of it.
    Finite {
        /// The key.
        key: K,
        /// Not in the gap. Gaps order before their keys.
        is_at: bool,
    },
    /// Behind all keys.
    End,
}

impl<K> Boundary<K> {
    /// The key itself.
    pub(crate) const fn at(key: K) -> Self {
        Self::Finite { key, is_at: true }
    }

    /// The gap in front of `key`. `None`: behind all keys.
    pub(crate) fn before(key: Option<K>) -> Self {
        key.map_or(Self::End, |key| Self::Finite { key, is_at: false })
    }
}

impl Boundary<&[u8]> {
    /// A copy with memory of its own.
    pub(crate) fn to_owned(self) -> Boundary {
        match self {
            Self::Finite { key, is_at } => Boundary::Finite { key: key.to_vec(), is_at },
            Self::End => Boundary::End,
        }
    }
}

impl Boundary {
    /// The key, if this is at one.
    pub(crate) fn key(&self) -> Option<&[u8]> {
        match self {
            Self::Finite { key, is_at: true } => Some(key),
            _ => None,
        }
    }

    /// Becomes the place of `key`; keeps the memory.
    pub(crate) fn set(&mut self, user: &[u8]) {
        match self {
            Self::Finite { key, is_at } => {
                key.clear();
                key.extend_from_slice(user);
                *is_at = true;
            }
            Self::End => *self = Self::at(user.to_vec()),
        }
        debug_assert_eq!(self.key(), Some(user), "the place of the key");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_lies_in_front_of_its_key_and_behind_all_lesser_ones() {
        let ordered = [
            Boundary::before(Some(&b""[..])),
            Boundary::at(b""),
            Boundary::at(b"a"),
            Boundary::before(Some(b"a\0")),
            Boundary::at(b"a\0"),
            Boundary::before(Some(b"b")),
            Boundary::at(b"b"),
            Boundary::End,
        ];
        assert!(ordered.is_sorted_by(|one, next| one < next));
    }
}
