//! Folders and files that go away with their owner: the stores of a run, and those of one cell.

use std::path::{Path, PathBuf};

use crate::failure::{Failure, Outcome};

/// A directory that goes away with its owner, whatever happens.
#[derive(Debug)]
pub(crate) struct ScratchFolder {
    path: PathBuf,
}

impl ScratchFolder {
    /// Creates the directory at `path`, with those above it.
    pub(crate) fn create(path: PathBuf) -> Outcome<Self> {
        std::fs::create_dir_all(&path).map_err(|error| Failure::io("create", &path, &error))?;
        Ok(Self::of(path))
    }

    /// The owner of the directory at `path`, which is there.
    pub(crate) fn of(path: PathBuf) -> Self {
        debug_assert!(path.is_dir(), "the folder is there");
        Self { path }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        // A folder that cannot be removed is left; the next run uses another name.
        std::fs::remove_dir_all(&self.path).unwrap_or_default();
    }
}

/// A file that goes away with its owner, if somebody has created it.
#[derive(Debug)]
pub(crate) struct ScratchFile(PathBuf);

impl ScratchFile {
    /// The file at `path`, which need not exist.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self(path)
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        // Most cells have none; the folder of all stores goes away with the run.
        std::fs::remove_file(&self.0).unwrap_or_default();
    }
}
