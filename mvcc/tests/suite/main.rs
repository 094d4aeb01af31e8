//! The engine over a store in memory, as its users see it.
#![cfg(not(shuttle))]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod conflicts;
mod failures;
mod history;
mod isolation;
mod limits;
mod model;
mod retained_bytes;
mod scans;
mod store;
mod support;
mod threads;
mod transactions;

use store::{catch_up, collect_garbage, has_version, keys};
use support::{begin, commit, engine, engine_and_store, engine_with, get};
