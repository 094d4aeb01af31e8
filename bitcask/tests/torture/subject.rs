//! How the suites open a Bitcask.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bitcask::planted::{Action, Hook, Step};
use bitcask::{Bitcask, Options, ReadMode};
use durable::{Env, OpKind};
use kv::Result;
use torture::{Opened, Subject};

/// A Bitcask with tiny files, right or with one step done wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BitcaskSubject {
    pub(crate) mistake: Option<(Step, Action)>,
}

impl Subject for BitcaskSubject {
    fn name(&self) -> &'static str {
        "bitcask"
    }

    fn open(&self, env: &Env, dir: &Path, option_set: usize) -> Result<Opened> {
        let mut options = Options::in_env(env.clone());
        options = match option_set {
            0 => options.data_file_bytes(1024),
            _ => options.data_file_bytes(4096).read(ReadMode::Positional).merge(None),
        };
        if let Some((step, action)) = self.mistake {
            options = options.hook(Hook::on(step, action));
        }
        let engine = Arc::new(Bitcask::open(dir, options)?);
        let newest = engine.newest_sequence();
        let checked = Arc::clone(&engine);
        let verify = move || checked.verify().map(drop).map_err(|error| error.to_string());
        let merging = Arc::clone(&engine);
        let snapshots = Arc::clone(&engine);
        let counting = Arc::clone(&engine);
        let opened = Opened::new(engine)
            .with_recovered(newest)
            .with_snapshots(snapshots)
            .with_background_failures(move || counting.statistics().merges_failed)
            .with_maintain(move || merging.merge());
        Ok(if self.mistake.is_none() { opened.with_invariant(verify) } else { opened })
    }

    fn option_sets(&self) -> usize {
        2
    }

    /// The data files; those that were sealed are checked against the manifest, but which those are the suite cannot
    /// know. And the manifest, whose very last edit has nothing behind it.
    fn tails(&self, files: &[PathBuf]) -> Vec<PathBuf> {
        let is_tail = |path: &&PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(".data") || name.starts_with("MANIFEST-")
        };
        files.iter().filter(is_tail).cloned().collect()
    }

    fn has_witness(&self, file: &Path) -> bool {
        file.extension().is_some_and(|extension| extension == "data")
    }

    /// Hint files only make the next opening faster; leftovers are removed at the next opening; and a file that cannot be
    /// created ahead of need is created again, and reported, when it is needed.
    fn may_swallow(&self, op: OpKind, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        matches!(op, OpKind::Remove | OpKind::FreeSpace | OpKind::CreateLog | OpKind::Reserve)
            || name.contains(".hint") && op != OpKind::SyncFile
            // The witness of a data file: without its newest claim, damage after a crash is found less often.
            || name.ends_with(".data") && op == OpKind::Write
    }

    /// A file that is begun or sealed in the background is tried again by the next writer that needs it.
    fn may_wait_for_space(&self, op: OpKind, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_manifest = name.starts_with("MANIFEST") || name.starts_with("CURRENT");
        is_manifest && matches!(op, OpKind::Create | OpKind::Write | OpKind::Rename)
    }
}
