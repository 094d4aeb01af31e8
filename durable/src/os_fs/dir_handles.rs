//! The handles of directories that are synced, which stay open.
//!
//! A store syncs its directory after it has created or renamed a file there. If that sync had to open the directory first, a
//! process without free descriptors could not sync the name, and the store could not tell what a crash would leave. The
//! first sync of a directory keeps the handle, so later ones need no descriptor.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{FileIdentity, identity};

/// How many handles are kept. The one that was used longest ago is closed first.
const MAX_KEPT: usize = 4;

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
    /// A handle of the directory that `dir` names now.
    ///
    /// # Errors
    /// The error of opening it, if no handle of it is kept. Nothing has happened then.
    pub(super) fn get(&self, dir: &Path) -> io::Result<Arc<fs::File>> {
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
        if kept.len() == MAX_KEPT {
            kept.remove(0);
        }
        let identity = identity(&handle.metadata()?);
        kept.push(Kept { path: dir.into(), handle: Arc::clone(&handle), identity });
        assert!(kept.len() <= MAX_KEPT, "few handles stay open");
        Ok(handle)
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
}
