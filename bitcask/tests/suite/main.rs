//! Facts about the engine.
#![cfg(not(shuttle))]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod damaged_log;
mod descriptors;
mod dropping;
mod empty_files;
mod expiry;
mod explicit_merges;
mod files;
mod forged;
mod formats;
mod full_disk;
mod large_values;
mod limits;
mod lock;
mod merge_failures;
mod merge_rest;
mod merges;
mod opening;
mod panics;
mod places;
mod publication;
mod readers;
mod recovery;
mod riak;
mod scans;
mod sealing;
mod snapshots;
mod stray_names;
mod tombstones;
mod world;
