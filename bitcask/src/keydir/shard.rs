//! One shard of the keydir: index, entries, key arena, and the undo list of the open views.

use super::arena::{Arena, KeyRef};
use super::index::{Index, MAX_ENTRIES};
use super::{Location, Version};

/// Entries are allocated in blocks of this many, which never move: growing copies nothing and wastes little.
const BLOCK: usize = 64;

/// The file number of a deletion that is remembered while loading. Data files get smaller numbers.
pub(crate) const DELETED: u16 = u16::MAX;

/// Whether somebody may still need what a write replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undo {
    /// No view is open.
    Forget,
    /// The newest open view sees writes up to this one.
    KeepFor(u64),
}

/// 20 bytes: all that is known of a key besides its bytes.
#[derive(Clone, Copy, Debug)]
struct Entry {
    key: KeyRef,
    /// In units of 8 bytes.
    offset: u32,
    /// In units of 8 bytes.
    len: u32,
    sequence_low: u32,
    sequence_high: u16,
    file: u16,
}

impl Entry {
    fn new(key: KeyRef, version: Version) -> Self {
        Self {
            key,
            offset: (version.location.offset / 8) as u32,
            len: (version.location.len / 8) as u32,
            sequence_low: version.sequence as u32,
            sequence_high: (version.sequence >> 32) as u16,
            file: version.location.file,
        }
    }

    fn sequence(&self) -> u64 {
        u64::from(self.sequence_high) << 32 | u64::from(self.sequence_low)
    }

    fn version(&self) -> Version {
        let (offset, len) = (u64::from(self.offset) * 8, u64::from(self.len) * 8);
        Version { location: Location { file: self.file, offset, len }, sequence: self.sequence() }
    }
}

/// What a key was, from one write until another.
#[derive(Debug)]
struct Replaced {
    key: Box<[u8]>,
    version: Version,
    until: u64,
}

#[derive(Debug, Default)]
pub(super) struct Shard {
    index: Index,
    #[expect(clippy::vec_box, reason = "growing the vector must not copy the entries")]
    blocks: Vec<Box<[Entry; BLOCK]>>,
    /// Entries handed out so far, free ones included.
    used: usize,
    free: Vec<u32>,
    keys: Arena,
    undo: Vec<Replaced>,
}

const UNUSED: Entry =
    Entry { key: KeyRef(0), offset: 0, len: 0, sequence_low: 0, sequence_high: 0, file: DELETED };

impl Shard {
    pub(super) fn get(&self, key: &[u8], hash: u64) -> Option<Version> {
        self.find(key, hash).map(|number| self.entry(number).version())
    }

    pub(super) fn put(
        &mut self,
        key: &[u8],
        hash: u64,
        version: Version,
        undo: Undo,
        hash_of: impl Fn(&[u8]) -> u64,
    ) -> Option<Version> {
        let Some(number) = self.find(key, hash) else {
            self.insert(key, hash, version, hash_of);
            return None;
        };
        let entry = *self.entry(number);
        *self.entry_mut(number) = Entry::new(entry.key, version);
        self.keep(key, entry.version(), version.sequence, undo);
        Some(entry.version())
    }

    pub(super) fn remove(
        &mut self,
        key: &[u8],
        hash: u64,
        sequence: u64,
        undo: Undo,
        hash_of: impl Fn(&[u8]) -> u64,
    ) -> Option<Version> {
        let version = self.get(key, hash)?;
        self.take_out(key, hash, &hash_of);
        self.keep(key, version, sequence, undo);
        self.rebuild_keys_if_wasteful();
        Some(version)
    }

    pub(super) fn load(
        &mut self,
        key: &[u8],
        hash: u64,
        sequence: u64,
        location: Option<Location>,
        hash_of: impl Fn(&[u8]) -> u64,
    ) {
        let location = location.unwrap_or(Location { file: DELETED, offset: 0, len: 0 });
        let version = Version { location, sequence };
        match self.find(key, hash) {
            None => self.insert(key, hash, version, hash_of),
            Some(number) => {
                let entry = self.entry_mut(number);
                if entry.sequence() < sequence {
                    *entry = Entry::new(entry.key, version);
                }
            }
        }
    }

    pub(super) fn finish_loading(
        &mut self,
        hash_of: impl Fn(&[u8]) -> u64,
        live: &mut dyn FnMut(Version),
    ) {
        let mut deleted = Vec::new();
        for number in self.index.entries() {
            let entry = self.entry(number);
            if entry.file == DELETED {
                deleted.push(self.keys.get(entry.key).to_vec());
            } else {
                live(entry.version());
            }
        }
        for key in deleted {
            self.take_out(&key, hash_of(&key), &hash_of);
        }
        self.rebuild_keys_if_wasteful();
    }

    /// Calls `found` for each key as of write `view`.
    pub(super) fn collect(&self, view: u64, found: &mut dyn FnMut(&[u8], Location)) {
        for number in self.index.entries() {
            let entry = self.entry(number);
            if entry.sequence() <= view {
                found(self.keys.get(entry.key), entry.version().location);
            }
        }
        for replaced in &self.undo {
            if replaced.version.sequence <= view && view < replaced.until {
                found(&replaced.key, replaced.version.location);
            }
        }
    }

    pub(super) fn has_undo(&self) -> bool {
        !self.undo.is_empty()
    }

    pub(super) fn trim(&mut self, views: &[u64]) {
        self.undo.retain(|replaced| {
            let needs = |&view: &u64| replaced.version.sequence <= view && view < replaced.until;
            views.iter().any(needs)
        });
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let undo: usize = self.undo.iter().map(|replaced| replaced.key.len()).sum();
        self.index.memory_bytes()
            + self.blocks.len() * size_of::<[Entry; BLOCK]>()
            + self.blocks.capacity() * size_of::<Box<[Entry; BLOCK]>>()
            + self.free.capacity() * size_of::<u32>()
            + self.keys.memory_bytes()
            + self.undo.capacity() * size_of::<Replaced>()
            + undo
    }

    fn find(&self, key: &[u8], hash: u64) -> Option<u32> {
        self.index.find(hash, |number| self.keys.get(self.entry(number).key) == key)
    }

    fn insert(&mut self, key: &[u8], hash: u64, version: Version, hash_of: impl Fn(&[u8]) -> u64) {
        let at = self.keys.push(key).expect("a shard holds less than 4 GiB of keys");
        let number = self.free.pop().unwrap_or_else(|| {
            assert!(self.used < MAX_ENTRIES, "a shard holds less than 2^24 keys");
            if self.used == self.blocks.len() * BLOCK {
                self.blocks.push(Box::new([UNUSED; BLOCK]));
            }
            self.used += 1;
            self.used as u32 - 1
        });
        *self.entry_mut(number) = Entry::new(at, version);
        let (blocks, keys) = (&self.blocks, &self.keys);
        self.index.insert(hash, number, |number| hash_of(keys.get(entry_in(blocks, number).key)));
    }

    fn take_out(&mut self, key: &[u8], hash: u64, hash_of: &impl Fn(&[u8]) -> u64) {
        let (blocks, keys) = (&self.blocks, &self.keys);
        let key_of = |number: u32| keys.get(entry_in(blocks, number).key);
        let removed = self.index.remove(
            hash,
            |number| key_of(number) == key,
            |number| hash_of(key_of(number)),
        );
        if let Some(number) = removed {
            *self.entry_mut(number) = UNUSED;
            self.free.push(number);
            self.keys.forget(key.len());
        }
    }

    fn keep(&mut self, key: &[u8], version: Version, until: u64, undo: Undo) {
        if let Undo::KeepFor(newest_view) = undo
            && version.sequence <= newest_view
        {
            self.undo.push(Replaced { key: key.into(), version, until });
        }
    }

    fn rebuild_keys_if_wasteful(&mut self) {
        if !self.keys.is_mostly_garbage() {
            return;
        }
        let old = std::mem::take(&mut self.keys);
        let numbers: Vec<u32> = self.index.entries().collect();
        for number in numbers {
            let key = old.get(self.entry(number).key);
            self.entry_mut(number).key = self.keys.push(key).expect("fewer keys than before");
        }
    }

    fn entry(&self, number: u32) -> &Entry {
        entry_in(&self.blocks, number)
    }

    fn entry_mut(&mut self, number: u32) -> &mut Entry {
        &mut self.blocks[number as usize / BLOCK][number as usize % BLOCK]
    }
}

fn entry_in(blocks: &[Box<[Entry; BLOCK]>], number: u32) -> &Entry {
    &blocks[number as usize / BLOCK][number as usize % BLOCK]
}
