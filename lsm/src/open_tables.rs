//! How many tables a store keeps open.
//!
//! An open table has a descriptor, a mapping and the top of its index. A handle that wants to keep its table open takes a
//! [`Place`] and gives it back when it ends. If there is none left, the reader opens the table for itself, so reads never wait
//! and never fail for want of a place. Then, and when the last place is taken, the background is asked to close tables that
//! were not used lately ([`VersionSet::close_unused`](crate::version::VersionSet::close_unused)).
//!
//! So there are at most as many open tables as places, and besides those of readers that found none: one for each look-up, and
//! for a walk two of each run, while it goes from one to the next.

use std::fmt;
use std::sync::{Arc, OnceLock};

use durable::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use kv::Error;

/// Of the open tables, one in so many is closed at once: to close a table, a version is made anew.
const CLOSED_AT_ONCE: usize = 8;

/// The places of a store.
pub(crate) struct OpenTables {
    most: usize,
    taken: AtomicUsize,
    /// How many tables were opened and kept open.
    opened: AtomicU64,
    /// Has tables closed, soon.
    make_room: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// The right to keep a table open.
pub(crate) struct Place {
    of: Arc<OpenTables>,
}

impl OpenTables {
    /// At most `most` tables are kept open, of a store that closes some when there is no place left.
    pub(crate) fn at_most(most: usize) -> Self {
        let (taken, opened) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { most: most.max(1), taken, opened, make_room: OnceLock::new() }
    }

    /// Every table is kept open.
    pub(crate) fn all() -> Self {
        Self::at_most(usize::MAX)
    }

    /// Says who closes tables when there is no place left.
    ///
    /// # Panics
    /// When called twice.
    pub(crate) fn when_full(&self, make_room: impl Fn() + Send + Sync + 'static) {
        assert!(self.make_room.set(Box::new(make_room)).is_ok(), "the engine says it once");
    }

    /// Takes a place. `None`: there is none.
    pub(crate) fn take_place(self: &Arc<Self>) -> Option<Place> {
        let more = |taken| (taken < self.most).then(|| taken + 1);
        let taken = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        if taken.map_or(true, |before| before + 1 == self.most) {
            self.make_room();
        }
        taken.ok()?;
        self.opened.fetch_add(1, Ordering::Relaxed);
        Some(Place { of: Arc::clone(self) })
    }

    /// A table could not be opened. If that is for want of descriptors or memory, some tables are closed.
    pub(crate) fn failed(&self, error: &Error) {
        if error.is_out_of_resources() {
            self.make_room();
        }
    }

    fn make_room(&self) {
        if let Some(make_room) = self.make_room.get() {
            make_room();
        }
    }

    /// How many tables are to be closed at once.
    pub(crate) fn to_close(&self) -> usize {
        self.taken().div_ceil(CLOSED_AT_ONCE)
    }

    /// How many tables are kept open now.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// How many tables were opened and kept open so far.
    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let before = self.of.taken.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before > 0, "the place was taken");
    }
}

impl fmt::Debug for OpenTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenTables")
            .field("most", &self.most)
            .field("taken", &self.taken())
            .finish_non_exhaustive()
    }
}
