//! Loading many records: they are sorted by shard first, so that a shard is in the processor's cache while it takes its
//! share, and is locked once for all of it.
//!
//! A record waits as the fields of an entry, see `keydir/arena.rs`, with the length of its key, `u16`, and the key.

use super::arena::{DELETED, FIELDS, fields, version_of};
use super::{Keydir, Location, SHARDS, Version};

/// How many bytes wait before they are entered: thousands of records for each shard, and less memory than the keydir of
/// a store that is large enough to notice. Twice as many gain nothing.
const WAITING_BYTES: usize = if cfg!(any(test, shuttle)) { 1 << 10 } else { 32 << 20 };

/// Bytes of a waiting record before its key.
const FIXED: usize = FIELDS + size_of::<u16>();

/// Takes the records that one thread finds while opening. What waits in it is entered by [`Loader::finish`].
#[derive(Debug)]
pub(crate) struct Loader<'k> {
    keydir: &'k Keydir,
    /// One for each shard.
    waiting: Vec<Vec<u8>>,
    bytes: usize,
}

impl<'k> Loader<'k> {
    /// A loader into `keydir`, which others may load into at the same time.
    pub(crate) fn new(keydir: &'k Keydir) -> Self {
        Self { keydir, waiting: vec![Vec::new(); SHARDS], bytes: 0 }
    }

    /// As [`Keydir::load`], but later.
    pub(crate) fn load(&mut self, key: &[u8], sequence: u64, location: Option<Location>) {
        let hash = self.keydir.hash(key);
        let location = location.unwrap_or(DELETED);
        let mut fixed = [0; FIXED];
        fixed[..FIELDS].copy_from_slice(&fields(Version { location, sequence }));
        fixed[FIELDS..].copy_from_slice(&(key.len() as u16).to_le_bytes());
        let waiting = &mut self.waiting[Keydir::shard_of(hash)];
        waiting.extend_from_slice(&fixed);
        waiting.extend_from_slice(key);
        self.bytes += FIXED + key.len();
        if self.bytes >= WAITING_BYTES {
            self.enter();
        }
    }

    /// Enters what is waiting.
    pub(crate) fn finish(mut self) {
        self.enter();
    }

    fn enter(&mut self) {
        for (shard, waiting) in self.keydir.shards.iter().zip(&mut self.waiting) {
            let mut shard = shard.write();
            for (key, version) in (Waiting { rest: waiting }) {
                shard.load(key, self.keydir.hash(key), version, |key| self.keydir.hash(key));
            }
            drop(shard);
            waiting.clear();
        }
        self.bytes = 0;
    }
}

/// The records that wait for one shard.
struct Waiting<'w> {
    rest: &'w [u8],
}

impl<'w> Iterator for Waiting<'w> {
    type Item = (&'w [u8], Version);

    fn next(&mut self) -> Option<Self::Item> {
        let (fixed, rest) = self.rest.split_first_chunk::<FIXED>()?;
        let key_len = u16::from_le_bytes([fixed[FIELDS], fixed[FIELDS + 1]]);
        let (key, rest) = rest.split_at(usize::from(key_len));
        self.rest = rest;
        Some((key, version_of(fixed)))
    }
}
