//! The suites, tried on engines that are sound and on engines that are not.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod planted;
mod sound;
