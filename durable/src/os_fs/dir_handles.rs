//! The handles of directories that are synced, which stay open.
//!
//! A store syncs its directory after it has created or renamed a file there. Suppose that sync had to open the directory
//! first. A process without free descriptors could not sync the name, and nobody could tell what a crash would leave. So the
//! first sync of a directory keeps the handle, and later ones need no descriptor.
//!
//! A lock keeps the handle of its directory in use. So each open store keeps its handle, however many stores one process has
//! open. Of the handles that nobody uses, the last few stay open.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{FileIdentity, identity};

/// How many handles are kept that nobody uses. The one that was used longest ago is closed first.
const MAX_IDLE: usize = 4;

/// Open directories, the last used one last.
#[derive(Debug, Default)]
pub(super) struct DirHandles {
    kept: Mutex<Vec<Kept>>,
}

#[derive(Debug)]
struct Kept {
    path: PathBuf,
    handle: Arc<fs::File>,
    /// As long as the handle is open, no other directory gets this inode.
    identity: FileIdentity,
}

impl DirHandles {
    /// A handle of the directory that `dir` names now. The empty path, which is the parent of a bare file name, names the
    /// current directory.
    ///
    /// # Errors
    /// The error of opening it, if no handle of it is kept. Nothing has happened then.
    pub(super) fn get(&self, dir: &Path) -> io::Result<Arc<fs::File>> {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        let mut kept = self.kept.lock();
        if let Some(at) = kept.iter().position(|kept| kept.path == dir) {
            let found = kept.remove(at);
            // The path may lead to another directory by now. A `stat` needs no descriptor.
            if identity(&fs::metadata(dir)?) == found.identity {
                let handle = Arc::clone(&found.handle);
                kept.push(found);
                return Ok(handle);
            }
        }
        let handle = Arc::new(fs::File::open(dir)?);
        let identity = identity(&handle.metadata()?);
        make_room(&mut kept);
        kept.push(Kept { path: dir.into(), handle: Arc::clone(&handle), identity });
        Ok(handle)
    }
}

/// Closes handles that nobody uses, the one that was used longest ago first, until one more may be kept.
fn make_room(kept: &mut Vec<Kept>) {
    let is_idle = |kept: &Kept| Arc::strong_count(&kept.handle) == 1;
    while kept.iter().filter(|kept| is_idle(kept)).count() >= MAX_IDLE {
        let oldest = kept.iter().position(is_idle).expect("some are idle");
        kept.remove(oldest);
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    fn is_same(one: &fs::File, other: &fs::File) -> bool {
        let of = |file: &fs::File| identity(&file.metadata().expect("the directory is open"));
        of(one) == of(other)
    }

    #[test]
    fn a_directory_is_opened_once() {
        let dir = tempfile::tempdir().unwrap();
        let handles = DirHandles::default();
        let first = handles.get(dir.path()).unwrap();
        assert!(Arc::ptr_eq(&first, &handles.get(dir.path()).unwrap()));
    }

    #[test]
    fn a_directory_that_was_replaced_is_opened_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (path, away) = (dir.path().join("store"), dir.path().join("away"));
        let handles = DirHandles::default();
        fs::create_dir(&path).unwrap();
        let first = handles.get(&path).unwrap();
        fs::rename(&path, &away).unwrap();
        assert_eq!(handles.get(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::create_dir(&path).unwrap();
        let second = handles.get(&path).unwrap();
        assert!(!is_same(&first, &second), "the new directory is synced, not the old one");
        assert!(is_same(&second, &fs::File::open(&path).unwrap()));
        assert!(is_same(&first, &handles.get(&away).unwrap()));
    }

    #[test]
    fn few_handles_stay_open() {
        let dir = tempfile::tempdir().unwrap();
        let handles = DirHandles::default();
        let path = |number: usize| dir.path().join(number.to_string());
        (0..20).for_each(|number| {
            fs::create_dir(path(number)).unwrap();
            handles.get(&path(number)).unwrap();
            handles.get(&path(0)).unwrap();
        });
        let kept = handles.kept.lock();
        let paths: Vec<&PathBuf> = kept.iter().map(|kept| &kept.path).collect();
        assert_eq!(paths, [&path(17), &path(18), &path(19), &path(0)], "the last used ones");
    }

    #[test]
    fn a_handle_that_is_in_use_stays_open_however_many_there_are() {
        let dir = tempfile::tempdir().unwrap();
        let handles = DirHandles::default();
        let get = |number: usize| {
            let path = dir.path().join(number.to_string());
            fs::create_dir(&path).ok();
            handles.get(&path).unwrap()
        };
        let used: Vec<_> = (0..20).map(get).collect();
        (20..40).for_each(|number| drop(get(number)));
        for (number, handle) in used.iter().enumerate() {
            assert!(Arc::ptr_eq(handle, &get(number)), "{number}");
        }
        drop(used);
        drop(get(40));
        assert_eq!(handles.kept.lock().len(), MAX_IDLE);
    }
}
