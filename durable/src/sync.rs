//! Locks, atomics, threads and published views: the real ones, or shuttle's under `--cfg shuttle`.
//!
//! Engines import these from here and nowhere else, so that a schedule test runs the code that ships. The interface is
//! `parking_lot`'s: locks do not poison, because a panic must not take the store with it.

#[cfg(not(shuttle))]
mod real {
    use std::sync::Arc;

    pub use parking_lot::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
    pub use std::sync::atomic;

    pub use std::thread::yield_now;

    /// Starts a detached thread called `name`.
    ///
    /// # Panics
    /// When the operating system has no thread left to give.
    #[expect(clippy::disallowed_methods, reason = "the one place that starts threads")]
    pub fn spawn(name: &str, run: impl FnOnce() + Send + 'static) {
        let spawned = std::thread::Builder::new().name(name.into()).spawn(run);
        drop(spawned.expect("the operating system starts a thread"));
    }

    /// A shared value that is replaced as a whole. Readers take neither a lock nor a reference count.
    #[derive(Debug)]
    pub struct Published<T>(arc_swap::ArcSwap<T>);

    impl<T> Published<T> {
        /// Publishes a first value.
        pub fn new(value: Arc<T>) -> Self {
            Self(arc_swap::ArcSwap::new(value))
        }

        /// The value as it is now, for a short look.
        pub fn load(&self) -> impl std::ops::Deref<Target = Arc<T>> + use<T> {
            self.0.load()
        }

        /// The value as it is now, to keep.
        pub fn load_full(&self) -> Arc<T> {
            self.0.load_full()
        }

        /// Replaces the value. Readers that loaded the old one keep it.
        pub fn store(&self, value: Arc<T>) {
            self.0.store(value);
        }
    }
}

#[cfg(shuttle)]
mod simulated {
    use std::ops::{Deref, DerefMut};
    use std::sync::{Arc, PoisonError};

    pub use shuttle::sync::atomic;

    pub use shuttle::thread::yield_now;

    /// Starts a detached thread.
    pub fn spawn(_name: &str, run: impl FnOnce() + Send + 'static) {
        drop(shuttle::thread::spawn(run));
    }

    /// A mutex without poisoning.
    #[derive(Debug, Default)]
    pub struct Mutex<T>(shuttle::sync::Mutex<T>);

    /// A held [`Mutex`].
    #[derive(Debug)]
    pub struct MutexGuard<'m, T>(Option<shuttle::sync::MutexGuard<'m, T>>);

    impl<T> Mutex<T> {
        /// An unlocked mutex.
        pub fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        /// Waits for the mutex.
        pub fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)))
        }

        /// Takes the mutex if it is free.
        pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok().map(|guard| MutexGuard(Some(guard)))
        }

        /// The value, without locking: nobody else can have it.
        pub fn into_inner(self) -> T {
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
    pub struct Condvar(shuttle::sync::Condvar);

    impl Condvar {
        /// A condition nobody waits for.
        pub fn new() -> Self {
            Self::default()
        }

        /// Lets go of the mutex, waits for a signal, takes the mutex again.
        pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            let held = guard.0.take().expect("held but inside a wait");
            guard.0 = Some(self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
        }

        /// The same for a while; here, where no time passes, until the signal.
        pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _at_most: std::time::Duration) {
            self.wait(guard);
        }

        /// Wakes one waiter.
        pub fn notify_one(&self) {
            self.0.notify_one();
        }

        /// Wakes all waiters.
        pub fn notify_all(&self) {
            self.0.notify_all();
        }
    }

    /// A reader-writer lock without poisoning.
    #[derive(Debug, Default)]
    pub struct RwLock<T>(shuttle::sync::RwLock<T>);

    /// A held [`RwLock`], shared.
    pub type RwLockReadGuard<'l, T> = shuttle::sync::RwLockReadGuard<'l, T>;
    /// A held [`RwLock`], exclusive.
    pub type RwLockWriteGuard<'l, T> = shuttle::sync::RwLockWriteGuard<'l, T>;

    impl<T> RwLock<T> {
        /// An unlocked lock.
        pub fn new(value: T) -> Self {
            Self(shuttle::sync::RwLock::new(value))
        }

        /// Waits for shared access.
        pub fn read(&self) -> RwLockReadGuard<'_, T> {
            self.0.read().unwrap_or_else(PoisonError::into_inner)
        }

        /// Takes shared access if nobody has or waits for an exclusive one.
        pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
            self.0.try_read().ok()
        }

        /// Waits for exclusive access.
        pub fn write(&self) -> RwLockWriteGuard<'_, T> {
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
}

#[cfg(not(shuttle))]
pub use real::*;
#[cfg(shuttle)]
pub use simulated::*;
