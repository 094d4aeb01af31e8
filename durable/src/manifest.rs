//! The manifest: which files of a store are live, and everything else that must change atomically and survive.
//!
//! The manifest owns framing, naming, rotation and migration; the [`State`] and its edits belong to the engine.
//!
//! # Protocol
//!
//! A *generation* is a file `MANIFEST-<number>` with a snapshot of the state and the edits since. `CURRENT` names the
//! generation that counts.
//!
//! An edit goes through these steps:
//! 1. The writer applies it to the spare copy of the state, which refuses an edit that contradicts it.
//! 2. The writer appends a record with the edit to the generation. Several edits can share a record.
//! 3. The writer syncs the file. From here on the edit is durable.
//! 4. The writer publishes the spare copy, and applies the edit to the copy that was visible before, which becomes the
//!    spare one. So an edit costs two applications and no clone of the state. Only a reader that still holds the old
//!    copy makes the next edit clone the state.
//!
//! When the edits would outgrow the snapshot, or the state uses a new feature, the new state begins a new generation
//! instead:
//! 1. The writer writes the file of the generation, and `CURRENT.tmp`.
//! 2. It syncs the file of the generation, then the directory.
//! 3. It syncs `CURRENT.tmp`, renames it to `CURRENT`, and syncs the directory. From here on the new generation counts.
//! 4. It removes the generations that no `CURRENT` can name any more. Numbers of generations whose files are still there
//!    are skipped, not reused.
//!
//! Every opening for writing begins a new generation, and with it a new *open epoch*. That one path also makes durable
//! the pages that a killed process left in the page cache, leaves torn tails behind, and migrates older formats. A clean
//! close replaces `CURRENT` once more: it then names the last edit.
//!
//! A store is created by the first generation and `CURRENT`. Before that the engine must not create files. So a crash
//! in the middle leaves a directory without engine files, where creation starts over. A directory *with* engine files and
//! without `CURRENT` is damaged.
//!
//! # Failures
//!
//! A failed write or sync poisons the manifest: it takes no more edits, and the next opening shows whether the last
//! one is durable. A full disk ([`Error::is_out_of_resources`]) is different, because it passes:
//!
//! | the call that fails | the edit | the handle |
//! |---|---|---|
//! | write of a record | not durable: the writer cuts the file to its old end and syncs it | goes on |
//! | that cut, or its sync | unknown | poisoned |
//! | sync of a record | unknown: the kernel may have dropped pages that it shows as clean | poisoned |
//! | create or write of a new generation or of `CURRENT.tmp` | not durable: the old generation still counts | goes on |
//! | sync of a new generation or of its directory | not durable, but a disk that fails a sync is not trusted | poisoned |
//! | sync or rename of `CURRENT.tmp` | not durable, if `CURRENT` still reads as before | goes on |
//! | sync of the directory after the rename | unknown | poisoned |
//!
//! The lack of a file handle passes as well. If the directory of a new generation cannot be opened to be synced, the edit is
//! not durable, and the handle goes on.
//!
//! # Format (framing 2, little-endian)
//!
//! `CURRENT` and the header of a generation are 64 bytes each:
//!
//! | offset | width | field |
//! |---|---|---|
//! | 0 | 7 | magic: `KVCURRT` or `KVMANIF` |
//! | 7 | 1 | framing: 2. Sum and magic stay where they are in all framings |
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
//! | 8 | 8 | number of the last edit in it: the first edit of a store is 1; a snapshot has the number of the last edit before it |
//! | 16 | 1 | kind: 1 snapshot, 2 edit, 3 edits |
//! | 17 | 7 | zero |
//! | 24 | | payload, padded with zeros to a multiple of 8 |
//!
//! The payload of kind 3 is the number of edits, at least 2, and then each edit behind its length; numbers and lengths
//! are varints. Framing 1 had no kind 3, and is read.
//!
//! A worked example is `tests/manifest/golden/toy-2-framing-2.hex`, which the tests write byte for byte.
//!
//! # Torn tail or damage
//!
//! The snapshot is durable before `CURRENT` names the file, and each edit before the next is written. So a bad record
//! with a good one anywhere behind it is damage. One with nothing behind it is an edit that was never acknowledged.
//! (A record need not say how far the file was durable when it was written: always up to itself.)
//! One case is left: damage to the very last edit, which looks just like a torn tail. After a clean close `CURRENT` knows
//! better. After a crash the engine may, if it stamps the headers of its files with [`Manifest::stamp`]: it compares the
//! highest stamp that it finds with the manifest ([`LoadedManifest::check_seen`]).

mod dump;
mod existence;
mod format;
mod generation;
mod loaded;
mod record;
mod records;
mod state;

use std::sync::Arc;
use std::{io, slice};

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
use generation::{Failure, Generation};

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
    writer: Mutex<Writer<S>>,
}

#[derive(Debug)]
struct Writer<S> {
    generation: Generation,
    /// A second copy of the visible state: the next edits are applied to it, and then the two change places. `None`
    /// after a reader has kept the copy, or edits were refused or failed.
    spare: Option<Arc<S>>,
    /// Why no more edits are taken.
    refusal: Option<Error>,
}

impl<S: State> Manifest<S> {
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
        if let Some(name) = Self::file_of_engine(store)? {
            let what = format!("it is missing, and {name} is there");
            return Err(Error::corruption(current, 0, what));
        }
        Self::create_with(store, store_id, S::default())
    }

    /// Creates the manifest of a new store with `state`, whose files are there already.
    pub(crate) fn create_with(store: &StoreDir, store_id: StoreId, state: S) -> Result<Self> {
        store.require_writer()?;
        Self::start(store, new_identity::<S>(store_id, 1, 1), state, 0)
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
        assert!(generation.number() >= identity.generation, "numbers of foreign files are skipped");
        generation.remove_others(store)?;
        Ok(Self {
            store: store.clone(),
            identity,
            state: Published::new(Arc::new(state)),
            edit_number: AtomicU64::new(edit_number),
            writer: Mutex::new(Writer { generation, spare: None, refusal: None }),
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

    /// Makes an edit durable, then visible. Waits for one sync, or for four when a new generation is due. Takes a time
    /// that grows with the edit, and not with the state, as long as no reader keeps an old state for long.
    ///
    /// # Errors
    /// `InvalidArgument` when the edit contradicts the state: nothing happened. `Io` with a cause that passes
    /// ([`Error::is_out_of_resources`]): the edit is not durable and never will be, and further edits are taken, unless
    /// [`Manifest::check`] says otherwise. Any other `Io`: whether the edit is durable shows when the store is opened
    /// again, and until then all further edits are refused. `Poisoned`, `Closed`.
    pub fn append(&self, edit: &S::Edit) -> Result<()> {
        self.append_all(slice::from_ref(edit))
    }

    /// Makes several edits durable with one sync, then visible, all of them together. Does nothing without edits.
    ///
    /// # Errors
    /// As [`Manifest::append`].
    pub fn append_all(&self, edits: &[S::Edit]) -> Result<()> {
        let mut writer = self.writer.lock();
        writer.check()?;
        if edits.is_empty() {
            return Ok(());
        }
        let state = self.next_state(&mut writer, edits)?;
        let mut number = self.edit_number.load(Ordering::Relaxed);
        for _ in edits {
            number = generation::next(number, self.store.file(CURRENT_FILE))?;
        }
        debug_assert!(number > self.edit_number.load(Ordering::Relaxed), "edits are counted up");
        let encoded = edits.iter().map(|edit| {
            let mut payload = Vec::new();
            S::encode_edit(edit, &mut payload);
            payload
        });
        let (kind, payload) = record::encode_edits(encoded.collect());
        let written = if writer.generation.has_room(payload.len(), state.features()) {
            writer.generation.append(kind, number, &payload)
        } else {
            writer.generation.rotate(&self.store, &*state, number)
        };
        written.map_err(|failure| writer.fail(failure))?;
        debug_assert!(writer.refusal.is_none(), "a manifest that refuses edits makes none visible");
        self.publish(&mut writer, state, edits);
        self.edit_number.store(number, Ordering::Release);
        Ok(())
    }

    /// Refuses to go on after a failure that left it unknown which edits are durable, or after [`Manifest::close`].
    ///
    /// # Errors
    /// `Poisoned`, `Closed`.
    pub fn check(&self) -> Result<()> {
        self.writer.lock().check()
    }

    /// The state after `edits`, which is not visible yet. It is made from the spare copy, without a clone if there is
    /// one.
    fn next_state(&self, writer: &mut Writer<S>, edits: &[S::Edit]) -> Result<Arc<S>> {
        let mut spare = writer.spare.take().unwrap_or_else(|| self.copy());
        let state = Arc::get_mut(&mut spare).expect("nobody else has the spare copy");
        // A state that refused an edit is in an unknown condition, and dropped.
        edits.iter().try_for_each(|edit| state.apply(edit)).map_err(Error::InvalidArgument)?;
        Ok(spare)
    }

    /// Makes `state` visible. The copy that it replaces becomes the spare one after the same edits, unless a reader
    /// keeps it.
    fn publish(&self, writer: &mut Writer<S>, state: Arc<S>, edits: &[S::Edit]) {
        let mut replaced = self.state.load_full();
        self.state.store(state);
        if let Some(behind) = Arc::get_mut(&mut replaced) {
            let applied = edits.iter().try_for_each(|edit| behind.apply(edit));
            writer.spare = applied.is_ok().then_some(replaced);
        }
    }

    fn copy(&self) -> Arc<S> {
        Arc::new(S::clone(&self.state.load_full()))
    }

    /// Writes the number of the last edit into `CURRENT`, so that damage to that edit is found later. Refuses further
    /// edits. A second call does nothing.
    ///
    /// # Errors
    /// `Io`, with `StorageFull` when the disk is full: then the call can be repeated. `Poisoned`.
    pub fn close(&self) -> Result<()> {
        let mut writer = self.writer.lock();
        match writer.check() {
            Err(Error::Closed) => return Ok(()),
            checked => checked?,
        }
        let marked = writer.generation.mark_clean(&self.store, self.stamp().edit_number);
        marked.map_err(|failure| writer.fail(failure))?;
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
        debug_assert!(identity.generation > self.identity.generation, "numbers are not used again");
        debug_assert!(
            identity.open_epoch > self.identity.open_epoch,
            "each opening has its own epoch"
        );
        Manifest::start(&self.store, identity, self.state, self.edit_number)
    }
}

fn new_identity<S: State>(store_id: StoreId, generation: u64, open_epoch: u64) -> Identity {
    Identity { format: S::FORMAT, engine: S::ENGINE.id, store_id, generation, open_epoch }
}

impl<S> Writer<S> {
    fn check(&self) -> Result<()> {
        self.refusal.clone().map_or(Ok(()), Err)
    }

    /// The error of a failure, after which no more edits are taken if the content of the disk is unknown.
    fn fail(&mut self, failure: Failure) -> Error {
        if let Failure::Unknown(cause) = &failure {
            self.refusal = Some(Error::Poisoned { cause: Box::new(cause.clone()) });
        }
        failure.into_error()
    }
}
