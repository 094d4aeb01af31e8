//! Looking up the newest version of a key that a reader may see.

use std::ops::Bound;
use std::sync::Arc;

use kv::{Cursor as _, Result};

use crate::block::{Block, SuffixBuffer};
use crate::filter::hash_stem;
use crate::key_layout::SplitKey;
use crate::table::{Table, short_key};

impl Table {
    /// Looks for the first entry that has the stem of `key` and is not less than `key`. Calls `read` with its suffix and its
    /// value, and returns whether there is one. In a store with versions, this is the newest version that `key` may see.
    ///
    /// # Errors
    /// As [`Table::get_with`].
    #[inline]
    pub fn get_version_with(
        self: &Arc<Self>,
        key: &[u8],
        read: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<bool> {
        // As in `get_with`, the parts of the key stay in registers.
        let Some(split) = self.key_layout().split(key) else { return Err(short_key()) };
        let hash = hash_stem(split.stem);
        if self.denies(hash) {
            return Ok(false);
        }
        self.find_version(key, hash, read)
    }

    /// As [`Table::get_version_with`], for a key whose stem has `hash` and was not denied.
    #[inline(never)]
    fn find_version(
        self: &Arc<Self>,
        key: &[u8],
        hash: u64,
        read: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<bool> {
        if !self.may_contain_undenied(hash)? {
            return Ok(false);
        }
        let Some(split) = self.key_layout().split(key) else { return Err(short_key()) };
        let Some(handle) = self.find_data_block(&split)? else {
            // All keys of the table are greater, and the first of them may have the stem.
            return self.get_version_by_cursor(key, split, read);
        };
        self.prefetch(handle, hash);
        let mut room = None;
        let bytes = self.source().look(handle, &mut room)?;
        let damage = |damage| self.source().corruption(handle.offset, damage);
        let suffix_len = self.key_layout().suffix_len();
        let block = Block::parse(bytes, suffix_len).map_err(damage)?;
        let index = block.search(split).map_err(damage)?.index;
        if index == block.count() {
            // The versions of a stem may go on in the next block.
            return self.get_version_by_cursor(key, split, read);
        }
        if !block.has_stem(index, split.stem).map_err(damage)? {
            return Ok(false);
        }
        let value = block.value_of(index).map_err(damage)?;
        let mut buffer: SuffixBuffer = [0; u8::MAX as usize];
        read(block.suffix(index, &mut buffer), &bytes[value]);
        Ok(true)
    }

    fn get_version_by_cursor(
        self: &Arc<Self>,
        key: &[u8],
        split: SplitKey<'_>,
        read: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<bool> {
        let mut cursor = self.scan((Bound::Unbounded, Bound::Unbounded))?;
        if !cursor.seek_ge(key)? {
            return Ok(false);
        }
        let (found, value) = cursor.entry()?;
        let found = self.split(found)?;
        if found.stem != split.stem {
            return Ok(false);
        }
        read(found.suffix, value);
        Ok(true)
    }
}
