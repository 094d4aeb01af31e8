//! The tree against a sorted map, and under threads.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod keys;
mod properties;
mod threads;
