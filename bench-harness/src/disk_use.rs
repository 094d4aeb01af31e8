//! The files below a directory, and the space that they take.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// `st_blocks` counts in these units, whatever the block size of the file system.
pub(crate) const BLOCK_BYTES: u64 = 512;

/// The space of the files below a directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DiskUse {
    /// Bytes that the file system has allocated.
    pub(crate) allocated_bytes: u64,
    /// The sum of the lengths of the files.
    pub(crate) apparent_bytes: u64,
}

impl DiskUse {
    /// The space of all files below `directory`.
    pub(crate) fn of(directory: &Path) -> Self {
        let mut total = Self::default();
        for (_, metadata) in files_below(directory) {
            total.allocated_bytes += metadata.blocks() * BLOCK_BYTES;
            debug_assert!(!metadata.is_dir(), "directories are walked");
            total.apparent_bytes += metadata.len();
        }
        total
    }
}

/// Everything below `directory` but directories, at any depth; links are not followed. A file that goes away meanwhile is left
/// out.
pub(crate) fn files_below(directory: &Path) -> Vec<(PathBuf, Metadata)> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_path_buf()];
    while let Some(directory) = directories.pop() {
        let entries = fs::read_dir(directory).into_iter().flatten().filter_map(io::Result::ok);
        for entry in entries {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => directories.push(entry.path()),
                Ok(metadata) => files.push((entry.path(), metadata)),
                Err(_) => {}
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_in_all_depths_count() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("deep")).unwrap();
        fs::write(directory.path().join("deep/a"), [1; 5000]).unwrap();
        fs::write(directory.path().join("b"), [1; 10]).unwrap();
        let used = DiskUse::of(directory.path());
        assert_eq!(used.apparent_bytes, 5010);
    }
}
