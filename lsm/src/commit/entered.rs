//! The commit section while a thread is in it.

use std::ops::{Deref, DerefMut};
use std::thread::panicking;

use durable::sync::MutexGuard;
use kv::Error;

use super::section::Section;
use crate::store::Store;

/// A thread is in the commit section, until this is dropped.
///
/// A panic inside, of an assertion or an allocation for example, may leave the section half changed: a batch is in the log
/// and not in the memtable. Later batches must not build on that. So if the thread unwinds out of the section, the store is
/// poisoned, before another thread enters. Reads go on; reopening recovers.
pub(super) struct EnteredSection<'c> {
    section: MutexGuard<'c, Section>,
    store: &'c Store,
    /// The thread was already unwinding when it entered, as in a destructor that writes. That panic is not from the
    /// section.
    was_panicking: bool,
}

impl<'c> EnteredSection<'c> {
    /// The section of `store`, whose lock the thread has taken.
    #[inline]
    pub(super) fn new(section: MutexGuard<'c, Section>, store: &'c Store) -> Self {
        Self { section, store, was_panicking: panicking() }
    }
}

impl Deref for EnteredSection<'_> {
    type Target = Section;

    #[inline]
    fn deref(&self) -> &Section {
        &self.section
    }
}

impl DerefMut for EnteredSection<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Section {
        &mut self.section
    }
}

impl Drop for EnteredSection<'_> {
    #[inline]
    fn drop(&mut self) {
        if panicking() && !self.was_panicking {
            let source = std::io::Error::other("a thread panicked inside the commit section");
            drop(self.store.poison(Error::io("commit to", self.store.path(), source)));
        }
    }
}
