//! The data of one cell that never changes: its keys, where its values come from, and their order.

use crate::failure::{Failure, Outcome};
use crate::keys::{KeyOrder, KeySpace};
use crate::values::{HEADER_BYTES, ValueHeader, Values};

/// The data of one cell.
#[derive(Debug)]
pub(crate) struct Dataset {
    /// Key bytes by id.
    pub(crate) keys: KeySpace,
    /// Where payloads come from.
    pub(crate) values: Values,
    /// The size that every made-up value has; `None` where a trace gives each its own.
    pub(crate) common_value_bytes: Option<u32>,
    /// How many ids there can be.
    pub(crate) capacity: u32,
    /// The ids in key order, where scans are checked for lost entries.
    pub(crate) order: Option<KeyOrder>,
}

impl Dataset {
    /// Judges an entry by itself and returns the id it belongs to and its version.
    pub(crate) fn check_entry(&self, key: &[u8], value: &[u8]) -> Outcome<(u32, u32)> {
        let shown = key.escape_ascii();
        let header = ValueHeader::read(value).ok_or_else(|| {
            let what = ValueHeader::complaint(value);
            Failure::wrong_data(format!("a scan found key \"{shown}\" with a {what}"))
        })?;
        let mut expected = Vec::new();
        if header.id < self.capacity {
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

    /// The size of a value of `id` that was asked for with `size`: the text of a record has its own.
    pub(crate) fn value_bytes(&self, id: u32, size: u32) -> u32 {
        match &self.values {
            Values::Pooled => size.max(HEADER_BYTES as u32),
            Values::Records(texts) => (HEADER_BYTES + texts[id as usize].len()) as u32,
        }
    }

    /// The key of `id` for a message.
    pub(crate) fn show_key(&self, id: u32) -> String {
        let mut key = Vec::new();
        self.keys.write_key(id, &mut key);
        format!("key \"{}\"", key.escape_ascii())
    }
}
