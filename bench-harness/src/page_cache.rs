//! How much memory the page cache holds for the files of an engine, whether or not the engine maps them.
//!
//! Each file is asked about by its own pages (`mincore`), so the answer needs no cgroup and counts
//! nothing of other programs. Counted are the regular files below the engine's directory, and deleted ones of it that this
//! process still has open. A deleted file of which only a mapping is left is not found. On a file system in memory the pages
//! of a file are the file.

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use durable::page_cache_bytes;

use crate::disk_use::files_below;

/// The open files of this process, a link each.
const OPEN_FILES: &str = "/proc/self/fd";
/// The end of the link to a file that was deleted.
const DELETED: &[u8] = b" (deleted)";

/// Bytes of the page cache for the files below `directory`; `None` where the system does not tell. A file that goes away
/// meanwhile counts nothing.
pub(crate) fn bytes_below(directory: &Path) -> Option<u64> {
    let mut asked = HashSet::new();
    let mut total = 0;
    // A symbolic link leads to a file that is found elsewhere or is none of the engine's.
    let files = files_below(directory).into_iter().filter(|(_, metadata)| metadata.is_file());
    for path in files.map(|(path, _)| path).chain(deleted_files_of(directory)) {
        // Two names of one file are one file.
        let Some(file) = open_once(&path, &mut asked) else { continue };
        total += page_cache_bytes(&file).ok()?;
    }
    Some(total)
}

fn open_once(path: &Path, asked: &mut HashSet<(u64, u64)>) -> Option<File> {
    let identity = |metadata: &Metadata| (metadata.dev(), metadata.ino());
    // A pipe would wait for its other end.
    let metadata = fs::metadata(path).ok().filter(Metadata::is_file)?;
    let file = asked.insert(identity(&metadata)).then(|| File::open(path))?;
    file.ok()
}

/// The links to deleted files of `directory` that are still open.
fn deleted_files_of(directory: &Path) -> Vec<PathBuf> {
    let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_path_buf());
    let links = fs::read_dir(OPEN_FILES).into_iter().flatten().filter_map(io::Result::ok);
    let links = links.map(|link| link.path());
    let is_deleted = |link: &PathBuf| {
        let target = fs::read_link(link).unwrap_or_default();
        target.starts_with(&directory) && target.as_os_str().as_bytes().ends_with(DELETED)
    };
    links.filter(is_deleted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE_BYTES: usize = 1 << 20;

    #[test]
    fn files_in_all_depths_count_once_and_deleted_ones_while_they_are_open() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("deep");
        fs::create_dir(&deep).unwrap();
        assert_eq!(bytes_below(folder.path()), Some(0));
        let at_least = |files: usize| {
            let bytes = bytes_below(folder.path()).unwrap();
            let expected = (files * FILE_BYTES) as u64;
            assert!((expected..expected + FILE_BYTES as u64 / 2).contains(&bytes), "{bytes}");
        };
        fs::write(folder.path().join("a"), vec![1; FILE_BYTES]).unwrap();
        fs::write(deep.join("b"), vec![1; FILE_BYTES]).unwrap();
        fs::hard_link(deep.join("b"), deep.join("same")).unwrap();
        std::os::unix::fs::symlink(deep.join("b"), deep.join("link")).unwrap();
        at_least(2);
        let open = File::open(folder.path().join("a")).unwrap();
        fs::remove_file(folder.path().join("a")).unwrap();
        at_least(2);
        drop(open);
        at_least(1);
    }

    #[test]
    fn deleted_files_of_others_and_deleted_pipes_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let mut elsewhere = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut elsewhere, &vec![1; FILE_BYTES]).unwrap();
        let path = folder.path().join("pipe");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let pipe = File::options().read(true).write(true).open(&path).unwrap();
        fs::remove_file(path).unwrap();
        assert_eq!(bytes_below(folder.path()), Some(0));
        drop((pipe, elsewhere));
    }
}
