//! Facts about the contract, proved on the engine in memory.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod contract;
mod cursor;
mod transactional_map;
mod transactions;
