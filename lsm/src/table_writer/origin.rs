//! Where a table comes from, as a property of the table.
//!
//! Each table has the property `lsm.origin`. It begins with the id of the store, 16 bytes. Three numbers of 8 bytes follow,
//! little-endian: the number of the file, the epoch of the opening, the number of the newest edit. Recovery compares it when
//! the manifest does not name the file.

use std::path::Path;

use durable::Fs;
use durable::log::StoreId;
use durable::manifest::Stamp;
use kv::{Error, Result};
use sstable::{PropertyCollector, ReadMode, ReadOptions, Table};

use crate::store::Store;

/// The name of the property.
const ORIGIN: &str = "lsm.origin";

/// Says in a table which store made it, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) store: StoreId,
    /// The number of the file.
    pub(crate) id: u64,
    pub(crate) stamp: Stamp,
}

impl Origin {
    pub(super) fn of(store: &Store, id: u64) -> Self {
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
