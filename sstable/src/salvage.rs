//! Reading what is left of a damaged table.
//!
//! The data blocks lie side by side from the beginning of the file. The walk goes from block to block, and needs the length
//! of each:
//! - The index says it, as far as its blocks can be read.
//! - Where the index says nothing, the checksum does: the block ends where its checksum, started from the seed of the place,
//!   is the one behind it. `salvage/blocks.rs` looks for that end.
//!
//! The block behind the last data block is the first index block. It does not pass for a data block: behind the number of
//! entries it has the offset of the first data block, 0. A data block has its restart interval there, which is at least 1.
//!
//! A block whose checksum fails is skipped if the index says where it ends. Otherwise the walk goes on at the next block that
//! the index knows, and everything before it is skipped.
//!
//! The seeds need the id of the table. If the footer is damaged, the caller has to know it.
//!
//! Each entry that is shown was in the table: its block has the right checksum for its place, and its key is greater than the
//! one before. A block that breaks this order is left at that place. If the number of entries is known, the walk ends with the last
//! of them, so that no block of another kind is taken for a data block.

mod blocks;

use std::ops::Range;
use std::sync::Arc;

use durable::{File, Mapped, read_whole};
use kv::{Bytes, Cursor, Error, Result};

use crate::block::{Block, BlockCursor};
use crate::key_layout::KeyLayout;
use crate::table_id::TableId;
use blocks::{DataBlocks, Found};

/// What is known of a damaged table besides its bytes.
#[derive(Clone, Copy, Debug)]
pub struct SalvageHints {
    /// The id, if the footer cannot be read.
    pub id: Option<TableId>,
    /// How the keys are made up.
    pub key_layout: KeyLayout,
    /// How many entries there were.
    pub entries: Option<u64>,
}

/// A part of a table that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its bytes in the file. Empty, at the end of the walk: the file was cut there.
    pub bytes: Range<u64>,
    /// Why it could not be read.
    pub what: String,
    /// The last key before it that could be read. `None`: there is none.
    pub after: Option<Vec<u8>>,
    /// The first key behind it that could be read. `None`: there is none.
    pub before: Option<Vec<u8>>,
}

/// A walk over the readable entries of a table, forward only: [`Cursor::next`] alone is supported. Damage does not end it;
/// [`SalvageCursor::skipped`] says what was left out.
///
/// It maps the whole file, or reads it where that is not possible, and holds one block and the places of all blocks.
pub struct SalvageCursor {
    file: Arc<dyn Mapped>,
    blocks: DataBlocks,
    key_layout: KeyLayout,
    /// How many entries have to be there.
    expected: Option<u64>,
    /// The present block, and its bytes in the file.
    block: Option<(Range<u64>, Bytes)>,
    cursor: BlockCursor,
    is_on_entry: bool,
    /// The last key that was shown.
    last_key: Option<Vec<u8>>,
    entries: u64,
    skipped: Vec<Skipped>,
}

impl SalvageCursor {
    /// A walk over what is left of the table in `file`.
    ///
    /// # Errors
    /// `Io`. Damage is no error: without an id nothing can be read, and everything is skipped.
    pub fn open(file: &Arc<dyn File>, hints: SalvageHints) -> Result<Self> {
        let bytes = read_whole(&**file)?;
        let (blocks, entries) = DataBlocks::of(file, bytes.bytes(), hints.id)?;
        Ok(Self {
            file: bytes,
            blocks,
            key_layout: hints.key_layout,
            expected: hints.entries.or(entries),
            block: None,
            cursor: BlockCursor::default(),
            is_on_entry: false,
            last_key: None,
            entries: 0,
            skipped: Vec::new(),
        })
    }

    /// What was left out so far, in the order of the file. Complete after the end of the walk.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// The key of the entry that was shown last. `None`: there was none yet.
    pub fn last_key(&self) -> Option<&[u8]> {
        self.last_key.as_deref()
    }

    /// How many entries were shown.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Goes on to the next block that can be read. `false`: there is none.
    fn next_block(&mut self) -> bool {
        if self.expected.is_some_and(|expected| self.entries >= expected) {
            return false;
        }
        loop {
            match self.blocks.next(self.file.bytes()) {
                Found::Block(range, bytes) => match self.enter(range.clone(), bytes) {
                    Ok(()) => return true,
                    // A block of another kind, behind the last data block.
                    Err(_) if !self.blocks.knows_from(range.start) => {
                        self.blocks.end_at(range.start);
                    }
                    Err(what) => self.skip(range, what),
                },
                Found::Damaged(range, what) => self.skip(range, what),
                Found::End(rest) => {
                    let lacks_entries = self.expected.is_some_and(|count| self.entries < count);
                    if !rest.is_empty() {
                        self.skip(rest, "no data block can be told from its neighbours".into());
                    } else if lacks_entries && self.skipped.is_empty() {
                        self.skip(rest, "the table had more entries".into());
                    }
                    return false;
                }
            }
        }
    }

    /// Stands on the first entry of a block.
    ///
    /// # Errors
    /// Why it is no data block of this table behind those that were read.
    fn enter(&mut self, range: Range<u64>, bytes: Bytes) -> std::result::Result<(), String> {
        let mut cursor = BlockCursor::default();
        let parsed = Block::parse(&bytes, self.key_layout.suffix_len());
        let block = parsed.map_err(|damage| damage.what.to_string())?;
        if block.count() == 0 {
            return Err("a data block without entries".into());
        }
        cursor.set(&block, 0).map_err(|damage| damage.what.to_string())?;
        if !self.is_behind_last(cursor.key()) {
            return Err(OUT_OF_ORDER.into());
        }
        (self.block, self.cursor) = (Some((range, bytes)), cursor);
        Ok(())
    }

    /// Whether `key` is one of this table, and greater than the last one that was shown.
    fn is_behind_last(&self, key: &[u8]) -> bool {
        let is_greater = |last: &Vec<u8>| self.key_layout.compare(last, key).is_lt();
        self.key_layout.split(key).is_some() && self.last_key.as_ref().is_none_or(is_greater)
    }

    /// Stands on the next entry of the present block. `false`: there is none, or it cannot be read.
    fn next_in_block(&mut self) -> bool {
        let Some((range, bytes)) = self.block.take() else { return false };
        match self.advance(&bytes) {
            Ok(true) => {
                self.block = Some((range, bytes));
                return true;
            }
            Ok(false) => {}
            // A writer has made the checksum of a block that is none.
            Err(what) => self.skip(range, what.into()),
        }
        false
    }

    /// As [`Self::next_in_block`], in the block `bytes`.
    fn advance(&mut self, bytes: &[u8]) -> std::result::Result<bool, &'static str> {
        let parsed = Block::parse(bytes, self.key_layout.suffix_len());
        let block = parsed.map_err(|damage| damage.what)?;
        if self.cursor.index() + 1 >= block.count() {
            return Ok(false);
        }
        self.cursor.next(&block).map_err(|damage| damage.what)?;
        if self.is_behind_last(self.cursor.key()) { Ok(true) } else { Err(OUT_OF_ORDER) }
    }

    fn skip(&mut self, bytes: Range<u64>, what: String) {
        debug_assert!(bytes.start <= bytes.end, "a range of the file");
        let after = self.last_key.clone();
        self.skipped.push(Skipped { bytes, what, after, before: None });
    }

    /// The cursor is on an entry.
    fn land(&mut self) {
        let key = self.cursor.key();
        for skipped in self.skipped.iter_mut().rev().take_while(|skipped| skipped.before.is_none())
        {
            skipped.before = Some(key.to_vec());
        }
        self.last_key = Some(key.to_vec());
        self.entries += 1;
    }
}

impl Cursor for SalvageCursor {
    fn seek_ge(&mut self, _: &[u8]) -> Result<bool> {
        Err(FORWARD_ONLY)
    }

    fn seek_lt(&mut self, _: &[u8]) -> Result<bool> {
        Err(FORWARD_ONLY)
    }

    fn next(&mut self) -> Result<bool> {
        self.is_on_entry = self.next_in_block() || self.next_block();
        if self.is_on_entry {
            self.land();
        } else {
            self.block = None;
        }
        Ok(self.is_on_entry)
    }

    fn prev(&mut self) -> Result<bool> {
        Err(FORWARD_ONLY)
    }

    fn key(&self) -> &[u8] {
        assert!(self.is_on_entry, "the cursor is on no entry");
        self.cursor.key()
    }

    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        assert!(self.is_on_entry, "the cursor is on no entry");
        let (_, bytes) = self.block.as_ref().expect("an entry is in a block");
        Ok((self.cursor.key(), &bytes[self.cursor.value()]))
    }
}

const OUT_OF_ORDER: &str = "keys that do not ascend";

const FORWARD_ONLY: Error = Error::Unsupported("a salvage goes forward only");

impl std::fmt::Debug for SalvageCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SalvageCursor")
            .field("entries", &self.entries)
            .field("skipped", &self.skipped.len())
            .finish_non_exhaustive()
    }
}
