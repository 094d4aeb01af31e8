//! `memory`: the oracle of the workspace. Nothing survives the process, so it stands unranked beside engines that
//! keep their writes.

use kv::Durability;
use kv::memory::MemoryEngine;

use super::Registration;

pub(super) const REGISTRATION: Registration = Registration {
    name: "memory",
    about: "the oracle: a B-tree in memory whose scans freeze a copy on write",
    version: env!("CARGO_PKG_VERSION"),
    classes: &[Durability::None],
    open: |_, _| Ok(Box::new(MemoryEngine::new())),
    settings: |_| "everything in memory, whatever the budget".into(),
};
