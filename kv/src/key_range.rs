//! Ranges of keys, in byte order.

use std::fmt;
use std::ops::{Bound, RangeBounds};

use crate::{Bytes, Error, Result};

/// A range of keys. Owned, so that a cursor can outlive the call that opened it.
///
/// ```
/// use kv::KeyRange;
/// assert!(KeyRange::prefix(b"user").contains(b"user17"));
/// assert!(!KeyRange::new(&b"a"[..]..&b"c"[..]).contains(b"c"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyRange {
    start: Bound<Bytes>,
    end: Bound<Bytes>,
}

impl KeyRange {
    /// Every key.
    pub fn all() -> Self {
        Self { start: Bound::Unbounded, end: Bound::Unbounded }
    }

    /// The keys within `bounds`, for example `start..end` over byte slices.
    pub fn new<'k>(bounds: impl RangeBounds<&'k [u8]>) -> Self {
        let own = |bound: Bound<&&'k [u8]>| bound.map(|key| Bytes::copy_from_slice(key));
        Self { start: own(bounds.start_bound()), end: own(bounds.end_bound()) }
    }

    /// The keys that begin with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        let start = Bound::Included(Bytes::copy_from_slice(prefix));
        let last = prefix.iter().rposition(|&byte| byte != 0xff);
        let end = last.map_or(Bound::Unbounded, |last| {
            let mut successor = prefix[..=last].to_vec();
            successor[last] += 1;
            debug_assert!(&successor[..] > prefix, "it comes after each key with the prefix");
            Bound::Excluded(Bytes::from(successor))
        });
        let range = Self { start, end };
        debug_assert!(range.contains(prefix), "the prefix begins with itself");
        range
    }

    /// The lower bound.
    pub fn start(&self) -> Bound<&[u8]> {
        self.start.as_ref().map(|key| &key[..])
    }

    /// The upper bound.
    pub fn end(&self) -> Bound<&[u8]> {
        self.end.as_ref().map(|key| &key[..])
    }

    /// Whether `key` lies in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        RangeBounds::<[u8]>::contains(&(self.start(), self.end()), key)
    }

    /// Whether no key can lie in the range.
    pub fn is_empty(&self) -> bool {
        no_key_between(self.start(), self.end())
    }

    /// The lower bound of a search for the first key of the range that is not less than `key`.
    pub fn start_from<'b>(&'b self, key: &'b [u8]) -> Bound<&'b [u8]> {
        match self.start() {
            Bound::Included(start) if start > key => self.start(),
            Bound::Excluded(start) if start >= key => self.start(),
            _ => Bound::Included(key),
        }
    }

    /// The upper bound of a search for the last key of the range that is less than `key`.
    pub fn end_before<'b>(&'b self, key: &'b [u8]) -> Bound<&'b [u8]> {
        match self.end() {
            Bound::Included(end) | Bound::Excluded(end) if end < key => self.end(),
            _ => Bound::Excluded(key),
        }
    }

    /// Refuses a range whose start lies after its end: that is a mistake of the caller, unlike an empty range.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when the bounds are inverted.
    pub fn check(&self) -> Result<()> {
        let (Bound::Included(start) | Bound::Excluded(start)) = self.start() else { return Ok(()) };
        let (Bound::Included(end) | Bound::Excluded(end)) = self.end() else { return Ok(()) };
        if start > end {
            return Err(Error::InvalidArgument("the range starts after its end".into()));
        }
        Ok(())
    }
}

/// Whether no key can lie between `start` and `end`. Ordered maps refuse some such bounds, so engines ask first.
pub fn no_key_between<K: Ord>(start: Bound<K>, end: Bound<K>) -> bool {
    match (start, end) {
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start) | Bound::Excluded(start), Bound::Excluded(end))
        | (Bound::Excluded(start), Bound::Included(end)) => start >= end,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}

/// As an interval: `["a", "c")`, `(.., "c"]`, `(..)`. Long keys are cut.
impl fmt::Display for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.start() {
            Bound::Included(start) => write!(f, "[{}, ", ShownKey(start))?,
            Bound::Excluded(start) => write!(f, "({}, ", ShownKey(start))?,
            Bound::Unbounded if self.end() == Bound::Unbounded => return f.write_str("(..)"),
            Bound::Unbounded => f.write_str("(.., ")?,
        }
        match self.end() {
            Bound::Included(end) => write!(f, "{}]", ShownKey(end)),
            Bound::Excluded(end) => write!(f, "{})", ShownKey(end)),
            Bound::Unbounded => f.write_str("..)"),
        }
    }
}

/// The key bytes that a message shows.
const SHOWN_BYTES: usize = 24;

/// A key for a message: quoted, escaped, and cut if it is long.
pub(crate) struct ShownKey<'k>(pub(crate) &'k [u8]);

impl fmt::Display for ShownKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(SHOWN_BYTES)];
        debug_assert!(self.0.starts_with(shown), "a message shows the beginning");
        write!(f, "\"{}\"", shown.escape_ascii())?;
        if shown.len() < self.0.len() {
            write!(f, "... ({} bytes)", self.0.len())?;
        }
        Ok(())
    }
}

impl From<std::ops::RangeFull> for KeyRange {
    fn from(_: std::ops::RangeFull) -> Self {
        Self::all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_of_ff_bytes_has_no_upper_bound() {
        assert_eq!(KeyRange::prefix(b"\xff\xff").end(), Bound::Unbounded);
        assert_eq!(KeyRange::prefix(b"a\xff").end(), Bound::Excluded(&b"b"[..]));
        assert!(KeyRange::prefix(b"").contains(b""));
    }

    #[test]
    fn the_bounds_of_a_seek_stay_inside_the_range() {
        let bound = |key: &'static [u8]| [Bound::Included(key), Bound::Excluded(key)];
        let keys: [&[u8]; 5] = [b"a", b"b", b"c", b"d", b"e"];
        for (start, end) in [(bound(b"b")[0], bound(b"d")[0]), (bound(b"b")[1], bound(b"d")[1])] {
            let range = KeyRange::new((start, end));
            for sought in keys {
                let inside = |key: &&&[u8]| range.contains(key);
                let from = KeyRange::new((range.start_from(sought), end));
                let first = keys.iter().filter(inside).find(|key| **key >= sought);
                assert_eq!(keys.iter().find(|key| from.contains(key)), first, "from {sought:?}");
                let before = KeyRange::new((start, range.end_before(sought)));
                let last = keys.iter().filter(inside).rfind(|key| **key < sought);
                assert_eq!(keys.iter().rfind(|key| before.contains(key)), last, "to {sought:?}");
            }
        }
    }

    #[test]
    fn a_range_is_shown_as_an_interval() {
        let shown = |bounds: (Bound<&'static [u8]>, Bound<&'static [u8]>)| {
            KeyRange::new(bounds).to_string()
        };
        assert_eq!(shown((Bound::Included(b"a"), Bound::Excluded(b"\n"))), r#"["a", "\n")"#);
        assert_eq!(shown((Bound::Unbounded, Bound::Included(b"c"))), r#"(.., "c"]"#);
        assert_eq!(shown((Bound::Excluded(b"a"), Bound::Unbounded)), r#"("a", ..)"#);
        assert_eq!(KeyRange::all().to_string(), "(..)");
    }

    #[test]
    fn inverted_bounds_are_refused_and_empty_ones_are_not() {
        assert!(KeyRange::new(&b"b"[..]..&b"a"[..]).check().is_err());
        assert!(KeyRange::new(&b"a"[..]..&b"a"[..]).check().is_ok());
        assert!(KeyRange::new(&b"a"[..]..&b"a"[..]).is_empty());
        assert!(!KeyRange::new(&b"a"[..]..=&b"a"[..]).is_empty());
    }
}
