//! A range of keys in the one form that is stored: from a key up to, and without, another one.

use std::ops::Bound;

use kv::{KeyRange, MAX_KEY_LEN};
use serde::Serialize;

use crate::boundary::Boundary;

/// The keys from `start` on and before `end`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct DeletedRange {
    /// The first key. At most [`MAX_KEY_LEN`] bytes, and so is the end.
    pub(crate) start: Vec<u8>,
    /// The key behind the range. `None`: the range ends behind all keys.
    pub(crate) end: Option<Vec<u8>>,
}

impl DeletedRange {
    /// The keys of `range`.
    pub(crate) fn of(range: &KeyRange) -> Self {
        let start = match range.start() {
            Bound::Included(key) => least_from(key),
            Bound::Excluded(key) => least_behind(key),
            Bound::Unbounded => Some(Vec::new()),
        };
        let end = match range.end() {
            Bound::Included(key) => least_behind(key),
            Bound::Excluded(key) => least_from(key),
            Bound::Unbounded => None,
        };
        // No key is long enough for a range without a start.
        let found = start.map(|start| Self { start, end });
        found.filter(|found| !found.is_empty()).unwrap_or_else(Self::empty)
    }

    /// A range without keys.
    fn empty() -> Self {
        let empty = Self { start: Vec::new(), end: Some(Vec::new()) };
        debug_assert!(empty.is_empty(), "no key is less than the least one");
        empty
    }

    /// Whether no key lies in the range.
    pub(crate) fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// Whether `user` lies in the range.
    #[cfg(test)]
    pub(crate) fn contains(&self, user: &[u8]) -> bool {
        *self.start <= *user && !self.ends_before(user)
    }

    /// Whether `user` lies behind the range.
    pub(crate) fn ends_before(&self, user: &[u8]) -> bool {
        self.end.as_ref().is_some_and(|end| **end <= *user)
    }

    /// The place of the first key.
    pub(crate) fn first(&self) -> Boundary<&[u8]> {
        Boundary::at(&self.start)
    }

    /// The place behind the last key.
    pub(crate) fn last(&self) -> Boundary<&[u8]> {
        Boundary::before(self.end.as_deref())
    }
}

/// The least key that is not less than `key`, which may be longer than a key can be.
fn least_from(key: &[u8]) -> Option<Vec<u8>> {
    if key.len() > MAX_KEY_LEN { least_behind(&key[..MAX_KEY_LEN]) } else { Some(key.to_vec()) }
}

/// The least key that is greater than `key`. `None`: there is none.
fn least_behind(key: &[u8]) -> Option<Vec<u8>> {
    if key.len() < MAX_KEY_LEN {
        return Some([key, &[0]].concat());
    }
    let mut next = key[..MAX_KEY_LEN].to_vec();
    let last = next.iter().rposition(|byte| *byte < 0xff)?;
    next.truncate(last + 1);
    next[last] += 1;
    debug_assert!(*next > *key, "it is greater");
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: &[u8], end: Option<&[u8]>) -> DeletedRange {
        DeletedRange { start: start.to_vec(), end: end.map(<[u8]>::to_vec) }
    }

    #[test]
    fn every_kind_of_bounds_has_the_one_form() {
        let of = |bounds: (Bound<&[u8]>, Bound<&[u8]>)| DeletedRange::of(&KeyRange::new(bounds));
        let (a, c) = (&b"a"[..], &b"c"[..]);
        assert_eq!(of((Bound::Included(a), Bound::Excluded(c))), range(b"a", Some(b"c")));
        assert_eq!(of((Bound::Excluded(a), Bound::Included(c))), range(b"a\0", Some(b"c\0")));
        assert_eq!(of((Bound::Unbounded, Bound::Unbounded)), range(b"", None));
        assert!(of((Bound::Included(a), Bound::Excluded(a))).is_empty());
        assert!(of((Bound::Excluded(a), Bound::Included(a))).is_empty());
        assert!(!of((Bound::Included(a), Bound::Included(a))).is_empty());
    }

    #[test]
    fn bounds_at_and_beyond_the_longest_key_are_those_of_keys() {
        let sevens = |len: usize, last: u8| [vec![7; len], vec![last]].concat();
        let longest = |last: u8| sevens(MAX_KEY_LEN - 1, last);
        let behind = |key: &[u8]| {
            DeletedRange::of(&KeyRange::new((Bound::Excluded(key), Bound::Unbounded))).start
        };
        assert_eq!(behind(&longest(3)), longest(4));
        assert_eq!(behind(&longest(0xff)), sevens(MAX_KEY_LEN - 2, 8));
        let greatest = vec![0xff; MAX_KEY_LEN];
        let none = KeyRange::new((Bound::Excluded(&greatest[..]), Bound::Unbounded));
        assert!(DeletedRange::of(&none).is_empty(), "no key is greater");
        let all = KeyRange::new((Bound::Unbounded, Bound::Included(&greatest[..])));
        assert_eq!(DeletedRange::of(&all), range(b"", None));
        // A bound that is too long for a key lies between two keys.
        let too_long = [&longest(3)[..], b"x"].concat();
        for bound in [Bound::Included(&too_long[..]), Bound::Excluded(&too_long[..])] {
            let from = DeletedRange::of(&KeyRange::new((bound, Bound::Unbounded)));
            assert!(from.start == longest(4) && !from.contains(&longest(3)));
            let to = DeletedRange::of(&KeyRange::new((Bound::Unbounded, bound)));
            assert!(to.end == Some(longest(4)) && to.contains(&longest(3)));
        }
    }
}
