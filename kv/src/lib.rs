//! The contract that every storage engine of this workspace stands behind.
//!
//! [`Kv`] is the engine: point reads, atomic [`WriteBatch`]es with a [`Durability`], and scans through a lending
//! [`Cursor`] over a frozen view. Some engines add [`Snapshots`] or [`Transactional`]. All of it is
//! object-safe and synchronous, and there is one [`Error`] for the whole workspace. [`memory`] is the smallest engine:
//! the oracle of the tests, the baseline of the benchmarks, and the example to copy when writing another.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod batch;
mod capabilities;
mod conflict;
mod cursor;
mod cursor_position;
mod durability;
mod engine;
mod error;
mod key_range;
pub mod memory;
mod snapshot;
mod stats;
mod transaction;

pub use batch::{Op, WriteBatch};
pub use bytes::Bytes;
pub use capabilities::{Capabilities, MAX_KEY_LEN, MIN_VALUE_LIMIT, ScanSupport};
pub use conflict::{Access, Conflict, ConflictEdge, ConflictKind, Cycle, Operation, Target};
pub use cursor::{Cursor, Direction, Entries};
pub use cursor_position::{CursorPosition, StepFrom};
pub use durability::{Durability, SequenceNumber, UnixMillis};
pub use engine::Kv;
pub use error::{Error, Result};
pub use key_range::{KeyRange, no_key_between};
pub use snapshot::{Snapshot, Snapshots};
pub use stats::{Label, Metric, Stats, Unit};
pub use transaction::{Savepoint, Transaction, TransactionOptions, Transactional};

/// An owned value: a slice that is cheap to clone and may share its memory with the engine.
pub type Value = Bytes;
