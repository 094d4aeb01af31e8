//! The engine under the suites of `torture`.
#![cfg(not(shuttle))]

mod compaction;
mod mistakes;
mod planted;
mod sound;
mod subject;
