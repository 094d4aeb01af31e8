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
        Self::create_with(path, |file| flock(file, FlockOperation::LockExclusive))
    }

    /// The same, with the way to lock the file in it.
    fn create_with(
        path: &Path,
        mut take_lock: impl FnMut(&File) -> rustix::io::Result<()>,
    ) -> Outcome<Self> {
        let lock = path.join(LOCK);
        let failed = |error: io::Error| Failure::io("create", &lock, &error);
        loop {
            fs::create_dir_all(path).map_err(failed)?;
            let file = File::create(&lock).map_err(failed)?;
            let is_locked = take_lock(&file).is_ok();
            if !is_locked {
                // Without a lock the folder must not look like one that somebody has left.
                fs::remove_file(&lock).map_err(failed)?;
            }
            // Another run may have found the file before it was locked, and removed the folder. One at this path is not ours.
            if !is_locked || is_at(&file, &lock) {
                let folder = ScratchFolder::of(path.to_path_buf());
                return Ok(Self { folder, _lock: is_locked.then_some(file) });
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
        if remove_if_free(&path, try_lock).unwrap_or(false) {
            output::note(&format!("removed the stores of a killed run: {}", path.display()));
        }
    }
}

/// Whether the folder at `path` was left, and is removed. An error leaves it to the next run.
///
/// `take_lock` locks the file in it or fails. Before that, its own run may remove the folder, or another one that looks for
/// folders at the same time, and a third one may create and lock a folder of the same name. So under the lock the file is
/// looked for again: it is removed with its folder only where it still is the file of this name.
fn remove_if_free(
    path: &Path,
    take_lock: impl FnOnce(&File) -> rustix::io::Result<()>,
) -> io::Result<bool> {
    let lock = path.join(LOCK);
    let file = File::open(&lock)?;
    take_lock(&file)?;
    if !is_at(&file, &lock) {
        return Ok(false);
    }
    fs::remove_dir_all(path)?;
    Ok(true)
}

/// Locks `file`, or fails where another process holds the lock.
fn try_lock(file: &File) -> rustix::io::Result<()> {
    flock(file, FlockOperation::NonBlockingLockExclusive)
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

    #[test]
    fn a_folder_that_a_live_run_made_before_the_lock_was_taken_is_not_removed() {
        let out = tempfile::tempdir().unwrap();
        let path = out.path().join(IN_RUN);
        fs::create_dir(&path).unwrap();
        File::create(path.join(LOCK)).unwrap();
        let mut live = None;
        // The file is open. Another run removes its folder, and a third one makes its own, before the lock of the first is taken.
        let removed = remove_if_free(&path, |file| {
            assert!(remove_if_free(&path, try_lock).unwrap());
            live = Some(Stores::create(&path).unwrap());
            try_lock(file)
        });
        assert!(!removed.unwrap());
        assert!(path.join(LOCK).exists(), "the store of a live run is left");
        assert!(remove_if_free(&path, try_lock).is_err(), "and its lock is held");
    }

    #[test]
    fn a_folder_that_was_removed_before_its_run_locked_it_is_made_anew() {
        let out = tempfile::tempdir().unwrap();
        let path = out.path().join(IN_RUN);
        let mut rounds = 0;
        let stores = Stores::create_with(&path, |file| {
            rounds += 1;
            if rounds == 1 {
                assert!(remove_if_free(&path, try_lock).unwrap());
            }
            flock(file, FlockOperation::LockExclusive)
        });
        assert_eq!(rounds, 2);
        assert!(remove_if_free(&path, try_lock).is_err(), "the lock of the folder is held");
        drop(stores);
        assert!(!path.exists());
    }

    #[test]
    fn a_run_that_lost_its_folder_leaves_the_one_of_another_run() {
        let out = tempfile::tempdir().unwrap();
        let path = out.path().join(IN_RUN);
        let (mut other, mut rounds) = (None, 0);
        Stores::create_with(&path, |file| {
            rounds += 1;
            match rounds {
                1 => {
                    assert!(remove_if_free(&path, try_lock).unwrap());
                    other = Some(Stores::create(&path).unwrap());
                    fs::write(path.join("store"), "").unwrap();
                }
                // The other run ends, and gives the lock back.
                2 => {
                    assert!(path.join("store").exists(), "the folder of the other run is left");
                    drop(other.take());
                }
                _ => assert!(!path.join("store").exists(), "the folder is new"),
            }
            flock(file, FlockOperation::LockExclusive)
        })
        .unwrap();
        assert_eq!(rounds, 3, "the second lock was that of the folder that the other run removed");
    }

    #[test]
    fn two_runs_do_not_remove_one_folder_at_the_same_time() {
        let out = tempfile::tempdir().unwrap();
        let path = out.path().join(IN_RUN);
        fs::create_dir(&path).unwrap();
        File::create(path.join(LOCK)).unwrap();
        let removed = remove_if_free(&path, |file| {
            try_lock(file)?;
            assert!(remove_if_free(&path, try_lock).is_err(), "the first run holds the lock");
            Ok(())
        });
        assert!(removed.unwrap() && !path.exists());
    }

    #[test]
    fn a_folder_on_a_file_system_without_locks_does_not_look_left() {
        let out = tempfile::tempdir().unwrap();
        let path = out.path().join(IN_RUN);
        let stores = Stores::create_with(&path, |_| Err(rustix::io::Errno::NOTSUP)).unwrap();
        assert!(remove_if_free(&path, try_lock).is_err() && path.exists());
        drop(stores);
        assert!(!path.exists());
    }
}
