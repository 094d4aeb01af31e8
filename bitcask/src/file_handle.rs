//! The identity of a data file while it is open: its number in the keydir, its count of live records, its lifetime.
//!
//! All forms in which a file is read (segment, mapping, positional) share one [`FileHandle`]. The keydir stores a
//! 16-bit *number* instead of the 64-bit id. A number is free again when the handle is dropped; by then no version in the
//! keydir names the file. A get that copied such a version earlier may read from another file. The frame there fails its checksum or has
//! another key, and the get looks its key up again. To make that rare, the number that was freed first is used first.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use durable::reclaim::{FileLifetime, FileReclaimer};
use durable::sync::Mutex;
use durable::sync::atomic::AtomicU64;
use kv::{Error, Result};

use crate::files::{DATA, HINT};
use crate::first_expiry::FirstExpiry;
use crate::keydir::Location;
use crate::lock_order::Lock;

/// How many data files can be open at a time: numbers that the keydir can hold.
pub(crate) const MAX_FILES: usize = u16::MAX as usize - 1;

/// Gives each data file its handle.
#[derive(Debug)]
pub(crate) struct FileRegistry {
    reclaimer: Arc<FileReclaimer>,
    numbers: Mutex<Numbers>,
}

/// The numbers of data files. Guarded by `FileRegistry::numbers`.
#[derive(Debug, Default)]
struct Numbers {
    /// No file has had this number or a higher one.
    next: u16,
    /// Numbers that were given back, oldest first.
    free: VecDeque<u16>,
}

impl FileRegistry {
    /// A registry of files that `reclaimer` unlinks.
    pub(crate) fn new(reclaimer: Arc<FileReclaimer>) -> Arc<Self> {
        let numbers = Mutex::ranked(Lock::FileNumbers.rank(), Numbers::default());
        Arc::new(Self { reclaimer, numbers })
    }

    /// The handle of data file `id`, with a number of its own.
    ///
    /// # Errors
    /// `InvalidArgument` when all numbers are in use.
    pub(crate) fn register(self: &Arc<Self>, id: u64) -> Result<Arc<FileHandle>> {
        let mut numbers = self.numbers.lock();
        let number = if usize::from(numbers.next) < MAX_FILES {
            numbers.next += 1;
            numbers.next - 1
        } else {
            let too_many = || Error::InvalidArgument(format!("more than {MAX_FILES} data files"));
            numbers.free.pop_front().ok_or_else(too_many)?
        };
        debug_assert!(usize::from(number) < MAX_FILES, "the keydir can hold the number");
        drop(numbers);
        // The data file outlives its hint: a hint without a data file would be an orphan of nobody.
        let lifetime = self.reclaimer.track([HINT.name(id), DATA.name(id)]);
        let (live, first_expiry) = (LiveCounts::default(), FirstExpiry::default());
        let registry = Arc::clone(self);
        Ok(Arc::new(FileHandle { id, number, live, first_expiry, lifetime, registry }))
    }

    /// Unlinks the files of handles that are gone.
    pub(crate) fn reclaimer(&self) -> &FileReclaimer {
        &self.reclaimer
    }

    fn give_back(&self, number: u16) {
        let mut numbers = self.numbers.lock();
        debug_assert!(number < numbers.next, "the number was given out");
        debug_assert!(!numbers.free.contains(&number), "a number is given back once");
        numbers.free.push_back(number);
    }
}

/// The part that all forms of one data file share. The file ends with the last of them.
#[derive(Debug)]
pub(crate) struct FileHandle {
    id: u64,
    /// The number of the file in the keydir.
    pub(crate) number: u16,
    /// How much of the file the keydir names.
    pub(crate) live: LiveCounts,
    /// When the first put of the file expires.
    pub(crate) first_expiry: FirstExpiry,
    lifetime: FileLifetime,
    registry: Arc<FileRegistry>,
}

impl FileHandle {
    /// The id of the data file.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The manifest no longer names the file, durably: it is unlinked after its last reader.
    pub(crate) fn retire(&self) {
        self.lifetime.retire();
    }
}

impl Drop for FileHandle {
    fn drop(&mut self) {
        self.registry.give_back(self.number);
    }
}

/// Live records that one thread has counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LiveCount {
    records: u64,
    bytes: u64,
}

impl LiveCount {
    /// Counts the record at `location`.
    #[inline]
    pub(crate) fn add(&mut self, location: Location) {
        debug_assert!(location.len > 0, "a frame has a header");
        self.records += 1;
        self.bytes += location.len;
    }
}

/// How much of a data file the keydir names. Each count is exact while no batch is being applied.
#[derive(Debug, Default)]
pub(crate) struct LiveCounts {
    records: AtomicU64,
    bytes: AtomicU64,
}

impl LiveCounts {
    /// Records that the keydir names.
    pub(crate) fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Bytes of their frames.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The keydir names one more record. Called before another thread can replace it.
    #[inline]
    pub(crate) fn add(&self, location: Location) {
        debug_assert!(location.len > 0, "a frame has a header");
        self.records.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(location.len, Ordering::Relaxed);
    }

    /// As [`LiveCounts::add`], for many records.
    pub(crate) fn add_all(&self, count: LiveCount) {
        debug_assert!(count.bytes >= count.records, "a frame has a header");
        self.records.fetch_add(count.records, Ordering::Relaxed);
        self.bytes.fetch_add(count.bytes, Ordering::Relaxed);
    }

    /// The keydir no longer names a record that was added.
    #[inline]
    pub(crate) fn subtract(&self, location: Location) {
        let records = self.records.fetch_sub(1, Ordering::Relaxed);
        let bytes = self.bytes.fetch_sub(location.len, Ordering::Relaxed);
        debug_assert!(records > 0, "a record that goes was counted");
        debug_assert!(bytes >= location.len, "its bytes were counted");
    }
}
