//! Shuttle's locks and threads, with the interface of the real ones.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, PoisonError};

pub use shuttle::sync::atomic;

pub use shuttle::thread::yield_now;

/// Lets other threads run.
pub(super) fn pause() {
    yield_now();
}

/// Starts a detached thread.
pub fn spawn(_name: &str, run: impl FnOnce() + Send + 'static) {
    drop(shuttle::thread::spawn(run));
}

/// A mutex without poisoning.
#[derive(Debug, Default)]
pub(super) struct Mutex<T>(shuttle::sync::Mutex<T>);

/// A held [`Mutex`].
#[derive(Debug)]
pub(super) struct MutexGuard<'m, T>(Option<shuttle::sync::MutexGuard<'m, T>>);

impl<T> Mutex<T> {
    /// An unlocked mutex.
    pub(super) fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    /// Waits for the mutex.
    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Takes the mutex if it is free.
    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().ok().map(|guard| MutexGuard(Some(guard)))
    }

    /// The value, without locking: nobody else can have it.
    pub(super) fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.0.as_ref().expect("held but inside a wait")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("held but inside a wait")
    }
}

/// A condition variable.
#[derive(Debug, Default)]
pub(super) struct Condvar(shuttle::sync::Condvar);

impl Condvar {
    /// Lets go of the mutex, waits for a signal, takes the mutex again.
    pub(super) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.0.take().expect("held but inside a wait");
        guard.0 = Some(self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
    }

    /// The same for a while; here, where no time passes, until the signal.
    pub(super) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _at_most: std::time::Duration) {
        self.wait(guard);
    }

    /// Wakes one waiter.
    pub(super) fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all waiters.
    pub(super) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// A reader-writer lock without poisoning.
#[derive(Debug, Default)]
pub(super) struct RwLock<T>(shuttle::sync::RwLock<T>);

/// A held [`RwLock`], shared.
pub(super) type RwLockReadGuard<'l, T> = shuttle::sync::RwLockReadGuard<'l, T>;
/// A held [`RwLock`], exclusive.
pub(super) type RwLockWriteGuard<'l, T> = shuttle::sync::RwLockWriteGuard<'l, T>;

impl<T> RwLock<T> {
    /// An unlocked lock.
    pub(super) fn new(value: T) -> Self {
        Self(shuttle::sync::RwLock::new(value))
    }

    /// Waits for shared access.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes shared access if nobody has or waits for an exclusive one.
    pub(super) fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        self.0.try_read().ok()
    }

    /// Waits for exclusive access.
    pub(super) fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A shared value that is replaced as a whole.
#[derive(Debug)]
pub struct Published<T>(Mutex<Arc<T>>);

impl<T> Published<T> {
    /// Publishes a first value.
    pub fn new(value: Arc<T>) -> Self {
        Self(Mutex::new(value))
    }

    /// The value as it is now.
    pub fn load(&self) -> impl Deref<Target = Arc<T>> + use<T> {
        Box::new(self.load_full())
    }

    /// The value as it is now, to keep.
    pub fn load_full(&self) -> Arc<T> {
        Arc::clone(&self.0.lock())
    }

    /// Replaces the value.
    pub fn store(&self, value: Arc<T>) {
        *self.0.lock() = value;
    }
}
