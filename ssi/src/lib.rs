//! Serializability on top of snapshots.
//!
//! [`history`] is the checker of recorded histories: it takes what the transactions of any store read and wrote, builds their
//! dependency graph, and says which isolation levels the store kept.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("this workspace supports 64-bit targets only");

pub mod history;
