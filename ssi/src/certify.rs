//! Deciding at commit whether a transaction may, on top of snapshot isolation.
//!
//! [`ConflictTracker`] remembers the reads of running transactions and the reads and writes of those that committed beside
//! them. When a transaction asks to commit, the tracker finds its anti-dependencies, and a [`Certifier`] decides:
//!
//! | certifier | refuses a transaction | aborts without need |
//! |---|---|---|
//! | [`ReadSetValidation`] | that writes, if something that it read was overwritten | many |
//! | [`SerializableSnapshot`] | in a dangerous structure whose last transaction committed first | some |
//! | [`ExactCycles`] | that closes a cycle, real time included | none |
//!
//! All three yield strictly serializable histories. All of it is a state machine: no store, no clock, no thread. The
//! caller serializes the calls, but for [`Reads`]. `commit` belongs into the section in which the store hands out a number. A transaction is
//! announced before the store takes its snapshot, because a commit in between would be forgotten.
//!
//! # Anti-dependencies
//!
//! An anti-dependency leads from a reader to a concurrent writer: the reader saw the version before the write, so it comes
//! first in any serial order. It has a key, and the reader read the key itself or a range with it. The tracker finds it at the
//! commit of the later of the two:
//! - *Out*: the committing transaction read a key that a transaction wrote which committed after its snapshot.
//! - *In*: a transaction that still runs, or that committed after the snapshot of the committing one, read a key that the
//!   committing one writes.
//!
//! Each pair of a read and a write meets: the reader finds the write at its commit, or the writer finds the read of a reader
//! that committed first. The caller registers a read **before** it looks at the data, or, for a range whose end shows while it is
//! read, soon after. Then the writer finds a running reader, too, and a pivot that must not commit loses itself, not the reader.
//!
//! # Dangerous structures
//!
//! Each cycle under snapshot isolation has two anti-dependencies in a row, `t_in -> pivot -> t_out`, and of the cycle `t_out`
//! commits first (Fekete et al. 2005). [`SerializableSnapshot`] refuses the last of the three to ask, where that is possible
//! (Ports and Grittner 2012, sections 3 and 4):
//! - a *pivot* with a committed `t_out` and a `t_in` that still runs or committed after `t_out`;
//! - a *`t_in`* of a committed pivot with a `t_out` that committed before the pivot.
//!
//! A `t_in` that writes nothing is harmless unless `t_out` committed before the snapshot of `t_in`: only then can it see that
//! `t_out` came first. For that, `t_out.commit <= t_in.snapshot` counts as before.
//!
//! # Memory
//!
//! A committed transaction is forgotten once its commit is visible and no running or announced one has an older snapshot:
//! nobody can be concurrent with it any more. Its successors still know that they had an anti-dependency to it. The memory grows with the oldest
//! running transaction; a budget does not exist yet.

mod certifier;
mod commit_place;
mod committed;
mod exact_cycles;
mod explain;
mod read_set;
mod read_set_validation;
mod reads;
mod safe_snapshots;
mod serializable_snapshot;
mod tracker;

pub use certifier::{AntiDependency, Candidate, Certifier, Partner, Refusal};
pub use commit_place::CommitPlace;
pub use exact_cycles::ExactCycles;
pub(crate) use read_set::{Edge, Extent, Scan};
pub use read_set_validation::ReadSetValidation;
pub use reads::Reads;
pub use safe_snapshots::Watch;
pub use serializable_snapshot::SerializableSnapshot;
pub use tracker::{Announcement, ConflictTracker};
