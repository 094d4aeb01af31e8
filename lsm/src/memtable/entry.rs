//! Entries of a memtable, and how they are compared with a key that is looked up.
//!
//! An entry owns its bytes and a probe borrows them. The map compares both as `dyn AsParts`, so a look-up copies no key.

use std::borrow::Borrow;
use std::cmp::{Ordering, Reverse};

use bytes::Bytes;

use crate::internal_key::Trailer;

/// One entry: key and value in one allocation.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The user key, and behind it the value.
    bytes: Bytes,
    key_len: u32,
    trailer: Trailer,
}

impl Entry {
    pub(super) fn new(user: &[u8], trailer: Trailer, value: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(user.len() + value.len());
        bytes.extend_from_slice(user);
        bytes.extend_from_slice(value);
        debug_assert!(u32::try_from(user.len()).is_ok(), "the length was checked");
        Self { bytes: bytes.into(), key_len: user.len() as u32, trailer }
    }

    #[inline]
    pub(super) fn user(&self) -> &[u8] {
        &self.bytes[..self.key_len as usize]
    }

    #[inline]
    pub(super) fn value(&self) -> &[u8] {
        &self.bytes[self.key_len as usize..]
    }

    #[inline]
    pub(super) fn trailer(&self) -> Trailer {
        self.trailer
    }
}

/// A place in the order of entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe<'k> {
    pub(super) user: &'k [u8],
    pub(super) trailer: Trailer,
}

/// A user key and a trailer, owned or borrowed. Ordered as internal keys are.
pub(super) trait AsParts {
    fn parts(&self) -> (&[u8], Reverse<Trailer>);
}

impl AsParts for Entry {
    #[inline]
    fn parts(&self) -> (&[u8], Reverse<Trailer>) {
        (self.user(), Reverse(self.trailer))
    }
}

impl AsParts for Probe<'_> {
    #[inline]
    fn parts(&self) -> (&[u8], Reverse<Trailer>) {
        (self.user, Reverse(self.trailer))
    }
}

impl<'k> Borrow<dyn AsParts + 'k> for Entry {
    fn borrow(&self) -> &(dyn AsParts + 'k) {
        self
    }
}

impl Ord for dyn AsParts + '_ {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl PartialOrd for dyn AsParts + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn AsParts + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for dyn AsParts + '_ {}

impl Ord for Entry {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}
