//! The engine under the suites of `torture`.
#![cfg(not(shuttle))]

mod mistakes;
mod planted;
mod recovery;
mod sound;
mod subject;
