//! The tree against a sorted map, and under threads.

mod keys;
mod properties;
mod threads;
