//! Keys and places, collected from a keydir for one view.

use std::fmt;

use super::version::Location;

/// A key and where its record lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Collected {
    /// Where the key starts in `Collection::keys`.
    pub(crate) key_start: usize,
    /// How long the key is.
    pub(crate) key_len: u16,
    /// Where the record lies.
    pub(crate) location: Location,
}

/// The matching keys of a view, unsorted.
#[derive(Default)]
pub(crate) struct Collection {
    /// The bytes of all keys.
    pub(crate) keys: Vec<u8>,
    /// One for each key.
    pub(crate) entries: Vec<Collected>,
}

impl Collection {
    pub(super) fn push(&mut self, key: &[u8], location: Location) {
        let key_start = self.keys.len();
        self.keys.extend_from_slice(key);
        self.entries.push(Collected { key_start, key_len: key.len() as u16, location });
        debug_assert_eq!(usize::from(key.len() as u16), key.len(), "keys have a u16 of length");
    }
}

impl fmt::Debug for Collection {
    /// Without the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collection").field("entries", &self.entries.len()).finish_non_exhaustive()
    }
}
