//! How the suites open a Bitcask.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bitcask::planted::{Action, Hook, Step};
use bitcask::{Bitcask, Options, ReadMode};
use durable::{Env, File, OpKind, copy_whole};
use kv::Result;
use torture::{FailedCall, Opened, Subject};

/// A step, and what happens to it.
pub(crate) type WrongStep = (Step, Action);

/// A Bitcask with tiny files, right or with one step done wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BitcaskSubject {
    mistake: Option<WrongStep>,
}

/// The options of a set. Its files are so small that a few dozen writes pass through every structural event.
fn options(env: &Env, option_set: usize) -> Options {
    let options = Options::in_env(env.clone());
    match option_set {
        0 => options.data_file_bytes(1024),
        _ => options.data_file_bytes(4096).read(ReadMode::Positional).merge(None),
    }
}

/// The data files, hint files and temporary files in `dir` that the manifest does not name. A data file counts if its
/// content says that the store made it: the store leaves all others to whoever made them.
fn orphans(env: &Env, dir: &Path) -> Result<Vec<PathBuf>> {
    let dump = bitcask::dump(dir, env)?;
    let files = dump["data_files"].as_array().map_or(&[][..], Vec::as_slice);
    let live: Vec<u64> = files.iter().filter_map(|file| file["file"].as_u64()).collect();
    assert_eq!(live.len(), files.len(), "a dump numbers the files");
    let mut orphans = Vec::new();
    for entry in env.fs.list(dir)? {
        let (stem, extension) = entry.name.split_once('.').unwrap_or((&entry.name, ""));
        let is_live = stem.parse().is_ok_and(|id| live.contains(&id));
        let path = dir.join(&entry.name);
        let is_orphan = match extension {
            "data" => !is_live && is_recognised(&*env.fs.open(&path)?)?,
            "hint" => !is_live,
            _ => extension.ends_with("tmp"),
        };
        orphans.extend(is_orphan.then_some(path));
    }
    Ok(orphans)
}

/// Whether a file begins like a segment, or is as empty as a crash may leave one.
fn is_recognised(file: &dyn File) -> Result<bool> {
    let bytes = copy_whole(file)?;
    Ok(bytes.starts_with(b"KVSEGM") || bytes.iter().all(|byte| *byte == 0))
}

impl BitcaskSubject {
    pub(crate) fn with(mistake: Option<WrongStep>) -> Self {
        Self { mistake }
    }

    fn open_with(self, mut options: Options, dir: &Path) -> Result<Opened> {
        let (env, place) = (options.env.clone(), dir.to_path_buf());
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
            .with_orphans(move || orphans(&env, &place))
            .with_maintain(move || merging.merge());
        Ok(if self.mistake.is_none() { opened.with_invariant(verify) } else { opened })
    }
}

impl Subject for BitcaskSubject {
    fn name(&self) -> &'static str {
        "bitcask"
    }

    fn open(&self, env: &Env, dir: &Path, option_set: usize) -> Result<Opened> {
        self.open_with(options(env, option_set), dir)
    }

    fn open_reserving(&self, env: &Env, dir: &Path, option_set: usize) -> Option<Result<Opened>> {
        let options = options(env, option_set);
        let reserve = 16 * options.data_file_bytes;
        Some(self.open_with(options.reserve_bytes(reserve), dir))
    }

    fn option_sets(&self) -> usize {
        2
    }

    /// The data files; those that were sealed are checked against the manifest, but which those are the suite cannot
    /// know.
    fn tails(&self, files: &[PathBuf]) -> Vec<PathBuf> {
        files.iter().filter(|path| self.has_witness(path)).cloned().collect()
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
    fn may_wait_for_space(&self, call: &FailedCall<'_>) -> bool {
        let name = call.path.file_name().unwrap_or_default().to_string_lossy();
        let is_manifest = name.starts_with("MANIFEST") || name.starts_with("CURRENT");
        let is_edit = matches!(call.kind, OpKind::Create | OpKind::Write | OpKind::Rename);
        // The header of the file that is prepared. A caller is told of every other append that finds no space.
        let is_prepared = call.in_background && call.is_first_append && name.ends_with(".data");
        is_prepared || (is_manifest && is_edit)
    }
}
