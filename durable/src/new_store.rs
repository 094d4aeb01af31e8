//! Making a store out of files, in a directory of its own: checkpoints and repairs.
//!
//! While it is made, the directory has files of an engine, and perhaps a manifest, but not all of them. So a *mark*, the
//! file `UNFINISHED`, says that the directory is no store:
//!
//! 1. Create the directory, and lock it. It must be empty. What an earlier attempt has left beside its mark is removed.
//! 2. Create the mark, and make it durable.
//! 3. Make the files and the manifest ([`NewStore::make`]).
//! 4. Remove the mark, and sync the directory. From here on the directory is a store.
//!
//! After a crash the directory has the mark, or it is a whole store, or it is empty. No opening takes a directory with the
//! mark for a store, and none changes a file there ([`StoreDir::check_finished`]).
//!
//! An attempt that fails before step 4 removes what it has made, the mark last. The directory stays. If step 4 fails, nobody
//! knows whether a crash leaves the mark, and nothing is removed.

use std::io::{Error as IoError, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use kv::{Error, Result};

use crate::file_writer::{FileWriter, WrittenFile};
use crate::fs::{Entry, EntryKind, Fs};
use crate::identity::StoreId;
use crate::manifest::{Manifest, State};
use crate::publish::{create_afresh, publish_in_place};
use crate::store_dir::{MARK_FILE, OpenMode, StoreDir};

/// A directory that becomes a store.
#[derive(Debug)]
pub struct NewStore {
    dir: StoreDir,
}

impl NewStore {
    /// Makes a store in the directory `path` of `fs`: steps 1 to 4 of the [module](self). `build` is step 3.
    ///
    /// # Errors
    /// `Io`, with `AlreadyExists` when the directory has something else than the rest of an earlier attempt; `Locked` when
    /// somebody makes or writes a store there; those of `build`.
    pub fn make<S: State, T>(
        fs: &Arc<dyn Fs>,
        path: &Path,
        build: impl FnOnce(&Self) -> Result<T>,
    ) -> Result<T> {
        Self::check_before_lock(&**fs, path)?;
        let dir = StoreDir::open(Arc::clone(fs), path, OpenMode::Create)?;
        let new = Self { dir };
        new.remove_rest::<S>()?;
        let built = new.mark().and_then(|()| build(&new));
        let built = built.inspect_err(|_| drop(new.abandon::<S>()))?;
        new.finish()?;
        Ok(built)
    }

    /// The directory, which is locked for writing.
    pub fn dir(&self) -> &StoreDir {
        &self.dir
    }

    /// Makes the manifest of the store: it is called `id` and has `state`, whose files are in the directory. Their names
    /// become durable.
    ///
    /// # Errors
    /// `Io`.
    pub fn create_manifest<S: State>(&self, id: StoreId, state: S) -> Result<()> {
        Manifest::create_with(&self.dir, id, state).map(drop)
    }

    /// Gives the file `from`, which is durable and does not change, the name `name` in the directory as well. If that is
    /// not possible, as between two file systems, copies it: then returns the length and the checksum of the copy, which is
    /// durable.
    ///
    /// # Errors
    /// `Io`, with `AlreadyExists` when the name is taken.
    pub fn link_or_copy(&self, from: &Path, name: &str) -> Result<Option<WrittenFile>> {
        let (fs, to) = (&**self.dir.fs(), self.dir.file(name));
        match fs.link(from, &to) {
            Ok(()) => return Ok(None),
            Err(error) if error.io_kind() == Some(ErrorKind::AlreadyExists) => return Err(error),
            Err(_) => {}
        }
        let source = fs.open(from)?;
        // A link that was reported as failed may be there.
        let mut copy = FileWriter::new(create_afresh(fs, &to)?);
        source.read_in_pieces(&mut |_, piece| copy.append(piece))?;
        copy.finish(fs).map(Some)
    }

    /// Refuses a directory that has something, and neither a lock nor a mark: it is somebody else's, and gets no lock.
    fn check_before_lock(fs: &dyn Fs, path: &Path) -> Result<()> {
        let entries = match fs.list(path) {
            Err(error) if error.io_kind() == Some(ErrorKind::NotFound) => return Ok(()),
            listed => listed?,
        };
        let is_ours = |entry: &Entry| StoreDir::is_lock(&entry.name) || entry.name == MARK_FILE;
        let other = entries.first().filter(|_| !entries.iter().any(is_ours));
        other.map_or(Ok(()), |other| Err(taken(path, other)))
    }

    /// Step 1: refuses a directory that has something else than the rest of an earlier attempt, and removes that rest but
    /// for its mark.
    fn remove_rest<S: State>(&self) -> Result<()> {
        let entries = self.dir.list()?;
        let is_marked = entries.iter().any(|entry| entry.name == MARK_FILE);
        let is_rest = |entry: &&Entry| {
            StoreDir::is_lock(&entry.name) || is_marked && is_rest_of_attempt::<S>(entry)
        };
        if let Some(other) = entries.iter().find(|entry| !is_rest(entry)) {
            return Err(taken(self.dir.path(), other));
        }
        self.remove_files::<S>(&entries)
    }

    /// Step 2. The mark of an earlier attempt stays: a crash may bring back files that were removed beside it.
    fn mark(&self) -> Result<()> {
        let (fs, path) = (&**self.dir.fs(), self.dir.file(MARK_FILE));
        let mark = match fs.create(&path) {
            Err(error) if error.io_kind() == Some(ErrorKind::AlreadyExists) => fs.open(&path)?,
            created => created?,
        };
        publish_in_place(fs, &*mark).map(drop)
    }

    /// Step 4.
    fn finish(&self) -> Result<()> {
        let fs = self.dir.fs();
        fs.remove(&self.dir.file(MARK_FILE))?;
        fs.sync_dir(self.dir.path())
    }

    /// Removes what was made, the mark last.
    fn abandon<S: State>(&self) -> Result<()> {
        self.remove_files::<S>(&self.dir.list()?)?;
        // A crash must not bring a file back without the mark.
        self.dir.fs().sync_dir(self.dir.path())?;
        self.dir.fs().remove(&self.dir.file(MARK_FILE))
    }

    /// Removes all files but `LOCK` and the mark.
    fn remove_files<S: State>(&self, entries: &[Entry]) -> Result<()> {
        let made = entries.iter().filter(|entry| is_rest_of_attempt::<S>(entry));
        let files = made.filter(|entry| entry.name != MARK_FILE);
        files.map(|entry| self.dir.file(&entry.name)).try_for_each(|path| {
            debug_assert!(self.dir.require_writer().is_ok(), "nobody else writes here");
            self.dir.fs().remove(&path)
        })
    }
}

/// The directory `dir` has `other`.
fn taken(dir: &Path, other: &Entry) -> Error {
    let taken = IoError::new(ErrorKind::AlreadyExists, "the directory is not empty");
    Error::io("create", dir.join(&other.name), taken)
}

/// Whether `entry` is a file that an attempt makes: the mark, a file of the manifest, or one of the engine.
fn is_rest_of_attempt<S: State>(entry: &Entry) -> bool {
    let is_named = entry.name == MARK_FILE
        || Manifest::<S>::owns(&entry.name)
        || S::FILES.iter().any(|files| files.parse(&entry.name).is_some());
    entry.kind == EntryKind::File && is_named
}
