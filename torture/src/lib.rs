//! Suites that torture any engine behind the contract of `kv`, on a disk that can be cut off anywhere.
//!
//! | suite | invariant |
//! |---|---|
//! | [`conformance`] | each promise of the contract holds, as a fixed script |
//! | [`histories`] | every read answers as a sorted map would |
//! | [`crash`] | a crash anywhere leaves every synced batch and a prefix of the rest, in whole batches |
//! | [`faults`] | a failed call is indeterminate, is reported, and affects no other batch |
//! | [`full_disk`] | a full disk refuses writes, poisons nothing, and is left by deleting |
//! | [`damage`] | a damaged file gives the right answer or `Corruption`, never a wrong one |
//! | [`visibility`] | a reader of the writing handle sees no write of class `Sync` before it is durable |
//! | [`threads`] | many threads see one order of writes |
//! | [`simulation`] | random scripts, crashes and background jobs in one long run of a store |
//! | [`strays`] | stray entries in the directory are left alone and never block the store |
//! | [`kill`] | a real process that is killed loses no write that it had handed over |
//! | [`power`] | a real file system whose power is cut loses no synced write |
//!
//! A suite returns a [`Report`] of its work, or a [`Failure`] with a line that [`replay`] repeats. [`planted`] bugs check
//! the suites themselves: each must be found. [`toy`] is an engine that passes, and fails with a bug planted.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod actors;
mod beside_writer;
mod generate;
mod line;
mod marks;
mod minimise;
mod observe;
mod opening;
mod oracle;
mod pace;
pub mod planted;
mod possible;
mod processes;
mod random;
mod replay;
mod report;
mod rounds;
mod run;
pub mod schedules;
mod script;
#[cfg(test)]
mod scripted;
mod shard;
pub mod soak;
mod stepper;
mod stopped_job;
mod subject;
mod suite;
pub mod suites;
pub mod toy;
mod universe;
mod walk;
mod watchdog;
mod world;

pub use beside_writer::BesideWriter;
pub use processes::{Program, kill, power};
pub use replay::replay;
pub use report::{Failure, Outcome, Report};
pub use shard::Shard;
pub use stopped_job::{ReleasingClock, StoppedJob, stop_one};
pub use subject::{FailedCall, Opened, Subject};
pub use suite::{RunFn, Soak, Suite};
pub use suites::*;
