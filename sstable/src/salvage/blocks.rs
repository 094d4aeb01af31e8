//! The data blocks of a damaged table, from the beginning of the file on.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use durable::{File, seeded_crc32};
use kv::{Bytes, Error, Result};

use crate::block_walk::index_block;
use crate::compression::{Codec, decompress};
use crate::damage::Checked;
use crate::footer::{FOOTER_LEN, Footer};
use crate::handle::BlockHandle;
use crate::options::{ReadMode, ReadOptions};
use crate::stored_block::{Seeds, TRAILER_LEN, check};
use crate::table::Table;
use crate::table_id::TableId;

/// What comes next in the file.
pub(super) enum Found {
    /// A block with a right checksum, unpacked, and the bytes that it takes.
    Block(Range<u64>, Bytes),
    /// Bytes of blocks that cannot be read, and why.
    Damaged(Range<u64>, String),
    /// No further data block can be found. These bytes were not looked at, or are no data blocks.
    End(Range<u64>),
}

/// The data blocks of one file.
pub(super) struct DataBlocks {
    /// `None`: nobody knows the id, and no block can be checked.
    seeds: Option<Seeds>,
    /// The lengths of the bodies that the index knows, by offset.
    known: BTreeMap<u64, u32>,
    /// Where the next block begins.
    at: u64,
    /// Data blocks lie before this offset.
    limit: u64,
}

impl DataBlocks {
    /// The blocks of the table in `file`, which has `bytes`, and how many entries they have, if the table says it.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn of(
        file: &Arc<dyn File>,
        bytes: &[u8],
        id: Option<TableId>,
    ) -> Result<(Self, Option<u64>)> {
        let footer = bytes.last_chunk::<FOOTER_LEN>();
        let footer = footer.map(|footer| Footer::decode(footer, file.path(), bytes.len() as u64));
        let footer = footer.and_then(Result::ok);
        let seeds = footer.map(|footer| footer.id).or(id).map(Seeds::of);
        // Of a file that was cut, the last bytes may be data.
        let limit = bytes.len() as u64 - footer.map_or(0, |_| FOOTER_LEN as u64);
        let mut blocks = Self { seeds, known: BTreeMap::new(), at: 0, limit };
        let entries = match blocks.learn(file) {
            Err(error @ Error::Io { .. }) => return Err(error),
            Err(_) => None,
            Ok(entries) => entries,
        };
        Ok((blocks, entries))
    }

    /// Learns from the index, as far as it can be read.
    fn learn(&mut self, file: &Arc<dyn File>) -> Result<Option<u64>> {
        let read = ReadOptions { mode: ReadMode::Positional, ..ReadOptions::default() };
        let table = Table::open(Arc::clone(file), &read)?;
        let mut is_whole = true;
        for number in 0..table.top().count() {
            match index_block(&table, number) {
                Err(error @ Error::Io { .. }) => return Err(error),
                Err(_) => is_whole = false,
                Ok(index) => {
                    for entry in 0..index.count() {
                        let BlockHandle { offset, len } = index.handle(table.source(), entry)?;
                        self.known.insert(offset, len);
                    }
                }
            }
        }
        if is_whole {
            let end = self.known.last_key_value().map_or(0, |(&offset, &len)| end_of(offset, len));
            self.limit = self.limit.min(end);
        }
        Ok(table.properties().ok().map(|properties| properties.entries))
    }

    /// Whether the index knows a data block at `offset` or behind it.
    pub(super) fn knows_from(&self, offset: u64) -> bool {
        self.known.range(offset..).next().is_some()
    }

    /// No data block begins at `offset` or behind it.
    pub(super) fn end_at(&mut self, offset: u64) {
        (self.at, self.limit) = (offset, offset);
    }

    /// What comes next in the file of these `bytes`.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Found {
        let start = self.at;
        let Some(seeds) = self.seeds else { return self.end(start) };
        if start >= self.limit {
            return self.end(start);
        }
        if let Some(&len) = self.known.get(&start) {
            let end = end_of(start, len).min(self.limit);
            self.at = end;
            return match unpack(bytes, seeds, start..end) {
                Ok(body) => Found::Block(start..end, body),
                Err(damage) => Found::Damaged(start..end, damage.what.into()),
            };
        }
        let next_known = self.known.range(start..).next().map(|(&offset, _)| offset);
        let until = next_known.unwrap_or(self.limit).min(self.limit);
        match find_end(bytes, seeds, start..until) {
            Some((end, body)) => {
                self.at = end;
                Found::Block(start..end, body)
            }
            None if next_known.is_some() => {
                self.at = until;
                Found::Damaged(start..until, "blocks whose ends nobody knows".into())
            }
            None => self.end(start),
        }
    }

    fn end(&mut self, start: u64) -> Found {
        let rest = start..self.limit.max(start);
        self.at = self.limit.max(start);
        self.limit = self.at;
        Found::End(rest)
    }
}

/// Where a block ends, with its trailer.
fn end_of(offset: u64, len: u32) -> u64 {
    offset.saturating_add(u64::from(len) + TRAILER_LEN as u64)
}

/// The block in `range`, checked.
fn unpack(bytes: &[u8], seeds: Seeds, range: Range<u64>) -> Checked<Bytes> {
    let stored = bytes.get(range.start as usize..range.end as usize).unwrap_or_default();
    let (codec, body) = check(stored, seeds, range.start)?;
    match codec {
        Codec::Plain => Ok(Bytes::copy_from_slice(body)),
        packed => decompress(packed, body).map(Bytes::from),
    }
}

/// The end of the block that begins at the start of `range` and ends in it: where its checksum is the one behind it.
fn find_end(bytes: &[u8], seeds: Seeds, range: Range<u64>) -> Option<(u64, Bytes)> {
    let start = range.start as usize;
    let stored = bytes.get(start..range.end as usize)?;
    let mut sum = seeds.at(range.start);
    for (at, &code) in stored.iter().enumerate() {
        sum = seeded_crc32(sum, &[code]);
        // The last byte that is summed is the codec.
        let behind = stored.get(at + 1..at + TRAILER_LEN)?;
        if Codec::from_code(code).is_some() && behind == sum.to_le_bytes() {
            let end = range.start + (at + TRAILER_LEN) as u64;
            if let Ok(body) = unpack(bytes, seeds, range.start..end) {
                return Some((end, body));
            }
        }
    }
    None
}
