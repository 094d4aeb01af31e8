//! The locks and threads that ship.

use std::sync::Arc;

pub(super) use parking_lot::{
    Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
pub use std::sync::atomic;

pub use std::thread::yield_now;

/// Lets some tens of nanoseconds pass while another thread holds a lock.
#[inline]
pub(super) fn pause() {
    (0..4).for_each(|_| std::hint::spin_loop());
}

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
    #[inline]
    pub fn load(&self) -> impl std::ops::Deref<Target = Arc<T>> + use<T> {
        self.0.load()
    }

    /// The value as it is now, to keep.
    #[inline]
    pub fn load_full(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Replaces the value. Readers that loaded the old one keep it.
    pub fn store(&self, value: Arc<T>) {
        self.0.store(value);
    }
}
