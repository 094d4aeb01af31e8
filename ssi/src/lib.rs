//! Serializability on top of snapshots.
//!
//! [`history`] is the checker of recorded histories: it takes the reads and writes of the transactions of any store, builds
//! their dependency graph, and says which isolation levels the store kept. [`certify`] decides at commit whether a transaction
//! may.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("this workspace supports 64-bit targets only");

pub mod certify;
pub mod history;
