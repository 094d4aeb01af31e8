//! Schedules of the engine's protocols, under `--cfg shuttle`: seal, install and publication against writers, readers, views
//! and close. The table of the named races is in `lsm/tests/suite/races.rs`.
#![cfg(shuttle)]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod checkpoints;
mod compactions;
mod entry_tree;
mod flushes;
mod lifetimes;
mod pins;
mod readers;
/// Private modules of the crate.
#[expect(dead_code, reason = "the schedules use a part of them")]
#[path = "../../src"]
mod source {
    pub(crate) mod entry_tree;
    pub(crate) mod internal_key;
}
mod versions;
mod world;

use source::internal_key;
