//! Facts about a table that stand in the table.
//!
//! The block of properties has an entry for each, sorted by name. Numbers have 8 bytes, little-endian. The names of this
//! crate begin with `sstable.`; all others come from the collector of the builder.

use std::collections::BTreeMap;

use kv::{Error, Result};

use crate::block::{Block, BlockBuilder, BlockCursor, Restarts};
use crate::damage::{Checked, Damage};
use crate::key_layout::KeyLayout;

/// What names of this crate begin with, in the properties and in the directory.
pub(crate) const OWN_NAMES: &str = "sstable.";

const ENTRIES: &str = "sstable.entries";
const KEY_BYTES: &str = "sstable.key-bytes";
const VALUE_BYTES: &str = "sstable.value-bytes";
const DATA_BLOCKS: &str = "sstable.data-blocks";
const SMALLEST_KEY: &str = "sstable.smallest-key";
const LARGEST_KEY: &str = "sstable.largest-key";

/// Facts about a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// How many entries it has.
    pub entries: u64,
    /// The bytes of all keys.
    pub key_bytes: u64,
    /// The bytes of all values.
    pub value_bytes: u64,
    /// How many data blocks it has.
    pub data_blocks: u64,
    /// The key of the first entry; empty if there is none.
    pub smallest_key: Vec<u8>,
    /// The key of the last entry; empty if there is none.
    pub largest_key: Vec<u8>,
    /// The properties of the collector, by name.
    pub collected: BTreeMap<String, Vec<u8>>,
}

/// Sees every entry of a table that is built, and adds properties to it that this crate does not know.
pub trait PropertyCollector: Send {
    /// An entry is added. Entries come in order.
    fn add(&mut self, key: &[u8], value: &[u8]);

    /// The properties, when all entries were added. No name begins with `sstable.`, and none comes twice.
    fn finish(&mut self) -> Vec<(String, Vec<u8>)>;
}

/// Refuses a name that belongs to this crate.
///
/// # Errors
/// `InvalidArgument`.
pub(crate) fn check_name(name: &str) -> Result<()> {
    if name.starts_with(OWN_NAMES) || name.len() > kv::MAX_KEY_LEN {
        return Err(Error::InvalidArgument(format!("{name:?} is no name for a part of a table")));
    }
    Ok(())
}

impl Properties {
    /// The block of properties.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut all: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
        let numbers = [
            (ENTRIES, self.entries),
            (KEY_BYTES, self.key_bytes),
            (VALUE_BYTES, self.value_bytes),
            (DATA_BLOCKS, self.data_blocks),
        ];
        all.extend(numbers.map(|(name, number)| (name, number.to_le_bytes().to_vec())));
        all.insert(SMALLEST_KEY, self.smallest_key.clone());
        all.insert(LARGEST_KEY, self.largest_key.clone());
        for (name, value) in &self.collected {
            let earlier = all.insert(name, value.clone());
            assert!(earlier.is_none(), "the names of a collector are its own");
        }
        let mut builder = BlockBuilder::new(KeyLayout::PLAIN, Restarts::Adaptive);
        for (name, value) in &all {
            builder.add(name.as_bytes(), value);
        }
        let mut block = Vec::new();
        builder.finish(&mut block);
        debug_assert_eq!(Self::decode(&block).as_ref(), Ok(self), "properties read back");
        block
    }

    /// The properties in the block `bytes`.
    pub(crate) fn decode(bytes: &[u8]) -> Checked<Self> {
        let block = Block::parse(bytes, 0)?;
        let mut properties = Self::default();
        let mut cursor = BlockCursor::default();
        let mut own = 0;
        for index in 0..block.count() {
            cursor.set(&block, index)?;
            own += u32::from(properties.set(cursor.key(), &bytes[cursor.value()])?);
        }
        if own == 6 { Ok(properties) } else { Err(Damage::new(0, "a table without properties")) }
    }

    /// Sets one property. Returns whether it is one of this crate.
    fn set(&mut self, name: &[u8], value: &[u8]) -> Checked<bool> {
        let name = str::from_utf8(name).map_err(|_| Damage::new(0, "a name that is no text"))?;
        match name {
            ENTRIES => self.entries = number(value)?,
            KEY_BYTES => self.key_bytes = number(value)?,
            VALUE_BYTES => self.value_bytes = number(value)?,
            DATA_BLOCKS => self.data_blocks = number(value)?,
            SMALLEST_KEY => self.smallest_key = value.to_vec(),
            LARGEST_KEY => self.largest_key = value.to_vec(),
            _ => {
                self.collected.insert(name.into(), value.to_vec());
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn number(value: &[u8]) -> Checked<u64> {
    let bytes = <[u8; 8]>::try_from(value);
    bytes.map(u64::from_le_bytes).map_err(|_| Damage::new(0, "a number of another length"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_read_back_and_a_cut_block_does_not() {
        let collected = [("b.first".to_owned(), vec![1]), ("a".to_owned(), Vec::new())];
        let properties = Properties {
            entries: 1,
            key_bytes: 2,
            value_bytes: 3,
            data_blocks: 4,
            smallest_key: b"a".to_vec(),
            largest_key: b"zz".to_vec(),
            collected: collected.into(),
        };
        let bytes = properties.encode();
        assert_eq!(Properties::decode(&bytes), Ok(properties));
        for cut in 0..bytes.len() {
            assert!(Properties::decode(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn a_block_without_all_own_properties_is_refused() {
        let mut builder = BlockBuilder::new(KeyLayout::PLAIN, Restarts::Adaptive);
        builder.add(ENTRIES.as_bytes(), &7_u64.to_le_bytes());
        let mut block = Vec::new();
        builder.finish(&mut block);
        assert!(Properties::decode(&block).is_err());
        assert!(check_name("sstable.entries").is_err());
        assert!(check_name("lsm.range-deletes").is_ok());
    }
}
