//! Facts about the simulated disk and the fault injector.
#![cfg(not(shuttle))]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod both_disks;
mod crash_images;
mod disk_facts;
mod faults;
mod protocol;
mod random_runs;
mod real_disk;
mod torn_writes;
