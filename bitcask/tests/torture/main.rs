//! The engine under the suites of `torture`.
#![cfg(not(shuttle))]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod planted;
mod regressions;
mod sound;
mod subject;
