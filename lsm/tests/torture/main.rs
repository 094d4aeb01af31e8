//! The engine under the suites of `torture`.
#![cfg(not(shuttle))]

mod checkpoint;
mod compaction;
mod mistakes;
mod planted;
mod recovery;
mod sound;
mod subject;
