//! The names with which tests plant mistakes: a step and its fate. Present only with the feature `planted`.
//!
//! The list of planted mistakes belongs to the tests (`tests/torture/planted.rs`). A mistake that is a file system call left
//! out needs no step: `durable::Inject` leaves it out.

pub use crate::steps::Step;
pub use crate::steps::hook::{Action, Hook, Outcome};
