//! Hint files: the keys of one data file without the values, so that opening need not read the data.
//!
//! A hint is never trusted by itself. It counts only if the manifest names it with its length and checksum. The manifest
//! does so in the record that names the length and checksum of the data file. If the hint is missing, stale, torn, damaged
//! or left over, the data file is read instead.
//!
//! # Format 2 (little-endian)
//!
//! | offset | width | field |
//! |---|---|---|
//! | 0 | 8 | magic `KVHINT02` |
//! | 8 | 16 | store id |
//! | 24 | 8 | id of the data file |
//! | 32 | 8 | length of the data file |
//! | 40 | 4 | CRC-32 of the data file |
//! | 44 | 4 | number of blocks of the filter, 64 bytes each |
//! | 48 | 8 | number of entries |
//! | 56 | 8 | zero |
//! | 64 | | the filter over the keys of all puts: `filter.rs` |
//! | | | entries, one for each record of the data file, in its order |
//!
//! An entry is: sequence number minus that of the entry before, varint; length of the frame in units of 8 bytes, times
//! two, plus one if it is a tombstone, varint; length of the key, varint; key. Offsets are not stored: frames follow each
//! other without gaps, so they are the running sum of the lengths.
//!
//! Format 1 had no filter. Its hints do not count: the data file is read, and a new hint written.

use std::path::Path;

use durable::coding::{Reader, put_prefixed, put_u32, put_u64, put_varint};
use durable::log::{FrameView, StoreId, frame_len};
use kv::{MAX_KEY_LEN, Result};

use crate::filter::{BLOCK, FilterBuilder};
use crate::record::{Record, SEQUENCE_LIMIT};

const MAGIC: &[u8; 8] = b"KVHINT02";

/// Bytes before the filter.
const HEADER_LEN: usize = 64;

/// Where the header says how many blocks the filter has. The fields before are the same in every hint of a data file.
const FILTER_BLOCKS_AT: usize = 44;

const _: () = assert!(FILTER_BLOCKS_AT + 4 + 8 + 8 == HEADER_LEN, "as in the table");

/// One record of the data file, as its hint lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HintEntry<'h> {
    pub(crate) key: &'h [u8],
    pub(crate) sequence: u64,
    pub(crate) offset: u64,
    pub(crate) len: u64,
    pub(crate) is_tombstone: bool,
}

/// The data file that a hint was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) store: StoreId,
    pub(crate) id: u64,
    pub(crate) len: u64,
    pub(crate) crc: u32,
    /// Where its first record starts.
    pub(crate) first_record: u64,
}

impl Source {
    fn encode_header(&self, filter: &[u8], entries: u64, out: &mut Vec<u8>) {
        let start = out.len();
        assert!(filter.len().is_multiple_of(BLOCK), "a filter has whole blocks");
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.store.0);
        put_u64(out, self.id);
        put_u64(out, self.len);
        put_u32(out, self.crc);
        put_u32(out, (filter.len() / BLOCK) as u32);
        put_u64(out, entries);
        put_u64(out, 0);
        assert_eq!(out.len() - start, HEADER_LEN, "the header has a fixed length");
    }
}

/// Collects the entries of a hint file in memory.
#[derive(Debug, Default)]
pub(crate) struct HintBuilder {
    entries: Vec<u8>,
    puts: FilterBuilder,
    count: u64,
    sequence: u64,
}

impl HintBuilder {
    /// Adds the record in `frame`. Records come in the order of the data file.
    pub(crate) fn push(&mut self, frame: &FrameView<'_>, record: &Record<'_>) {
        let is_tombstone = matches!(record, Record::Delete { .. });
        self.add(frame.sequence, frame.len(), record.key(), is_tombstone);
    }

    fn add(&mut self, sequence: u64, len: u64, key: &[u8], is_tombstone: bool) {
        debug_assert!(sequence >= self.sequence, "records come in the order of their numbers");
        debug_assert!(
            len >= frame_len(key.len()) as u64 && len.is_multiple_of(8),
            "a frame has a key"
        );
        put_varint(&mut self.entries, sequence - self.sequence);
        put_varint(&mut self.entries, len / 8 * 2 + u64::from(is_tombstone));
        put_prefixed(&mut self.entries, key);
        if !is_tombstone {
            self.puts.add(key);
        }
        self.sequence = sequence;
        self.count += 1;
        debug_assert!(self.entries.len() as u64 >= 3 * self.count, "three varints an entry");
    }

    /// The bytes of the hint file for `source`.
    pub(crate) fn finish(self, source: &Source) -> Vec<u8> {
        let filter = self.puts.finish();
        let mut bytes = Vec::with_capacity(HEADER_LEN + filter.len() + self.entries.len());
        source.encode_header(&filter, self.count, &mut bytes);
        debug_assert_eq!(bytes.len(), HEADER_LEN);
        bytes.extend_from_slice(&filter);
        bytes.extend_from_slice(&self.entries);
        let path = Path::new("hint");
        debug_assert!(read(&bytes, source, path, &mut |_| ()).is_ok(), "a hint reads back");
        bytes
    }
}

/// The filter in the hint file `bytes`, made from `source`. The caller has checked the bytes against the manifest.
///
/// # Errors
/// `Corruption` when the bytes are no hint for that data file.
pub(crate) fn filter<'h>(bytes: &'h [u8], source: &Source, path: &'h Path) -> Result<&'h [u8]> {
    open(bytes, source, path).map(|opened| opened.filter)
}

/// A hint file whose header is right.
struct Opened<'h> {
    filter: &'h [u8],
    /// Stands before the first of the entries.
    reader: Reader<'h>,
    count: u64,
}

fn open<'h>(bytes: &'h [u8], source: &Source, path: &'h Path) -> Result<Opened<'h>> {
    let mut reader = Reader::new(bytes, path, 0);
    let mut expected = Vec::new();
    source.encode_header(&[], 0, &mut expected);
    if reader.bytes(FILTER_BLOCKS_AT)? != &expected[..FILTER_BLOCKS_AT] {
        return Err(Reader::new(bytes, path, 0).corruption("not a hint for that data file"));
    }
    let (blocks, count, _zero) = (reader.u32()?, reader.u64()?, reader.u64()?);
    let filter = reader.bytes(blocks as usize * BLOCK)?;
    debug_assert_eq!(filter.len() / BLOCK, blocks as usize, "a filter has whole blocks");
    Ok(Opened { filter, reader, count })
}

/// Reads the hint file `bytes`, made from `source`, and calls `visit` with each entry. The caller has checked the
/// bytes against the manifest.
///
/// # Errors
/// `Corruption` when the bytes are no hint for that data file; some entries may have been visited.
pub(crate) fn read<'h>(
    bytes: &'h [u8],
    source: &Source,
    path: &'h Path,
    visit: &mut dyn FnMut(HintEntry<'h>),
) -> Result<()> {
    let Opened { mut reader, count, .. } = open(bytes, source, path)?;
    let mut sequence = 0_u64;
    let mut offset = source.first_record;
    for _ in 0..count {
        let ahead = reader.varint()?;
        let len_and_kind = reader.varint()?;
        let len = len_and_kind / 2 * 8;
        let wrong = |what| reader.corruption(what);
        sequence =
            sequence.checked_add(ahead).ok_or_else(|| wrong("a sequence number overflows"))?;
        if sequence >= SEQUENCE_LIMIT {
            return Err(wrong("a sequence number that no store reaches"));
        }
        if len > source.len.saturating_sub(offset) {
            return Err(wrong("a record past the end of the data file"));
        }
        let key = reader.prefixed()?;
        // The keydir stores the length of a frame, which is never 0, and 16 bits of the length of a key.
        if len < frame_len(key.len()) as u64 || key.len() > MAX_KEY_LEN {
            let what = "a key too long, or longer than its record";
            return Err(reader.corruption(what));
        }
        visit(HintEntry { key, sequence, offset, len, is_tombstone: len_and_kind % 2 == 1 });
        offset += len;
    }
    reader.finish()
}

#[cfg(test)]
mod tests;
