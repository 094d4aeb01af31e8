//! Serializability on top of snapshots.
//!
//! [`Ssi`] is the engine: transactions of [`mvcc`], with a certifier that decides at each commit. [`history`] is the checker of recorded histories: it takes the reads and writes of the transactions of any store, builds
//! their dependency graph, and says which isolation levels the store kept. [`certify`] decides at commit whether a transaction
//! may.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("this workspace supports 64-bit targets only");

pub mod certify;
mod conflicts;
mod engine;
pub mod history;
mod tracked_cursor;
mod transaction;

pub use engine::Ssi;
pub use transaction::Transaction;
