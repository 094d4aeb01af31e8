//! Mutexes, reader-writer locks and condition variables with an optional [`Rank`].

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::rank::{Held, LockRank, Rank};
#[cfg(not(shuttle))]
use super::real as raw;
#[cfg(shuttle)]
use super::simulated as raw;

/// How often a thread looks whether a busy mutex is free before it sleeps: for about five microseconds.
const LOOKS: usize = if cfg!(shuttle) { 1 } else { 32 };

/// A mutex without poisoning.
#[derive(Default)]
pub struct Mutex<T> {
    rank: LockRank,
    raw: raw::Mutex<T>,
}

impl<T> Mutex<T> {
    /// An unlocked mutex that takes no part in the lock order.
    pub fn new(value: T) -> Self {
        Self { rank: LockRank::UNRANKED, raw: raw::Mutex::new(value) }
    }

    /// An unlocked mutex with a place in the lock order.
    pub fn ranked(rank: Rank, value: T) -> Self {
        Self { rank: LockRank::of(rank), raw: raw::Mutex::new(value) }
    }

    /// Waits for the mutex.
    ///
    /// # Panics
    /// In debug builds, when the thread holds a lock of the same or a later rank.
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.rank.check();
        let raw = self.raw.lock();
        MutexGuard { raw, held: self.rank.hold() }
    }

    /// Waits for a mutex that other threads hold for about a microsecond each time. If it is not free, the thread calls
    /// `when_busy`, looks again some times, and only then sleeps: waking a thread takes several microseconds,
    /// and if another thread has taken the mutex by then, the woken one sleeps again.
    ///
    /// # Panics
    /// In debug builds, when the thread holds a lock of the same or a later rank.
    #[inline]
    #[track_caller]
    pub fn lock_spinning(&self, when_busy: impl FnOnce()) -> MutexGuard<'_, T> {
        self.rank.check();
        self.try_lock().unwrap_or_else(|| {
            when_busy();
            self.spin().unwrap_or_else(|| self.lock())
        })
    }

    /// Looks [`LOOKS`] times whether the mutex is free.
    fn spin(&self) -> Option<MutexGuard<'_, T>> {
        (0..LOOKS).find_map(|_| {
            raw::pause();
            self.try_lock()
        })
    }

    /// Takes the mutex if it is free. The order is not checked, because the thread does not wait; but it holds the mutex
    /// afterwards, so the order is checked for each lock that it takes next.
    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let raw = self.raw.try_lock()?;
        Some(MutexGuard { raw, held: self.rank.hold() })
    }

    /// The value, without locking: nobody else can have it.
    pub fn into_inner(self) -> T {
        self.raw.into_inner()
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw.fmt(f)
    }
}

/// A held [`Mutex`].
pub struct MutexGuard<'m, T> {
    raw: raw::MutexGuard<'m, T>,
    held: Held,
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.raw
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.raw
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw.fmt(f)
    }
}

/// A condition that threads wait for while they hold a [`Mutex`].
#[derive(Debug, Default)]
pub struct Condvar {
    raw: raw::Condvar,
}

impl Condvar {
    /// A condition that nobody waits for.
    pub fn new() -> Self {
        Self::default()
    }

    /// Releases the mutex, waits for a signal, takes the mutex again. May return without a signal.
    ///
    /// # Panics
    /// In debug builds, when the thread holds another lock of the same or a later rank: it would take the mutex out of
    /// order when it wakes.
    #[track_caller]
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        wait_released(guard, |raw| self.raw.wait(raw));
    }

    /// Like [`Condvar::wait`], but returns after `at_most` without a signal. Under shuttle, where no time passes, it waits
    /// for the signal.
    ///
    /// # Panics
    /// As [`Condvar::wait`].
    #[track_caller]
    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, at_most: Duration) {
        // The caller looks at the state again, so the result need not say whether a signal came.
        wait_released(guard, |raw| {
            self.raw.wait_for(raw, at_most);
        });
    }

    /// Wakes one waiter.
    pub fn notify_one(&self) {
        self.raw.notify_one();
    }

    /// Wakes all waiters.
    pub fn notify_all(&self) {
        self.raw.notify_all();
    }
}

#[track_caller]
fn wait_released<T>(guard: &mut MutexGuard<'_, T>, wait: impl FnOnce(&mut raw::MutexGuard<'_, T>)) {
    let rank = guard.held.release();
    wait(&mut guard.raw);
    guard.held = rank.hold();
}

/// A reader-writer lock without poisoning.
#[derive(Default)]
pub struct RwLock<T> {
    rank: LockRank,
    raw: raw::RwLock<T>,
}

impl<T> RwLock<T> {
    /// An unlocked lock that takes no part in the lock order.
    pub fn new(value: T) -> Self {
        Self { rank: LockRank::UNRANKED, raw: raw::RwLock::new(value) }
    }

    /// An unlocked lock with a place in the lock order.
    pub fn ranked(rank: Rank, value: T) -> Self {
        Self { rank: LockRank::of(rank), raw: raw::RwLock::new(value) }
    }

    /// Waits for shared access.
    ///
    /// # Panics
    /// In debug builds, when the thread holds a lock of the same or a later rank. That includes shared access to this
    /// one: a thread that reads twice waits for ever when a writer arrives in between.
    #[inline]
    #[track_caller]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.rank.check();
        let raw = self.raw.read();
        RwLockReadGuard { raw, _held: self.rank.hold() }
    }

    /// Takes shared access if nobody has or waits for an exclusive one. The order is not checked, as in
    /// [`Mutex::try_lock`].
    #[inline]
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        let raw = self.raw.try_read()?;
        Some(RwLockReadGuard { raw, _held: self.rank.hold() })
    }

    /// Waits for exclusive access.
    ///
    /// # Panics
    /// In debug builds, when the thread holds a lock of the same or a later rank.
    #[inline]
    #[track_caller]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.rank.check();
        let raw = self.raw.write();
        RwLockWriteGuard { raw, _held: self.rank.hold() }
    }
}

impl<T: fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw.fmt(f)
    }
}

/// A held [`RwLock`], shared.
pub struct RwLockReadGuard<'l, T> {
    raw: raw::RwLockReadGuard<'l, T>,
    _held: Held,
}

impl<T> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.raw
    }
}

impl<T: fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw.fmt(f)
    }
}

/// A held [`RwLock`], exclusive.
pub struct RwLockWriteGuard<'l, T> {
    raw: raw::RwLockWriteGuard<'l, T>,
    _held: Held,
}

impl<T> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.raw
    }
}

impl<T> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.raw
    }
}

impl<T: fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw.fmt(f)
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests;
