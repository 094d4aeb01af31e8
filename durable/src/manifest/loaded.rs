//! Reading a manifest, without touching anything.

use std::io;
use std::path::Path;

use kv::{Error, Result};

use super::format::{CURRENT_FILE, Current, GENERATION_FILES, Identity, decode_header};
use super::record::{Kind, Record};
use super::records::Records;
use super::state::State;
use crate::fs::copy_whole;
use crate::identity::{Stamp, StoreId};
use crate::store_dir::StoreDir;

/// How often a reader starts over because a writer moved `CURRENT` under it. A writer does that once in many edits, so
/// a reader that loses this often is not unlucky.
const ATTEMPTS: usize = 16;

/// The content of the manifest of a store, as it was when it was read.
///
/// A read-only opener takes the state and is done. A writer looks around first, compares the files with the
/// manifest with [`LoadedManifest::check_seen`], and then goes on with [`LoadedManifest::open`].
#[derive(Debug)]
pub struct LoadedManifest<S> {
    pub(super) store: StoreDir,
    pub(super) identity: Identity,
    pub(super) state: S,
    pub(super) edit_number: u64,
    /// Where the last record ended.
    end: u64,
}

impl<S: State> LoadedManifest<S> {
    /// Reads the manifest of `store`. Starts over, a few times, if a writer replaces it in the meantime.
    ///
    /// # Errors
    /// `Corruption`; `InvalidArgument` for a store of another engine, a newer format or unknown features; `Io`, with
    /// `NotFound` when there is no manifest.
    pub(super) fn read(store: &StoreDir) -> Result<Self> {
        let mut current = read_current::<S>(store)?;
        for _ in 1..ATTEMPTS {
            let failure = match Self::read_generation(store, current) {
                Ok(found) => return Ok(found),
                Err(failure) => failure,
            };
            let now = read_current::<S>(store)?;
            if now == current {
                return Err(failure);
            }
            current = now;
        }
        Self::read_generation(store, current)
    }

    fn read_generation(store: &StoreDir, current: Current) -> Result<Self> {
        let identity = current.identity;
        let path = store.file(&GENERATION_FILES.name(identity.generation));
        let bytes = read_named(store, &path)?;
        decode_header::<S>(&bytes, &current, &path)?;
        let mut records = Records::new(&bytes, identity.salt(), &path);
        let mut state = S::default();
        let mut edit_number = 0;
        while let Some(record) = records.next()? {
            match record.kind {
                Kind::Snapshot => state = decode_snapshot(&record, &current, &path)?,
                Kind::Edit | Kind::Edits => {
                    apply_edits(&mut state, &record, identity.format, &path)?;
                }
            }
            edit_number = record.edit_number;
        }
        let found =
            Self { store: store.clone(), identity, state, edit_number, end: records.offset() };
        found.check_reaches(current.edit_number, "CURRENT")?;
        Ok(found)
    }

    /// The state.
    pub fn state(&self) -> &S {
        &self.state
    }

    /// The state, to keep.
    pub fn into_state(self) -> S {
        self.state
    }

    /// The random name of the store.
    pub fn store_id(&self) -> StoreId {
        self.identity.store_id
    }

    /// How far the store had come. [`LoadedManifest::open`] begins the next epoch.
    pub fn stamp(&self) -> Stamp {
        Stamp { open_epoch: self.identity.open_epoch, edit_number: self.edit_number }
    }

    /// Refuses a manifest that is older than another file of the store: each stamp was durable before it
    /// was written anywhere. This finds damage to the last record, which by itself looks like a torn tail, and an older
    /// manifest that was put back.
    ///
    /// # Errors
    /// `Corruption`.
    pub fn check_seen(&self, seen: Stamp) -> Result<()> {
        if seen.open_epoch > self.identity.open_epoch {
            let (epoch, own) = (seen.open_epoch, self.identity.open_epoch);
            let what = format!("a file was written in opening {epoch}, and this is from {own}");
            return Err(Error::corruption(self.store.file(CURRENT_FILE), 0, what));
        }
        self.check_reaches(seen.edit_number, "another file")
    }

    fn check_reaches(&self, edit_number: u64, witness: &str) -> Result<()> {
        if edit_number <= self.edit_number {
            return Ok(());
        }
        let path = self.store.file(&GENERATION_FILES.name(self.identity.generation));
        let last = self.edit_number;
        let what = format!("the edits end with {last}, and {witness} knows of {edit_number}");
        Err(Error::corruption(path, self.end, what))
    }
}

/// The state in `record`, which must be the one that `current` names.
fn decode_snapshot<S: State>(record: &Record<'_>, current: &Current, path: &Path) -> Result<S> {
    if record.sum != current.snapshot_sum {
        let what = "the snapshot is not the one that CURRENT names";
        return Err(Error::corruption(path, record.offset, what));
    }
    let mut reader = record.reader(path);
    let state = S::decode_state(current.identity.format, &mut reader)?;
    reader.finish()?;
    Ok(state)
}

/// Applies the edits in `record`, which are of `format`.
fn apply_edits<S: State>(
    state: &mut S,
    record: &Record<'_>,
    format: u16,
    path: &Path,
) -> Result<()> {
    for mut reader in record.edits(path)? {
        let edit = S::decode_edit(format, &mut reader)?;
        reader.finish()?;
        let applied = state.apply(&edit);
        applied.map_err(|what| Error::corruption(path, record.offset, what))?;
    }
    Ok(())
}

/// Reads and checks `CURRENT`.
pub(super) fn read_current<S: State>(store: &StoreDir) -> Result<Current> {
    let path = store.file(CURRENT_FILE);
    Current::decode::<S>(&copy_whole(&*store.fs().open(&path)?)?, &path)
}

/// Reads a generation that `CURRENT` names, and which must therefore be there.
pub(super) fn read_named(store: &StoreDir, path: &Path) -> Result<Vec<u8>> {
    let read = store.fs().open(path).and_then(|file| copy_whole(&*file));
    read.map_err(|error| match error.io_kind() {
        Some(io::ErrorKind::NotFound) => {
            Error::corruption(path, 0, "CURRENT names this file, and it is missing")
        }
        _ => error,
    })
}
