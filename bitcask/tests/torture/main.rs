//! The engine under the suites of `torture`.
#![cfg(not(shuttle))]

mod mistakes;
mod planted;
mod recovery_order;
mod regressions;
mod soak;
mod sound;
mod subject;
