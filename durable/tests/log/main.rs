//! Facts about the log, on the simulated disk.
#![cfg(not(shuttle))]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod chain;
mod crash;
mod damage;
mod formats;
mod full_disk;
mod group_sync;
mod places;
mod store;
mod witness;
