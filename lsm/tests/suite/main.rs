//! Stories of one store: which files exist and when, and what readers see meanwhile.
#![cfg(not(shuttle))]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_methods, reason = "tests of threads start them")]

mod back_pressure;
mod checkpoints;
mod commits;
mod compaction_faults;
mod compactions;
mod dropping;
mod dumps;
mod events;
mod expiry;
mod explicit_compactions;
mod flushes;
mod forged;
mod full_disk;
mod lifetimes;
mod open_tables;
mod opening;
mod pins;
mod races;
mod range_deletions;
mod range_histories;
mod readers;
mod repairs;
mod scans;
mod sizes;
mod threads;
mod versions;
mod world;
