//! Transactions with snapshot isolation.
//!
//! [`Mvcc`] is the engine. It keeps no data itself: a [`VersionedStore`] does. `LsmStore` is a durable one, [`MemoryStore`] one in
//! memory.
//!
//! # The rules
//!
//! 1. A transaction reads one snapshot: the newest committed state when it began. Its own writes lie in its memory until it
//!    commits, so no other transaction ever sees an uncommitted write.
//! 2. All writes of a transaction get **one** sequence number when it commits. A version is visible to a snapshot if its
//!    number is not greater than the snapshot's: [`is_visible`] is the whole rule.
//! 3. The first committer wins. A commit fails with [`Conflict`](kv::Error::Conflict) if another transaction has committed a
//!    write to (or a mark on) one of its keys since its snapshot. The check runs inside the commit section of the store.
//! 4. A transaction that writes nothing never fails with a conflict, and never waits for another transaction.
//! 5. A number becomes visible only after all smaller numbers, so a snapshot never has a hole that is filled later.
//!
//! Snapshot isolation allows write skew: two transactions read the same keys, each writes a different one, and both commit.
//! [`Transaction::mark`](kv::Transaction::mark) turns it into a conflict, where a program knows the place.
//!
//! # The invariants of a commit
//!
//! | | invariant | who keeps it |
//! |---|---|---|
//! | I1 | the order of numbers is the order of validation, and of the log | the store's commit section |
//! | I2 | the visible number never passes a number that is not applied | the store |
//! | I3 | a commit returns after its number is visible, so the next snapshot contains it | the store |
//! | I4 | a transaction that fails its validation takes no number | the store; the check writes nothing |
//! | I5 | after a failed log write the store takes no more writes | the store |
//!
//! # The modules
//!
//! - `engine`: [`Mvcc`], which composes the following three.
//! - `recent_commits`: names and marks of the last commits.
//! - `readers`: the transactions in flight, and their limits.
//! - `history_clock`: how much of the past stays readable.
//! - `transaction`: one transaction over a `write_set`; `merged_cursor` lays the write set over a cursor of the store.
//! - `store`: the seam; `lsm_store`: the durable store; `memory_store`: the store in memory; `visibility`: the two pure rules.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod components;
mod counters;
mod engine;
mod history_clock;
mod lock_order;
#[cfg(feature = "lsm")]
mod lsm_store;
mod memory_store;
mod merged_cursor;
mod options;
mod readers;
mod recent_commits;
mod retry;
mod stats;
mod store;
mod transaction;
mod visibility;
mod write_set;

pub use engine::Mvcc;
#[cfg(feature = "lsm")]
pub use lsm_store::LsmStore;
pub use memory_store::MemoryStore;
pub use options::{HistoryWindow, Options, ReaderLimits};
pub use retry::RetryPolicy;
pub use stats::{MvccStats, ReaderInfo};
pub use store::{HistoryUse, NewerSeen, NewestVersion, Pin, Validate, VersionRead, VersionedStore};
pub use transaction::{Attempt, CommitCheck, Transaction};
pub use visibility::{Horizon, is_visible};
