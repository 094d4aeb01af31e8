//! Writing generations: a new one with a snapshot, named by `CURRENT`, and then edits behind it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kv::{Error, Result};

use super::format::{CURRENT_FILE, Current, GENERATION_FILES, HEADER_LEN, Identity, encode_header};
use super::record::{Kind, encode_record, record_len};
use super::state::{Features, State};
use crate::coding::Reader;
use crate::fs::{Entry, EntryKind, File, copy_whole};
use crate::publish::{self, Replacement, publish_in_place};
use crate::store_dir::StoreDir;

/// Edits of this many bytes are always left behind a snapshot, however small it is.
const LEAST_EDIT_BYTES: u64 = 4096;

/// The generation that `CURRENT` names, open for appending.
#[derive(Debug)]
pub(super) struct Generation {
    file: Arc<dyn File>,
    current: Current,
    features: Features,
    snapshot_len: u64,
    end: u64,
}

/// How an attempt to change the manifest failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The disk was full, and its content has certainly not changed. The manifest takes further edits.
    Undone(Error),
    /// The content of the disk is unknown until the store is opened again.
    Unknown(Error),
}

impl Failure {
    /// A failure of a step that changes nothing that counts. Only a full disk is forgiven: it works as before once space
    /// is free, and a disk that fails in another way is not trusted again.
    fn before_any_change(error: Error) -> Self {
        if error.is_out_of_resources() { Self::Undone(error) } else { Self::Unknown(error) }
    }

    /// The error, for a caller that gives up either way.
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Undone(error) | Self::Unknown(error) => error,
        }
    }
}

/// A generation that is written, and a `CURRENT` that names it and has its temporary name. Neither is durable.
#[derive(Debug)]
struct Prepared {
    generation: Generation,
    current: Replacement,
}

impl Generation {
    /// Writes `state`, which holds the edits up to `edit_number`, as a new generation and makes `CURRENT` name it.
    pub(super) fn start<S: State>(
        store: &StoreDir,
        identity: Identity,
        state: &S,
        edit_number: u64,
    ) -> Result<Self> {
        let file = Self::create_file(store, identity)?;
        let prepared = Self::prepare(store, file, state, edit_number)?;
        publish_in_place(&**store.fs(), &*prepared.generation.file)?;
        prepared.current.commit(&**store.fs())?;
        Ok(prepared.generation)
    }

    /// Creates the file of a generation. The first free number from that of `identity` on is taken: a file left by a
    /// crash keeps its name until no `CURRENT` that a crash could bring back can mean it.
    fn create_file(store: &StoreDir, mut identity: Identity) -> Result<(Arc<dyn File>, Identity)> {
        loop {
            let name = GENERATION_FILES.name(identity.generation);
            match store.fs().create(&store.file(&name)) {
                Err(error) if error.io_kind() == Some(io::ErrorKind::AlreadyExists) => {}
                created => return Ok((created?, identity)),
            }
            identity.generation = next(identity.generation, file_of_current(store))?;
        }
    }

    /// Writes a generation into `file`, and a `CURRENT` that names it under its temporary name. Nothing that counts
    /// changes.
    fn prepare<S: State>(
        store: &StoreDir,
        (file, identity): (Arc<dyn File>, Identity),
        state: &S,
        edit_number: u64,
    ) -> Result<Prepared> {
        let mut payload = Vec::new();
        state.encode_state(&mut payload);
        debug_assert!(decodes_state::<S>(&payload), "a state that is written can be read");
        let start = HEADER_LEN as u64;
        let (snapshot, snapshot_sum) =
            encode_record(identity.salt(), start, Kind::Snapshot, edit_number, &payload)?;
        let features = state.features();
        let mut bytes = encode_header(&identity, features).to_vec();
        bytes.extend_from_slice(&snapshot);
        file.write_at(0, &bytes)?;
        let current = Current { identity, edit_number, snapshot_sum };
        let replacement =
            Replacement::write(&**store.fs(), &file_of_current(store), &current.encode())?;
        let snapshot_len = snapshot.len() as u64;
        let end = start + snapshot_len;
        assert_eq!(
            snapshot.len(),
            record_len(payload.len()),
            "a record has the length that is reckoned"
        );
        assert_eq!(bytes.len() as u64, end, "header and snapshot fill the file");
        let generation = Self { file, current, features, snapshot_len, end };
        Ok(Prepared { generation, current: replacement })
    }

    /// Its number.
    pub(super) fn number(&self) -> u64 {
        self.current.identity.generation
    }

    /// Whether an edit with a payload of `payload_len` bytes, which leads to a state with `features`, may be appended.
    /// Otherwise a new generation is due: the edits would outgrow the snapshot, or the header would not name the
    /// features that code has to know in order to read them.
    pub(super) fn has_room(&self, payload_len: usize, features: Features) -> bool {
        assert!(self.end >= HEADER_LEN as u64 + self.snapshot_len, "edits follow the snapshot");
        let edits = self.end - HEADER_LEN as u64 - self.snapshot_len;
        let limit = self.snapshot_len.max(LEAST_EDIT_BYTES);
        features == self.features && edits + record_len(payload_len) as u64 <= limit
    }

    /// Appends a record of edits, the last of which is `edit_number`, and makes it durable.
    ///
    /// A sync that fails is never forgiven, not even with `StorageFull`, which file systems that allocate late report
    /// there. The kernel may have marked pages of the record as clean without writing them, so neither the record nor
    /// its removal would be certain.
    pub(super) fn append(
        &mut self,
        kind: Kind,
        edit_number: u64,
        payload: &[u8],
    ) -> std::result::Result<(), Failure> {
        assert_ne!(kind, Kind::Snapshot, "edits follow the snapshot");
        let salt = self.current.identity.salt();
        let encoded = encode_record(salt, self.end, kind, edit_number, payload);
        let (record, _) = encoded.map_err(Failure::Undone)?;
        assert_eq!(
            record.len(),
            record_len(payload.len()),
            "a record has the length that is reckoned"
        );
        assert!(self.end.is_multiple_of(8), "records are aligned");
        if let Err(error) = self.file.write_at(self.end, &record) {
            return Err(self.take_back(error));
        }
        self.file.sync().map_err(Failure::Unknown)?;
        self.end += record.len() as u64;
        Ok(())
    }

    /// Removes the part of a record that a write left before it failed with `error`, and makes the removal durable.
    /// Otherwise a crash could bring the record back, after the engine has gone on without its edits.
    fn take_back(&self, error: Error) -> Failure {
        if !error.is_out_of_resources() {
            return Failure::Unknown(error);
        }
        match self.file.set_len(self.end).and_then(|()| self.file.sync()) {
            Ok(()) => Failure::Undone(error),
            Err(_) => Failure::Unknown(error),
        }
    }

    /// Goes on with `state` in the next generation, and removes this one.
    ///
    /// Until `CURRENT` is renamed, this generation counts. A disk that is too full for the files of the next one leaves
    /// only files that nobody names.
    pub(super) fn rotate<S: State>(
        &mut self,
        store: &StoreDir,
        state: &S,
        edit_number: u64,
    ) -> std::result::Result<(), Failure> {
        let mut identity = self.current.identity;
        let old = identity.generation;
        identity.generation = next(old, self.file.path()).map_err(Failure::Undone)?;
        assert!(identity.generation > old, "numbers of generations ascend");
        let file = Self::create_file(store, identity).map_err(Failure::before_any_change)?;
        let path = file.0.path().to_path_buf();
        let prepared = Self::prepare(store, file, state, edit_number);
        let prepared = prepared.map_err(Failure::before_any_change);
        let rotated = prepared.and_then(|Prepared { generation, current }| {
            let durable = publish_in_place(&**store.fs(), &*generation.file);
            durable.map_err(Failure::Unknown)?;
            self.commit(store, current)?;
            Ok(generation)
        });
        match rotated {
            Ok(generation) => *self = generation,
            Err(Failure::Undone(error)) => {
                remove_if_there(store, &path);
                remove_if_there(store, &publish::temporary_path(&file_of_current(store)));
                return Err(Failure::Undone(error));
            }
            Err(unknown) => return Err(unknown),
        }
        // The edit is durable, so a failure here must not fail it. The next opening removes the file that is left.
        remove_if_there(store, &store.file(&GENERATION_FILES.name(old)));
        Ok(())
    }

    /// Makes `CURRENT` say that the generation holds the edits up to `edit_number`.
    pub(super) fn mark_clean(
        &mut self,
        store: &StoreDir,
        edit_number: u64,
    ) -> std::result::Result<(), Failure> {
        assert!(edit_number >= self.current.edit_number, "edit numbers ascend");
        let current = Current { edit_number, ..self.current };
        let replacement =
            Replacement::write(&**store.fs(), &file_of_current(store), &current.encode());
        self.commit(store, replacement.map_err(Failure::before_any_change)?)?;
        self.current = current;
        Ok(())
    }

    /// Puts another `CURRENT` in the place of the one that names this generation.
    ///
    /// A rename that fails because the disk is full has done nothing if `CURRENT` still reads as before. Once it is
    /// done, a failure to sync the directory leaves both possible.
    fn commit(
        &self,
        store: &StoreDir,
        replacement: Replacement,
    ) -> std::result::Result<(), Failure> {
        let path = file_of_current(store);
        let Err(error) = replacement.commit(&**store.fs()) else { return Ok(()) };
        let is_as_before = || {
            let read = store.fs().open(&path).and_then(|file| copy_whole(&*file));
            read.is_ok_and(|bytes| bytes == self.current.encode())
        };
        if error.is_out_of_resources() && is_as_before() {
            return Err(Failure::Undone(error));
        }
        Err(Failure::Unknown(error))
    }

    /// Removes all other generations and temporary files. Only after `CURRENT` is durable.
    pub(super) fn remove_others(&self, store: &StoreDir) -> Result<()> {
        let temporary: Vec<_> = publish::temporary_paths(CURRENT_FILE.as_ref()).collect();
        for Entry { name, kind } in store.list()? {
            let other = GENERATION_FILES.parse(&name).is_some_and(|number| number != self.number());
            let ours = other || temporary.iter().any(|path| path.as_os_str() == name.as_str());
            if ours && kind == EntryKind::File {
                store.fs().remove(&store.file(&name))?;
            }
        }
        Ok(())
    }
}

/// Removes a file that nobody names. If that fails, the next opening removes it.
fn remove_if_there(store: &StoreDir, path: &Path) {
    store.fs().remove(path).ok();
}

fn file_of_current(store: &StoreDir) -> PathBuf {
    store.file(CURRENT_FILE)
}

/// The number after `number`, which was read from `path`.
pub(super) fn next(number: u64, path: impl AsRef<Path>) -> Result<u64> {
    let out = || Error::corruption(path, 0, "a number has no successor");
    number.checked_add(1).ok_or_else(out)
}

fn decodes_state<S: State>(payload: &[u8]) -> bool {
    let mut reader = Reader::new(payload, "".as_ref(), 0);
    S::decode_state(S::FORMAT, &mut reader).is_ok() && reader.is_empty()
}
