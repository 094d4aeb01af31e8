//! The engine over an LSM tree. Most tests are those of the store in memory.
#![cfg(all(feature = "lsm", not(shuttle)))]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod recovery;
mod store;

#[path = "../suite/conflicts.rs"]
mod conflicts;
#[path = "../suite/history.rs"]
mod history;
#[path = "../suite/isolation.rs"]
mod isolation;
#[path = "../suite/limits.rs"]
mod limits;
#[path = "../suite/model.rs"]
mod model;
#[path = "../suite/scans.rs"]
mod scans;
#[path = "../suite/support.rs"]
mod support;
#[path = "../suite/threads.rs"]
mod threads;
#[path = "../suite/transactions.rs"]
mod transactions;

use store::{catch_up, collect_garbage, has_version, keys};
use support::{begin, commit, engine, engine_and_store, engine_with, get};
