//! Writing generations: a new one with a snapshot, named by `CURRENT`, and then edits behind it.

use std::io;
use std::sync::Arc;

use kv::{Error, Result};

use super::format::{
    CURRENT_FILE, Current, GENERATION_FILES, HEADER_LEN, Identity, Kind, encode_header,
    encode_record, record_len,
};
use super::state::{Features, State};
use crate::coding::Reader;
use crate::fs::{Entry, EntryKind, File};
use crate::publish::{self, publish_in_place, replace_atomically};
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

impl Generation {
    /// Writes `state`, which holds the edits up to `edit_number`, as a new generation and makes `CURRENT` name it.
    ///
    /// The first free number from that of `identity` on is taken: a file left by a crash keeps its name until no
    /// `CURRENT` that a crash could bring back can mean it.
    pub(super) fn start<S: State>(
        store: &StoreDir,
        mut identity: Identity,
        state: &S,
        edit_number: u64,
    ) -> Result<Self> {
        let file = loop {
            let name = GENERATION_FILES.name(identity.generation);
            match store.fs().create(&store.file(&name)) {
                Err(error) if error.io_kind() == Some(io::ErrorKind::AlreadyExists) => {}
                created => break created?,
            }
            identity.generation = next(identity.generation, file_of_current(store))?;
        };
        let mut payload = Vec::new();
        state.encode_state(&mut payload);
        debug_assert!(decodes_state::<S>(&payload), "a state that is written can be read");
        let salt = identity.salt();
        let start = HEADER_LEN as u64;
        let (snapshot, snapshot_sum) =
            encode_record(salt, start, Kind::Snapshot, edit_number, &payload)?;
        let features = state.features();
        let mut bytes = encode_header(&identity, features).to_vec();
        bytes.extend_from_slice(&snapshot);
        file.write_at(0, &bytes)?;
        publish_in_place(&**store.fs(), &*file)?;
        let current = Current { identity, edit_number, snapshot_sum };
        replace_atomically(&**store.fs(), &file_of_current(store), &current.encode())?;
        let snapshot_len = snapshot.len() as u64;
        Ok(Self { file, current, features, snapshot_len, end: start + snapshot_len })
    }

    /// Its number.
    pub(super) fn number(&self) -> u64 {
        self.current.identity.generation
    }

    /// Whether an edit with a payload of `payload_len` bytes, which leads to a state with `features`, may be appended.
    /// Otherwise a new generation is due: the edits would outgrow the snapshot, or the header would not say what code
    /// has to know in order to read them.
    pub(super) fn has_room(&self, payload_len: usize, features: Features) -> bool {
        let edits = self.end - HEADER_LEN as u64 - self.snapshot_len;
        let limit = self.snapshot_len.max(LEAST_EDIT_BYTES);
        features == self.features && edits + record_len(payload_len) as u64 <= limit
    }

    /// Appends an edit and makes it durable.
    pub(super) fn append(&mut self, edit_number: u64, payload: &[u8]) -> Result<()> {
        let salt = self.current.identity.salt();
        let (record, _) = encode_record(salt, self.end, Kind::Edit, edit_number, payload)?;
        self.file.write_at(self.end, &record)?;
        self.file.sync()?;
        self.end += record.len() as u64;
        Ok(())
    }

    /// Goes on with `state` in the next generation, and removes this one.
    pub(super) fn rotate<S: State>(
        &mut self,
        store: &StoreDir,
        state: &S,
        edit_number: u64,
    ) -> Result<()> {
        let mut identity = self.current.identity;
        let old = identity.generation;
        identity.generation = next(old, self.file.path())?;
        *self = Self::start(store, identity, state, edit_number)?;
        // The edit is durable, so a failure here must not fail it. The next opening removes what is left.
        store.fs().remove(&store.file(&GENERATION_FILES.name(old))).ok();
        Ok(())
    }

    /// Makes `CURRENT` say that the generation holds the edits up to `edit_number`.
    pub(super) fn mark_clean(&mut self, store: &StoreDir, edit_number: u64) -> Result<()> {
        self.current.edit_number = edit_number;
        replace_atomically(&**store.fs(), &file_of_current(store), &self.current.encode())?;
        Ok(())
    }

    /// Removes all other generations and temporary files. Only after `CURRENT` is durable.
    pub(super) fn remove_others(&self, store: &StoreDir) -> Result<()> {
        let temporary = publish::temporary_path(CURRENT_FILE.as_ref());
        for Entry { name, kind } in store.list()? {
            let other = GENERATION_FILES.parse(&name).is_some_and(|number| number != self.number());
            let ours = other || temporary.as_os_str() == name.as_str();
            if ours && kind == EntryKind::File {
                store.fs().remove(&store.file(&name))?;
            }
        }
        Ok(())
    }
}

fn file_of_current(store: &StoreDir) -> std::path::PathBuf {
    store.file(CURRENT_FILE)
}

/// The number after `number`, which was read from `path`.
pub(super) fn next(number: u64, path: impl AsRef<std::path::Path>) -> Result<u64> {
    let out = || Error::corruption(path, 0, "a number has no successor");
    number.checked_add(1).ok_or_else(out)
}

fn decodes_state<S: State>(payload: &[u8]) -> bool {
    let mut reader = Reader::new(payload, "".as_ref(), 0);
    S::decode_state(S::FORMAT, &mut reader).is_ok() && reader.is_empty()
}
