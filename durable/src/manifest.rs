//! The manifest: which files of a store are live, and everything else that must change atomically and survive.
//!
//! The manifest owns framing, naming, rotation and migration; the [`State`] and its edits belong to the engine.
//!
//! # Protocol
//!
//! A *generation* is a file `MANIFEST-<number>` with a snapshot of the state and the edits since. `CURRENT` names the
//! one that counts. An edit is written behind the others and synced before it becomes visible in memory. When the
//! edits would outgrow the snapshot, the state with the new edit goes into a new generation instead. Every opening for
//! writing starts a new generation, too, and with it a new *open epoch*: that one path also makes durable whatever a
//! killed process left in the page cache, leaves torn tails behind, and migrates older formats.
//!
//! A new generation is: write and sync the file, sync the directory, replace `CURRENT` (write and sync `CURRENT.tmp`,
//! rename, sync the directory), and only then remove what no `CURRENT` can mean any more. Numbers of generations whose
//! files are still there are skipped, not reused. A clean close replaces `CURRENT` once more: it then names the
//! last edit.
//!
//! A failed write or sync poisons the manifest: whether the edit is durable shows when the store is opened again.
//!
//! A store is created by the first generation and `CURRENT`. Before that the engine must not create files; so a crash
//! in the middle leaves a directory without engine files, where creation starts over, and a directory *with* engine
//! files and without `CURRENT` is damaged.
//!
//! # Format (framing 1, little-endian)
//!
//! `CURRENT` and the header of a generation are 64 bytes each:
//!
//! | offset | width | field |
//! |---|---|---|
//! | 0 | 7 | magic: `KVCURRT` or `KVMANIF` |
//! | 7 | 1 | framing: 1. Sum and magic stay where they are in all framings |
//! | 8 | 2 | format of the states and edits, [`State::FORMAT`] of the writer |
//! | 10 | 1 | engine, [`EngineTag::id`] |
//! | 11 | 5 | zero |
//! | 16 | 16 | store id |
//! | 32 | 8 | number of the generation |
//! | 40 | 8 | open epoch |
//! | 48 | 12 | `CURRENT`: edit number (8) that the generation reaches at least, sum (4) of its first record |
//! | 48 | 12 | header: required (4) and optional (4) [`Features`], zero (4) |
//! | 60 | 4 | CRC-32 of bytes 0 to 59 |
//!
//! Behind the header of a generation lie records, each on a multiple of 8 bytes: one snapshot, then edits.
//!
//! | offset | width | field |
//! |---|---|---|
//! | 0 | 4 | CRC-32 of store id, generation (8), offset of the record in the file (8), and its bytes from 4 to the end |
//! | 4 | 4 | length of the payload |
//! | 8 | 8 | edit number: the first edit of a store is 1; a snapshot has the number of the last edit in it |
//! | 16 | 1 | kind: 1 snapshot, 2 edit |
//! | 17 | 7 | zero |
//! | 24 | | payload, padded with zeros to a multiple of 8 |
//!
//! A worked example is `tests/manifest/golden/toy-2.hex`, which the tests write byte for byte.
//!
//! # Torn tail or damage
//!
//! The snapshot is durable before `CURRENT` names the file, and each edit before the next is written. So a bad record
//! with a good one anywhere behind it is damage, and one with nothing behind it is an edit that was never acknowledged.
//! (A record need not say how far the file was durable when it was written: always up to itself.)
//! What is left is damage to the very last edit, which looks just like a torn tail. After a clean close `CURRENT` knows
//! better; after a crash the engine may, if it stamps the headers of its files with [`Manifest::stamp`] and holds the
//! highest it finds against the manifest with [`LoadedManifest::check_seen`].

mod dump;
mod format;
mod generation;
mod loaded;
mod records;
mod state;

use std::io;
use std::sync::Arc;

use kv::{Error, Result};
use serde_json::Value;

pub use loaded::LoadedManifest;
pub use state::{EngineTag, Features, State};

pub use crate::identity::Stamp;

use crate::identity::StoreId;
use crate::store_dir::StoreDir;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, Published};
use format::{CURRENT_FILE, Identity};
use generation::Generation;

/// The manifest of a store that is open for writing.
///
/// Edits are made one at a time; the state can be had at any time without waiting for them. Dropping it leaves the
/// store as after a crash; [`Manifest::close`] is better.
#[derive(Debug)]
pub struct Manifest<S: State> {
    store: StoreDir,
    identity: Identity,
    state: Published<S>,
    edit_number: AtomicU64,
    writer: Mutex<Writer>,
}

#[derive(Debug)]
struct Writer {
    generation: Generation,
    /// Why no more edits are taken.
    refusal: Option<Error>,
}

impl<S: State> Manifest<S> {
    /// Whether `store` has a manifest. If not, one can be created, unless the store is damaged.
    ///
    /// # Errors
    /// `Io`.
    pub fn exists(store: &StoreDir) -> Result<bool> {
        Ok(store.list()?.iter().any(|entry| entry.name == CURRENT_FILE))
    }

    /// Creates the manifest of a new store called `store_id`, with the default state, in epoch 1.
    ///
    /// # Errors
    /// `Io`, with `AlreadyExists` if there is one; `Corruption` if there are files of the engine without one;
    /// `ReadOnly`.
    pub fn create(store: &StoreDir, store_id: StoreId) -> Result<Self> {
        store.require_writer()?;
        let current = store.file(CURRENT_FILE);
        if Self::exists(store)? {
            return Err(Error::io("create", current, io::ErrorKind::AlreadyExists.into()));
        }
        let entries = store.list()?;
        if let Some((files, number)) =
            S::FILES.iter().find_map(|files| Some((files, files.numbers(&entries).next()?)))
        {
            let what = format!("it is missing, and {} is there", files.name(number));
            return Err(Error::corruption(current, 0, what));
        }
        Self::start(store, new_identity::<S>(store_id, 1, 1), S::default(), 0)
    }

    /// Reads the manifest and touches nothing: all of a read-only open, and the first half of a writable one.
    ///
    /// # Errors
    /// `Corruption`; `InvalidArgument` for a store of another engine, a newer format or unknown features; `Io`, with
    /// `NotFound` when there is no manifest.
    pub fn read(store: &StoreDir) -> Result<LoadedManifest<S>> {
        LoadedManifest::read(store)
    }

    /// The manifest as JSON: `CURRENT`, each record of the generation that it names, and the first damage.
    ///
    /// # Errors
    /// As [`Manifest::read`], for `CURRENT` only.
    pub fn dump(store: &StoreDir) -> Result<Value> {
        dump::dump::<S>(store)
    }

    fn start(store: &StoreDir, identity: Identity, state: S, edit_number: u64) -> Result<Self> {
        let generation = Generation::start(store, identity, &state, edit_number)?;
        generation.remove_others(store)?;
        Ok(Self {
            store: store.clone(),
            identity,
            state: Published::new(Arc::new(state)),
            edit_number: AtomicU64::new(edit_number),
            writer: Mutex::new(Writer { generation, refusal: None }),
        })
    }

    /// The random name of the store.
    pub fn store_id(&self) -> StoreId {
        self.identity.store_id
    }

    /// How often the store was opened for writing, this time included. Never the same in two openings.
    pub fn open_epoch(&self) -> u64 {
        self.identity.open_epoch
    }

    /// The state after the newest durable edit.
    pub fn state(&self) -> Arc<S> {
        self.state.load_full()
    }

    /// How far the store has come, for the header of a file that is about to be created.
    pub fn stamp(&self) -> Stamp {
        let edit_number = self.edit_number.load(Ordering::Acquire);
        Stamp { open_epoch: self.open_epoch(), edit_number }
    }

    /// Makes an edit durable, then visible. Waits for one sync, or for four when a new generation is due.
    ///
    /// # Errors
    /// `InvalidArgument` when the edit contradicts the state: nothing happened. `Io`: whether the edit is durable shows
    /// when the store is opened again, and until then all further edits are refused. `Poisoned`, `Closed`.
    pub fn append(&self, edit: &S::Edit) -> Result<()> {
        let mut writer = self.writer.lock();
        writer.check()?;
        let mut state = S::clone(&self.state.load_full());
        state.apply(edit).map_err(Error::InvalidArgument)?;
        let last = self.edit_number.load(Ordering::Relaxed);
        let edit_number = generation::next(last, self.store.file(CURRENT_FILE))?;
        let mut payload = Vec::new();
        S::encode_edit(edit, &mut payload);
        let written = if writer.generation.has_room(payload.len(), state.features()) {
            writer.generation.append(edit_number, &payload)
        } else {
            writer.generation.rotate(&self.store, &state, edit_number)
        };
        written.inspect_err(|cause| writer.poison(cause))?;
        self.state.store(Arc::new(state));
        self.edit_number.store(edit_number, Ordering::Release);
        Ok(())
    }

    /// Writes the number of the last edit into `CURRENT`, so that damage to that edit is found later. Refuses further
    /// edits. A second call does nothing.
    ///
    /// # Errors
    /// `Io`; `Poisoned`.
    pub fn close(&self) -> Result<()> {
        let mut writer = self.writer.lock();
        match writer.check() {
            Err(Error::Closed) => return Ok(()),
            checked => checked?,
        }
        let marked = writer.generation.mark_clean(&self.store, self.stamp().edit_number);
        marked.inspect_err(|cause| writer.poison(cause))?;
        writer.refusal = Some(Error::Closed);
        Ok(())
    }
}

impl<S: State> LoadedManifest<S> {
    /// Opens the manifest for writing, in the next epoch, which is durable when this returns. So is everything that was
    /// found, in the newest format.
    ///
    /// # Errors
    /// `ReadOnly` if the store was opened for reading; `Io`.
    pub fn open(self) -> Result<Manifest<S>> {
        self.store.require_writer()?;
        let current = self.store.file(CURRENT_FILE);
        let generation = generation::next(self.identity.generation, &current)?;
        let open_epoch = generation::next(self.identity.open_epoch, &current)?;
        let identity = new_identity::<S>(self.identity.store_id, generation, open_epoch);
        Manifest::start(&self.store, identity, self.state, self.edit_number)
    }
}

fn new_identity<S: State>(store_id: StoreId, generation: u64, open_epoch: u64) -> Identity {
    Identity { format: S::FORMAT, engine: S::ENGINE.id, store_id, generation, open_epoch }
}

impl Writer {
    fn check(&self) -> Result<()> {
        self.refusal.clone().map_or(Ok(()), Err)
    }

    fn poison(&mut self, cause: &Error) {
        self.refusal = Some(Error::Poisoned { cause: Box::new(cause.clone()) });
    }
}
