//! Locks, atomics, threads and published views: the real ones, or shuttle's under `--cfg shuttle`.
//!
//! Engines import these from here and nowhere else, so that a schedule test runs the code that ships. The interface is
//! `parking_lot`'s: locks do not poison, because a panic must not take the store with it.
//!
//! **Lock order.** A lock made with [`Mutex::ranked`] or [`RwLock::ranked`] has a [`Rank`]. In debug builds a thread
//! that takes a ranked lock must hold no lock of the same or a later rank; otherwise it panics and names both. So a
//! deadlock between two ranked locks shows in every test that takes them in the wrong order, whether or not the threads
//! meet. Release builds store no rank and check nothing.

mod lock;
mod rank;
#[cfg(not(shuttle))]
mod real;
#[cfg(shuttle)]
mod simulated;

pub use lock::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use rank::{Rank, assert_no_ranked_lock_is_held};
#[cfg(not(shuttle))]
pub use real::{Published, atomic, spawn, yield_now};
#[cfg(shuttle)]
pub use simulated::{Published, atomic, spawn, yield_now};
