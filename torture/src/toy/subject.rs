//! The toy as a subject.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::{Env, OpKind};
use kv::Result;

use super::bug::Bug;
use super::engine::Toy;
use crate::subject::{FailedCall, Opened, Subject};

/// The toy engine as a subject, sound or with a planted bug.
#[derive(Clone, Copy, Debug, Default)]
pub struct ToySubject {
    /// The bug. `None` for the sound engine.
    pub bug: Option<Bug>,
}

impl Subject for ToySubject {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn open(&self, env: &Env, dir: &Path, option_set: usize) -> Result<Opened> {
        let toy = Arc::new(Toy::open_with(env, dir, option_set == 0, self.bug)?);
        let recovered = toy.newest();
        let (maintained, listed) = (Arc::clone(&toy), Arc::clone(&toy));
        Ok(Opened::new(toy)
            .with_recovered(recovered)
            .with_maintain(move || maintained.compact())
            .with_orphans(move || listed.orphans()))
    }

    /// One that compacts in the background, and one that never does.
    fn option_sets(&self) -> usize {
        2
    }

    fn tails(&self, files: &[PathBuf]) -> Vec<PathBuf> {
        files.iter().filter(|path| path.extension().is_some_and(|e| e == "log")).cloned().collect()
    }

    /// A compaction that finds no space leaves the old log, and is tried again after the next write.
    fn may_wait_for_space(&self, call: &FailedCall<'_>) -> bool {
        let extension = call.path.extension();
        call.kind == OpKind::SyncDir || extension.is_some_and(|name| name == "log" || name == "tmp")
    }
}
