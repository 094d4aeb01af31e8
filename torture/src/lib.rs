//! Suites that torture any engine behind the contract of `kv`, on a disk that can be cut off anywhere.
//!
//! | suite | law |
//! |---|---|
//! | [`conformance`] | each promise of the contract, as a story |
//! | [`histories`] | whatever is written and read, a sorted map would answer the same |
//! | [`crash`] | after a crash anywhere: all that was synced, and a prefix of the rest, in whole batches |
//! | [`faults`] | a failed call is indeterminate, is told, and harms nothing else |
//! | [`damage`] | a damaged file gives the right answer or `Corruption`, never a wrong one |
//! | [`visibility`] | a reader of the writing handle sees no write of class `Sync` before it is durable |
//! | [`threads`] | many threads see one order of writes |
//! | [`simulation`] | all of it at once, crash after crash, from one seed |
//! | [`kill`] | a real process that is killed loses nothing that it had handed over |
//! | [`power`] | a real file system whose power is cut loses nothing that was synced |
//!
//! A suite returns a [`Report`] of how much it visited or a [`Failure`] with a line that [`replay`] repeats. The checks
//! are checked themselves: [`planted`] bugs must be found. [`toy`] is an engine that passes, and breaks on demand.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod generate;
mod line;
mod marks;
mod minimise;
mod observe;
mod oracle;
pub mod planted;
mod processes;
mod random;
mod replay;
mod report;
mod run;
mod script;
mod shard;
pub mod soak;
mod stepper;
mod subject;
mod suite;
pub mod suites;
pub mod toy;
mod universe;
mod walk;
mod world;

pub use processes::{Program, kill, power};
pub use replay::replay;
pub use report::{Failure, Outcome, Report};
pub use shard::Shard;
pub use subject::{Opened, Subject};
pub use suite::{Run, Soak, Suite};
pub use suites::*;
