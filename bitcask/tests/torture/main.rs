//! The engine under the suites of `torture`.
#![cfg(not(shuttle))]

mod planted;
mod regressions;
mod sound;
mod subject;
