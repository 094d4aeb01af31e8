//! The names with which tests plant mistakes: a step and its fate. Present only with the feature `planted`.
//!
//! The list of planted mistakes belongs to the tests (`tests/torture/mistakes.rs`).

pub use durable::steps::Action;

pub use crate::steps::Step;

/// Decides the fate of each step of this engine.
pub type Hook = durable::steps::Hook<Step>;
