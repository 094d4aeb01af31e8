//! Facts about the engine.
#![cfg(not(shuttle))]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod files;
mod places;
mod world;
