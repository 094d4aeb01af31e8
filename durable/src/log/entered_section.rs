//! The commit section of a log while a thread is in it.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::thread::panicking;

use kv::Error;

use super::group_sync::GroupSync;
use crate::sync::MutexGuard;

/// A thread is in the commit section of a log, with the state `S` of that section, until this is dropped.
///
/// A panic inside, of an assertion or an allocation for example, may leave the section half changed: a batch is in the log and
/// not in the memory of the engine. Later batches must not build on that. So if the thread unwinds out of the section, the log
/// is poisoned, before another thread enters. Reads go on; reopening recovers.
#[derive(Debug)]
pub struct EnteredSection<'c, S> {
    section: MutexGuard<'c, S>,
    log: &'c GroupSync,
    dir: &'c Path,
    /// The thread was already unwinding when it entered, as in a destructor that writes. That panic is not from the
    /// section.
    was_panicking: bool,
}

impl<'c, S> EnteredSection<'c, S> {
    /// The section of `log`, whose lock the thread has taken. `dir` is the directory of the store, for the error.
    #[inline]
    pub fn new(section: MutexGuard<'c, S>, log: &'c GroupSync, dir: &'c Path) -> Self {
        Self { section, log, dir, was_panicking: panicking() }
    }
}

impl<S> Deref for EnteredSection<'_, S> {
    type Target = S;

    #[inline]
    fn deref(&self) -> &S {
        &self.section
    }
}

impl<S> DerefMut for EnteredSection<'_, S> {
    #[inline]
    fn deref_mut(&mut self) -> &mut S {
        &mut self.section
    }
}

impl<S> Drop for EnteredSection<'_, S> {
    #[inline]
    fn drop(&mut self) {
        if panicking() && !self.was_panicking {
            let source = std::io::Error::other("a thread panicked inside the commit section");
            drop(self.log.poison(Error::io("commit to", self.dir, source)));
        }
    }
}
