//! Facts about the manifest, proved on a toy state.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod basics;
mod crash;
mod damage;
mod faults;
mod file_handles;
mod forged;
mod full_disk;
mod golden;
mod law;
mod new_store;
mod open_store;
mod publish;
mod reader;
mod toy;
