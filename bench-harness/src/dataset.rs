//! The data of one cell: its keys, its values, and the answers that the engine must give.

use crate::failure::{Failure, Outcome};
use crate::keys::{KeyOrder, KeySpace};
use crate::model::{KeyState, Model};
use crate::values::{ValueHeader, Values};

/// The data of one cell.
#[derive(Debug)]
pub(crate) struct Dataset {
    /// Key bytes by id.
    pub(crate) keys: KeySpace,
    /// Value bytes by id and version.
    pub(crate) values: Values,
    /// The answers that the engine must give.
    pub(crate) model: Model,
    /// The ids in key order, where scans are checked for lost entries.
    pub(crate) order: Option<KeyOrder>,
}

impl Dataset {
    /// Judges the answer of a get of `id` that began at `before` and ended at `after`.
    pub(crate) fn check_get(
        &self,
        id: u32,
        (before, after): (KeyState, KeyState),
        answer: Option<&[u8]>,
    ) -> Outcome<()> {
        let version = answer.map(|value| self.check_value(id, value)).transpose()?;
        if Model::allows(before, after, version) {
            return Ok(());
        }
        let found = version.map_or("nothing".into(), |version| format!("version {version}"));
        let expected = if before == after && !before.is_present() {
            "nothing".into()
        } else if before == after {
            format!("version {}", before.version())
        } else {
            format!("version {} to {}", before.version(), after.version())
        };
        Err(Failure::wrong_data(format!(
            "get of {} found {found} where {expected} was expected",
            self.show_key(id)
        )))
    }

    /// Judges the bytes of a value that should belong to `id`, and returns its version.
    pub(crate) fn check_value(&self, id: u32, value: &[u8]) -> Outcome<u32> {
        let header = ValueHeader::read(value).map_err(|what| {
            Failure::wrong_data(format!("the value of {} has a {what}", self.show_key(id)))
        })?;
        if header.id != id {
            return Err(Failure::wrong_data(format!(
                "{} has the value of key number {}",
                self.show_key(id),
                header.id
            )));
        }
        Ok(header.version)
    }

    /// Judges an entry of a scan by itself and returns the id it belongs to and its version.
    pub(crate) fn check_entry(&self, key: &[u8], value: &[u8]) -> Outcome<(u32, u32)> {
        let shown = key.escape_ascii();
        let header = ValueHeader::read(value).map_err(|what| {
            Failure::wrong_data(format!("a scan found key \"{shown}\" with a {what}"))
        })?;
        let mut expected = Vec::new();
        if header.id < self.model.capacity() {
            self.keys.write_key(header.id, &mut expected);
        }
        if expected != key {
            return Err(Failure::wrong_data(format!(
                "a scan found key \"{shown}\" with the value of key number {}",
                header.id
            )));
        }
        Ok((header.id, header.version))
    }

    /// The key of `id` for a message.
    pub(crate) fn show_key(&self, id: u32) -> String {
        let mut key = Vec::new();
        self.keys.write_key(id, &mut key);
        format!("key \"{}\"", key.escape_ascii())
    }

    /// How many entries are present, and the bytes of their keys and values.
    pub(crate) fn live(&self) -> Live {
        let mut live = Live::default();
        let mut key = Vec::new();
        for id in self.model.present_ids() {
            self.keys.write_key(id, &mut key);
            live.entries += 1;
            live.key_bytes += key.len() as u64;
            live.value_bytes += self.model.value_bytes(id) as u64;
        }
        live
    }
}

/// The entries that the engine holds by the model.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Live {
    /// Present entries.
    pub(crate) entries: u64,
    /// Bytes of their keys.
    pub(crate) key_bytes: u64,
    /// Bytes of their newest values.
    pub(crate) value_bytes: u64,
}

/// Entries of a scan, copied while the clock runs and checked after it stopped: a user would copy them, too,
/// and it makes every engine touch every byte.
#[derive(Clone, Debug, Default)]
pub(crate) struct Copied {
    bytes: Vec<u8>,
    ends: Vec<(usize, usize)>,
}

impl Copied {
    /// Forgets the entries and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Copies one entry.
    pub(crate) fn push(&mut self, key: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        debug_assert!(key_end <= self.bytes.len());
        self.ends.push((key_end, self.bytes.len()));
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all keys and values.
    pub(crate) fn byte_count(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The entry at `at`, in the order of the scan.
    #[cfg(feature = "peers")]
    pub(crate) fn entry(&self, at: usize) -> (&[u8], &[u8]) {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before].1);
        let (key_end, end) = self.ends[at];
        (&self.bytes[start..key_end], &self.bytes[key_end..end])
    }

    /// The entries, in the order of the scan.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|&(_, end)| end));
        starts.zip(&self.ends).map(|(start, &(key_end, end))| {
            (&self.bytes[start..key_end], &self.bytes[key_end..end])
        })
    }
}
