//! The folder of the stores of a run, and those that killed runs have left.
//!
//! A run holds a lock on a file in the folder of its stores. The kernel gives the lock back when the process ends, however it
//! ends. So a later run removes each such folder whose lock is free, and no other: without the file, nothing is removed.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::failure::{Failure, Outcome};
use crate::output;
use crate::scratch::ScratchFolder;

/// The name of the file with the lock.
const LOCK: &str = "kvbench.lock";
/// The folder of stores in the folder of a run.
const IN_RUN: &str = "stores";
/// The prefix of its name elsewhere.
const ELSEWHERE: &str = "kvbench-";

/// The folder of the stores of this run; it goes away with its owner.
#[derive(Debug)]
pub(crate) struct Stores {
    folder: ScratchFolder,
    /// Held until the folder is gone; `None` where the file system has no locks.
    _lock: Option<File>,
}

/// The name of the folder of stores: in the folder `run`, or in `dir` for the process `id`.
pub(crate) fn path(run: &Path, dir: Option<&Path>, id: u32) -> PathBuf {
    dir.map_or_else(|| run.join(IN_RUN), |dir| dir.join(format!("{ELSEWHERE}{id}")))
}

impl Stores {
    /// Creates the folder at `path` and locks it.
    pub(crate) fn create(path: &Path) -> Outcome<Self> {
        loop {
            let folder = ScratchFolder::create(path.to_path_buf())?;
            let lock = path.join(LOCK);
            let failed = |error: io::Error| Failure::io("create", &lock, &error);
            let file = File::create(&lock).map_err(failed)?;
            if flock(&file, FlockOperation::LockExclusive).is_err() {
                // Without a lock the folder must not look like one that somebody has left.
                fs::remove_file(&lock).map_err(failed)?;
                return Ok(Self { folder, _lock: None });
            }
            // Another run may have found the file before it was locked, and removed the folder.
            if is_at(&file, &lock) {
                return Ok(Self { folder, _lock: Some(file) });
            }
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes the folders of stores that killed runs have left: in the folders of runs in `out`, and in `dir`. Each is noted.
pub(crate) fn remove_left_over(out: &Path, dir: Option<&Path>) {
    let is_elsewhere = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(ELSEWHERE))
    };
    let in_dir = dir.into_iter().flat_map(entries).filter(is_elsewhere);
    for path in entries(out).into_iter().map(|run| run.join(IN_RUN)).chain(in_dir) {
        if remove_if_free(&path).unwrap_or(false) {
            output::note(&format!("removed the stores of a killed run: {}", path.display()));
        }
    }
}

/// Whether the folder at `path` was left, and is removed. An error leaves it to the next run.
fn remove_if_free(path: &Path) -> io::Result<bool> {
    let lock = path.join(LOCK);
    let file = File::open(&lock)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    // Its own run may have removed it, or another one that looks for folders at the same time.
    if !is_at(&file, &lock) {
        return Ok(false);
    }
    fs::remove_dir_all(path)?;
    Ok(true)
}

/// Whether the open `file` is the one at `path`.
fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let both = file.metadata().and_then(|open| Ok((identity(open), identity(fs::metadata(path)?))));
    both.is_ok_and(|(open, named)| open == named)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(io::Result::ok);
    entries.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_whose_lock_is_free_are_removed_and_no_others() {
        let out = tempfile::tempdir().unwrap();
        let run = |name: &str| path(&out.path().join(name), None, 1);
        let live = Stores::create(&run("live")).unwrap();
        let make = |path: &Path, with_lock: bool| {
            fs::create_dir_all(path.join("1-1")).unwrap();
            if with_lock {
                File::create(path.join(LOCK)).unwrap();
            }
        };
        make(&run("killed"), true);
        make(&run("foreign"), false);
        let dir = out.path().join("dir");
        let killed = path(out.path(), Some(&dir), 7);
        make(&killed, true);
        make(&dir.join("else"), true);
        remove_left_over(out.path(), Some(&dir));
        assert!(live.path().exists() && run("foreign").exists() && dir.join("else").exists());
        assert!(!run("killed").exists() && !killed.exists());
        let path = live.path().to_path_buf();
        drop(live);
        assert!(!path.exists());
    }
}
