//! Writing a memtable as a sorted run of tables.
//!
//! A table is ended when it has grown to its usual length and the next entry has another user key: so all versions of a
//! key are in one table of a run.
//!
//! Each table has the property `lsm.origin`. It begins with the id of the store, 16 bytes. Three numbers of 8 bytes follow,
//! little-endian: the number of the file, the epoch of the opening, the number of the newest edit. Recovery compares it when
//! the manifest does not name the file.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use durable::log::StoreId;
use durable::manifest::Stamp;
use durable::publish::PublishedFile;
use durable::{FileWriter, Fs};
use kv::{Error, Result};
use sstable::{
    BuildOptions, PropertyCollector, ReadMode, ReadOptions, Table, TableBuilder, TableId,
};

use crate::file_ids::FileIds;
use crate::internal_key::{self, Kind, LAYOUT};
use crate::memtable::Memtable;
use crate::state::TableFacts;
use crate::store::Store;

/// The name of the property.
const ORIGIN: &str = "lsm.origin";

/// How many entries are written between two looks at whether the store was dropped.
const ENTRIES_BETWEEN_LOOKS: u64 = 1024;

/// A table that is durable and that no manifest names yet.
pub(crate) type NewTable = (PublishedFile, TableFacts);

/// Writes memtables to tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableWriter<'w> {
    pub(crate) store: &'w Store,
    pub(crate) ids: &'w FileIds,
    pub(crate) build: BuildOptions,
    /// How long a table is before the next one is begun, in bytes, about.
    pub(crate) table_bytes: u64,
}

impl TableWriter<'_> {
    /// Writes all of `memtable`, which is not empty, and makes the tables durable.
    ///
    /// # Errors
    /// `Io`: no table is left, unless the disk fails to remove it. A sync that failed has poisoned the store. `Closed` when
    /// the store was dropped.
    pub(crate) fn write(self, memtable: &Memtable) -> Result<Vec<NewTable>> {
        debug_assert!(!memtable.is_empty(), "a table has an entry");
        let mut begun = Vec::new();
        let written = self.write_run(memtable, &mut begun);
        if written.is_err() && self.store.check_in_place().is_ok() {
            // What cannot be removed now is an orphan of the next opening.
            for path in &begun {
                drop(self.store.fs().remove(path));
            }
        }
        let written = written?;
        let entries: u64 = written.iter().map(|(_, facts)| facts.entries).sum();
        assert_eq!(entries, memtable.entries(), "every entry was written");
        Ok(written)
    }

    fn write_run(self, memtable: &Memtable, begun: &mut Vec<PathBuf>) -> Result<Vec<NewTable>> {
        let mut finished = Vec::new();
        let mut output: Option<Output> = None;
        let mut count = 0_u64;
        memtable.for_each(&mut |key, value| {
            count += 1;
            if count.is_multiple_of(ENTRIES_BETWEEN_LOOKS) && self.store.is_abandoned() {
                return Err(Error::Closed);
            }
            if let Some(full) = output.take_if(|output| output.ends_before(key, self.table_bytes)) {
                finished.push(full.finish(self.store)?);
            }
            if output.is_none() {
                output = Some(self.begin(begun)?);
            }
            output.as_mut().map_or(Ok(()), |output| output.add(key, value))
        })?;
        if let Some(last) = output {
            finished.push(last.finish(self.store)?);
        }
        Ok(finished)
    }

    /// Begins a table under a name that nobody has.
    fn begin(self, begun: &mut Vec<PathBuf>) -> Result<Output> {
        loop {
            self.store.check_in_place()?;
            let id = self.ids.reserve()?;
            let path = self.store.table_path(id);
            let writer = match FileWriter::create(self.store.fs(), &path) {
                // Another program has a file of that name, which stays as it is.
                Err(error) if error.io_kind() == Some(ErrorKind::AlreadyExists) => continue,
                created => {
                    begun.push(path);
                    created?
                }
            };
            let table_id = TableId::random(&*self.store.env.entropy);
            let build = BuildOptions { key_layout: LAYOUT, ..self.build };
            let mut builder = TableBuilder::new(writer, table_id, build)?;
            builder.collect(Box::new(Origin::of(self.store, id)));
            return Ok(Output { builder, facts: Facts::default(), last_user: Vec::new() });
        }
    }
}

/// A table that is being written.
struct Output {
    builder: TableBuilder,
    facts: Facts,
    /// The user key of the last entry.
    last_user: Vec<u8>,
}

/// Counts of the entries so far.
#[derive(Debug, Default)]
struct Facts {
    tombstones: u64,
    oldest: Option<u64>,
    newest: u64,
}

impl Output {
    /// Whether the table is long enough and the entry at `key` can begin the next one.
    fn ends_before(&self, key: &[u8], table_bytes: u64) -> bool {
        let user = internal_key::split(key).map_or(key, |(user, _)| user);
        self.builder.estimated_len() >= table_bytes && user != self.last_user
    }

    fn add(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let (user, trailer) = internal_key::split(key).expect("a memtable has internal keys");
        self.builder.add(key, value)?;
        let sequence = trailer.sequence();
        let is_tombstone = trailer.kind() == Some(Kind::Tombstone);
        self.facts.tombstones += u64::from(is_tombstone);
        self.facts.oldest = Some(self.facts.oldest.map_or(sequence, |oldest| oldest.min(sequence)));
        self.facts.newest = self.facts.newest.max(sequence);
        self.last_user.clear();
        self.last_user.extend_from_slice(user);
        Ok(())
    }

    fn finish(self, store: &Store) -> Result<NewTable> {
        let built = self.builder.finish(store.fs());
        let built = built
            .map_err(|error| if is_failed_sync(&error) { store.poison(error) } else { error })?;
        let properties = built.properties;
        let facts = TableFacts {
            len: built.file.len_bytes(),
            crc: built.crc,
            table_id: built.id.0,
            entries: properties.entries,
            tombstones: self.facts.tombstones,
            oldest: self.facts.oldest.unwrap_or_default(),
            newest: self.facts.newest,
            smallest: properties.smallest_key,
            largest: properties.largest_key,
        };
        assert!(facts.is_sound(), "a table was built from entries in order");
        Ok((built.file, facts))
    }
}

/// Whether the disk has failed to sync. For want of a file handle it was not asked to.
fn is_failed_sync(error: &Error) -> bool {
    let is_sync = matches!(error, Error::Io { op, .. } if op.starts_with("sync"));
    is_sync && !error.is_out_of_file_handles()
}

/// Says in a table which store made it, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) store: StoreId,
    /// The number of the file.
    pub(crate) id: u64,
    pub(crate) stamp: Stamp,
}

impl Origin {
    fn of(store: &Store, id: u64) -> Self {
        Self { store: store.id(), id, stamp: store.stamp() }
    }

    fn encode(&self) -> Vec<u8> {
        let fields = [self.id, self.stamp.open_epoch, self.stamp.edit_number];
        let mut out = self.store.0.to_vec();
        for field in fields {
            out.extend_from_slice(&field.to_le_bytes());
        }
        debug_assert_eq!(Self::decode(&out), Some(*self), "the origin reads back");
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (store, rest) = bytes.split_first_chunk::<16>()?;
        let (fields, rest) = rest.as_chunks::<8>();
        let &[id, open_epoch, edit_number] = fields else { return None };
        let [id, open_epoch, edit_number] = [id, open_epoch, edit_number].map(u64::from_le_bytes);
        let stamp = Stamp { open_epoch, edit_number };
        rest.is_empty().then_some(Self { store: StoreId(*store), id, stamp })
    }

    /// The origin of the table at `path`, if it is a whole table of a store.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn read(fs: &dyn Fs, path: &Path) -> Result<Option<Self>> {
        let file = fs.open(path)?;
        let read = ReadOptions { mode: ReadMode::Positional, ..ReadOptions::default() };
        let table = Table::open(file, &read);
        let properties = match table.and_then(|table| table.properties()) {
            Err(error @ Error::Io { .. }) => return Err(error),
            // It is no table, or a damaged one, or one of a newer format.
            Err(_) => return Ok(None),
            Ok(properties) => properties,
        };
        Ok(properties.collected.get(ORIGIN).and_then(|bytes| Self::decode(bytes)))
    }
}

impl PropertyCollector for Origin {
    fn add(&mut self, _key: &[u8], _value: &[u8]) {}

    fn finish(&mut self) -> Vec<(String, Vec<u8>)> {
        vec![(ORIGIN.into(), self.encode())]
    }
}
