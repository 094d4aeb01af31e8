//! Checking a whole table.

use std::ops::Range;

use kv::{Error, Result};

use crate::block::{Block, BlockCursor};
use crate::block_walk::index_block;
use crate::filter::{LINE_LEN, hash_stem};
use crate::handle::BlockHandle;
use crate::index::LoadedIndexBlock;
use crate::key_layout::SplitKey;
use crate::properties::Properties;
use crate::stored_block::TRAILER_LEN;
use crate::table::Table;

impl Table {
    /// Reads the whole file once and checks everything: every checksum, the order of all keys, every separator and fence. A
    /// search must find every key and every separator. The filter must know every stem, the properties must be right, and each
    /// byte must belong to one part. So every look-up in the table is right. Takes memory for a list of the blocks, 16 bytes
    /// each.
    ///
    /// # Errors
    /// `Corruption` with the first thing that is wrong; `Io`. `Unsupported` when the filter is of a kind that this build does
    /// not know. Then all but its lines, and the bytes between the parts, was checked and is right.
    pub fn verify(&self) -> Result<()> {
        let table = self.for_one_pass()?;
        let mut pass = Pass::new(&table);
        table.top().check_fences(table.source())?;
        for number in 0..table.top().count() {
            pass.visit_index_block(number)?;
        }
        pass.check_properties()?;
        pass.visit_named_blocks()?;
        if table.filter().is_none() && table.names_filter()? {
            // Nobody but a newer build knows where its lines are.
            return Err(Error::Unsupported(
                "verifying a filter of a kind that this build does not know",
            ));
        }
        pass.visit_filter()?;
        pass.check_coverage()
    }
}

/// A pass over a table, with everything that it has seen so far.
struct Pass<'t> {
    table: &'t Table,
    /// Of the entries that were visited.
    seen: Properties,
    /// The parts of the file that were visited.
    parts: Vec<Range<u64>>,
}

impl<'t> Pass<'t> {
    fn new(table: &'t Table) -> Self {
        Self { table, seen: Properties::default(), parts: Vec::new() }
    }

    fn wrong(&self, offset: u64, what: impl Into<String>) -> Error {
        Error::corruption(self.table.path(), offset, what)
    }

    fn note_block(&mut self, handle: BlockHandle) {
        let end = handle.offset + u64::from(handle.len) + TRAILER_LEN as u64;
        debug_assert!(end <= self.table.len_bytes(), "a block that was read lies in the file");
        self.parts.push(handle.offset..end);
    }

    fn visit_index_block(&mut self, number: usize) -> Result<()> {
        let source = self.table.source();
        let above = self.table.top();
        let index = index_block(self.table, number)?;
        index.check_fences(source)?;
        self.note_block(above.handle(source, number)?);
        for entry in 0..index.count() {
            let separator = index.separator(source, entry)?;
            if entry == 0 && separator != above.separator(source, number)? {
                let what = "an index block with another first separator";
                return Err(self.wrong(index.offset(), what));
            }
            let key = self.split(&separator)?;
            self.check_floor(&index, key, entry)?;
            if entry == 0 {
                self.check_floor(above, key, number)?;
            }
            self.visit_data_block(index.handle(source, entry)?, &separator, index.offset())?;
        }
        Ok(())
    }

    /// Visits the data block that `separator`, in the index block at `index_offset`, stands for.
    fn visit_data_block(
        &mut self,
        handle: BlockHandle,
        separator: &[u8],
        index_offset: u64,
    ) -> Result<()> {
        let source = self.table.source();
        let found = source.read(handle)?;
        let bytes = source.bytes(&found);
        let block = Block::parse(bytes, self.table.key_layout().suffix_len());
        let block = block.map_err(|damage| source.corruption(handle.offset, damage))?;
        if block.count() == 0 {
            return Err(self.wrong(handle.offset, "a data block without entries"));
        }
        let before = self.seen.largest_key.clone();
        let mut cursor = BlockCursor::default();
        for index in 0..block.count() {
            let step = if index == 0 { cursor.set(&block, 0) } else { cursor.next(&block) };
            step.map_err(|damage| source.corruption(handle.offset, damage))?;
            if index == 0 && !self.separates(&before, separator, cursor.key())? {
                return Err(self.wrong(index_offset, "a separator that does not separate"));
            }
            self.visit_entry(cursor.key(), &bytes[cursor.value()], handle.offset)?;
            // A wrong head can hide a key from searches, although the keys ascend.
            let found = block.search(self.split(cursor.key())?);
            let found = found.map_err(|damage| source.corruption(handle.offset, damage))?;
            if !found.is_equal || found.index != index {
                return Err(self.wrong(handle.offset, "a key that a search does not find"));
            }
        }
        self.seen.data_blocks += 1;
        self.note_block(handle);
        Ok(())
    }

    /// Checks that a search of `separator` in `block` finds it, which is entry `entry`.
    fn check_floor(
        &self,
        block: &LoadedIndexBlock,
        separator: SplitKey<'_>,
        entry: usize,
    ) -> Result<()> {
        let found = block.floor(self.table.source(), &separator)?;
        if found.is_some_and(|found| found.index == entry) {
            return Ok(());
        }
        Err(self.wrong(block.offset(), "a separator that a search does not find"))
    }

    /// Whether `separator` is greater than `before`, the last key of the data block before, and not greater than `key`.
    fn separates(&self, before: &[u8], separator: &[u8], key: &[u8]) -> Result<bool> {
        let (separator, key) = (self.split(separator)?, self.split(key)?);
        let is_behind = self.seen.entries == 0 || self.split(before)? < separator;
        Ok(is_behind && separator <= key)
    }

    fn split<'k>(&self, key: &'k [u8]) -> Result<SplitKey<'k>> {
        self.table.split(key)
    }

    fn visit_entry(&mut self, key: &[u8], value: &[u8], offset: u64) -> Result<()> {
        let split = self.split(key)?;
        let is_first = self.seen.entries == 0;
        if !is_first && self.split(&self.seen.largest_key)? >= split {
            return Err(self.wrong(offset, "keys that do not ascend"));
        }
        if !self.table.may_contain(hash_stem(split.stem))? {
            return Err(self.wrong(offset, "a key that the filter does not know"));
        }
        if is_first {
            self.seen.smallest_key = key.to_vec();
        }
        self.seen.largest_key.clear();
        self.seen.largest_key.extend_from_slice(key);
        self.seen.entries += 1;
        self.seen.key_bytes += key.len() as u64;
        self.seen.value_bytes += value.len() as u64;
        Ok(())
    }

    fn check_properties(&mut self) -> Result<()> {
        let stated = self.table.properties()?;
        self.seen.collected.clone_from(&stated.collected);
        if stated != self.seen {
            let offset = self.table.directory().0.offset;
            return Err(self.wrong(offset, "properties that do not count right"));
        }
        Ok(())
    }

    /// Visits the directory and every block that it names.
    fn visit_named_blocks(&mut self) -> Result<()> {
        let (handle, bytes) = self.table.directory();
        let source = self.table.source();
        let damage = |damage| source.corruption(handle.offset, damage);
        let block = Block::parse(bytes, 0).map_err(damage)?;
        let mut cursor = BlockCursor::default();
        let mut before = Vec::new();
        for index in 0..block.count() {
            cursor.set(&block, index).map_err(damage)?;
            if index > 0 && before.as_slice() >= cursor.key() {
                return Err(self.wrong(handle.offset, "names that do not ascend"));
            }
            before = cursor.key().to_vec();
            let named = BlockHandle::decode(&bytes[cursor.value()]);
            let named = named.ok_or_else(|| self.wrong(handle.offset, "a broken handle"))?;
            source.read(named)?;
            self.note_block(named);
        }
        self.note_block(handle);
        Ok(())
    }

    fn visit_filter(&mut self) -> Result<()> {
        let Some(filter) = self.table.filter() else { return Ok(()) };
        for chunk in 0..filter.directory().chunks() {
            filter.read_chunk(self.table.source(), chunk)?;
        }
        self.parts.push(filter.directory().extent());
        Ok(())
    }

    /// The parts lie side by side from the beginning of the file to the footer. In front of the filter there may be zeros, fewer
    /// than a line has bytes.
    fn check_coverage(&mut self) -> Result<()> {
        self.parts.sort_unstable_by_key(|part| part.start);
        let filter = self.table.filter().map(|filter| filter.directory().offset);
        let limit = self.table.source().limit();
        let mut covered = 0;
        self.parts.push(Range { start: limit, end: limit });
        debug_assert!(
            self.parts.is_sorted_by_key(|part| part.start),
            "every part lies before the footer"
        );
        for part in &self.parts {
            let gap = covered..part.start;
            let len = part.start.checked_sub(covered);
            let may_be_padding = filter == Some(part.start);
            let is_right = match len {
                // Two parts overlap.
                None => false,
                Some(0) => true,
                Some(len) => may_be_padding && len < LINE_LEN as u64 && self.is_zero(&gap)?,
            };
            if !is_right {
                return Err(self.wrong(covered, "bytes that belong to no part, or to two"));
            }
            covered = part.end;
        }
        Ok(())
    }

    fn is_zero(&self, range: &Range<u64>) -> Result<bool> {
        let raw = self.table.source().raw();
        let found = raw.read(range.clone())?;
        Ok(raw.bytes(&found).iter().all(|byte| *byte == 0))
    }
}
