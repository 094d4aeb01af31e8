//! The order in which a thread may take locks, and the record of the locks that it holds.
//!
//! The record is a thread-local list. Under shuttle, where all tasks share one thread of the operating system, it is
//! shuttle's thread-local, so each task has its own.

#[cfg(debug_assertions)]
use std::cell::RefCell;

/// The place of a lock in the lock order: a thread takes locks in ascending order.
///
/// One enum or list of constants in each crate names all of its ranks, so that the order can be read in one place. Crates
/// share one line of numbers, because a thread holds locks of several crates at once:
///
/// | order | locks of |
/// |---|---|
/// | 0 to 9,999 | transactions (`ssi`, `mvcc`) |
/// | 10,000 to 49,999 | engines (`bitcask`, `lsm`) |
/// | from 50,000 | `durable`, which calls no engine while it holds a lock |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    order: u16,
    name: &'static str,
}

impl Rank {
    /// The first order of the locks of engines.
    pub const ENGINE: u16 = 10_000;
    /// The first order of the locks of this crate.
    pub const DURABLE: u16 = 50_000;

    /// The rank at `order`, called `name` in messages.
    pub const fn new(order: u16, name: &'static str) -> Self {
        Self { order, name }
    }

    /// The place in the order.
    pub const fn order(self) -> u16 {
        self.order
    }

    /// The name for messages.
    pub const fn name(self) -> &'static str {
        self.name
    }
}

/// The rank of one lock, as the lock stores it. Takes no space in release builds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LockRank {
    #[cfg(debug_assertions)]
    rank: Option<Rank>,
}

impl LockRank {
    /// The rank of a lock that takes no part in the order.
    pub(super) const UNRANKED: Self = Self {
        #[cfg(debug_assertions)]
        rank: None,
    };

    #[cfg_attr(
        not(debug_assertions),
        expect(unused_variables, reason = "ranks are for debug builds")
    )]
    pub(super) const fn of(rank: Rank) -> Self {
        Self {
            #[cfg(debug_assertions)]
            rank: Some(rank),
        }
    }

    /// Checks that this thread may wait for the lock. Call it before waiting: a thread that waits in the wrong order may
    /// wait for ever.
    #[inline]
    #[track_caller]
    pub(super) fn check(self) {
        #[cfg(debug_assertions)]
        if let Some(rank) = self.rank {
            check(rank);
        }
    }

    /// Records that this thread holds the lock, until the result is dropped.
    #[inline]
    pub(super) fn hold(self) -> Held {
        #[cfg(debug_assertions)]
        if let Some(rank) = self.rank {
            record(rank);
        }
        Held { lock: self }
    }
}

/// The record that this thread holds a lock. Ends when dropped.
#[derive(Debug)]
pub(super) struct Held {
    lock: LockRank,
}

impl Held {
    /// Ends the record while the thread waits for a condition, which releases the lock. Checks before the wait that the
    /// thread may take the lock again after it.
    #[inline]
    #[track_caller]
    pub(super) fn release(&mut self) -> LockRank {
        let released = std::mem::replace(self, Self { lock: LockRank::UNRANKED });
        let lock = released.lock;
        drop(released);
        lock.check();
        lock
    }
}

#[cfg(debug_assertions)]
impl Drop for Held {
    fn drop(&mut self) {
        if let Some(rank) = self.lock.rank {
            forget(rank);
        }
    }
}

/// Checks in debug builds that this thread holds no ranked lock. `activity` names the next action of the thread in the message:
/// for example, to wait for a job that takes locks of its own.
///
/// # Panics
/// In debug builds, when the thread holds one.
#[inline]
#[track_caller]
pub fn assert_no_ranked_lock_is_held(activity: &str) {
    #[cfg(debug_assertions)]
    if let Some(held) = latest() {
        panic!("{activity} while the thread holds the lock \"{}\"", held.name);
    }
    #[cfg(not(debug_assertions))]
    let _: &str = activity;
}

#[cfg(all(debug_assertions, not(shuttle)))]
thread_local! {
    /// The ranks of the locks that this thread holds, in the order in which it took them.
    static HELD: RefCell<Vec<Rank>> = const { RefCell::new(Vec::new()) };
}

#[cfg(all(debug_assertions, shuttle))]
shuttle::thread_local! {
    /// The ranks of the locks that this task holds, in the order in which it took them.
    static HELD: RefCell<Vec<Rank>> = RefCell::new(Vec::new())
}

/// Looks at the record. `None` while the thread is being destroyed, when nothing is checked any more.
#[cfg(debug_assertions)]
fn with_held<T>(look: impl FnOnce(&mut Vec<Rank>) -> T) -> Option<T> {
    HELD.try_with(|held| look(&mut held.borrow_mut())).ok()
}

/// The latest in the order of the locks that this thread holds.
#[cfg(debug_assertions)]
fn latest() -> Option<Rank> {
    with_held(|held| held.iter().copied().max_by_key(|rank| rank.order)).flatten()
}

#[cfg(debug_assertions)]
#[track_caller]
fn check(wanted: Rank) {
    if let Some(held) = latest() {
        assert!(
            wanted.order > held.order,
            "lock order: the thread takes \"{}\" ({}) while it holds \"{}\" ({})",
            wanted.name,
            wanted.order,
            held.name,
            held.order,
        );
    }
}

#[cfg(debug_assertions)]
fn record(rank: Rank) {
    with_held(|held| held.push(rank));
}

#[cfg(debug_assertions)]
fn forget(rank: Rank) {
    // Guards may be dropped in any order, so the entry is not always the last one.
    with_held(|held| {
        let at = held.iter().rposition(|other| *other == rank);
        debug_assert!(at.is_some(), "the guard of \"{}\" was recorded", rank.name);
        at.map(|at| held.remove(at))
    });
}
