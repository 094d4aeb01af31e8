//! The description of a filter: the payload of the filter block.

use std::ops::Range;

use durable::coding::{Reader, put_u16, put_u32, put_u64};
use durable::seeded_crc32;
use kv::Result;

use super::line::{LINE_LEN, MOST_BITS, line_of};
use crate::stored_block::Seeds;

/// Bytes of a chunk, but for the last one, which take some microseconds to check.
pub(crate) const CHUNK_LEN: usize = 32 << 10;

/// A filter of lines alone. Kinds 1 to 4 had the bits of a stem elsewhere: read with the bits of today, they would deny keys
/// that are there.
const KIND_PLAIN: u8 = 5;

/// A filter with hints behind each line.
const KIND_WITH_HINTS: u8 = 6;

/// How the lines of a filter are made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LineFormat {
    /// How many bits a stem has in each of its two words, 1 to 3.
    pub(crate) bits_per_word: u8,
    /// Whether hints follow each line.
    pub(crate) has_hints: bool,
}

impl LineFormat {
    /// Bytes from one line to the next.
    #[inline]
    pub(crate) fn stride(self) -> usize {
        LINE_LEN << u8::from(self.has_hints)
    }
}

/// Where the lines of a filter are, and the checksums of their chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilterDirectory {
    pub(crate) format: LineFormat,
    /// How many lines there are, at least one.
    pub(crate) lines: u32,
    /// Where the first line is in the file.
    pub(crate) offset: u64,
    sums: Vec<u32>,
}

impl FilterDirectory {
    /// The directory of `lines`, each with its hints, if the first one lies at `offset`.
    pub(super) fn describe(lines: &[u8], format: LineFormat, seeds: Seeds, offset: u64) -> Self {
        debug_assert!(lines.len().is_multiple_of(format.stride()), "lines are whole");
        assert!(offset.is_multiple_of(LINE_LEN as u64), "a line is a cache line");
        let chunk_offset = |chunk: usize| offset + (chunk * CHUNK_LEN) as u64;
        let chunks = lines.chunks(CHUNK_LEN).enumerate();
        let sum = |(at, chunk)| seeded_crc32(seeds.at(chunk_offset(at)), chunk);
        let sums = chunks.map(sum).collect();
        Self { format, lines: (lines.len() / format.stride()) as u32, offset, sums }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let kind = if self.format.has_hints { KIND_WITH_HINTS } else { KIND_PLAIN };
        let mut bytes = vec![kind, self.format.bits_per_word];
        put_u16(&mut bytes, 0);
        put_u32(&mut bytes, self.lines);
        put_u64(&mut bytes, self.offset);
        self.sums.iter().for_each(|sum| put_u32(&mut bytes, *sum));
        debug_assert_eq!(bytes.len(), 16 + 4 * self.chunks(), "a sum for each chunk");
        bytes
    }

    /// The directory in `reader`. `None`: a kind of filter that this build does not know, so there is no filter for it.
    ///
    /// # Errors
    /// `Corruption` when the lines do not all lie before `limit`, or there are more or fewer sums than chunks.
    pub(crate) fn decode(mut reader: Reader<'_>, limit: u64) -> Result<Option<Self>> {
        let (kind, bits_per_word, zero) = (reader.u8()?, reader.u8()?, reader.u16()?);
        if kind != KIND_PLAIN && kind != KIND_WITH_HINTS {
            return Ok(None);
        }
        let format = LineFormat { bits_per_word, has_hints: kind == KIND_WITH_HINTS };
        if zero != 0 || !(1..=MOST_BITS).contains(&bits_per_word) {
            return Err(reader.corruption("a filter with an impossible number of bits"));
        }
        let (lines, offset) = (reader.u32()?, reader.u64()?);
        let len = u64::from(lines) * format.stride() as u64;
        if lines == 0 || !offset.is_multiple_of(LINE_LEN as u64) {
            return Err(reader.corruption("a filter without lines, or with lines out of place"));
        }
        if offset.checked_add(len).is_none_or(|end| end > limit) {
            return Err(reader.corruption("a filter that does not lie in the file"));
        }
        let chunks = (len as usize).div_ceil(CHUNK_LEN);
        if reader.remaining() != 4 * chunks {
            return Err(reader.corruption("another number of checksums than of chunks"));
        }
        let sums = (0..chunks).map(|_| reader.u32()).collect::<Result<_>>()?;
        Ok(Some(Self { format, lines, offset, sums }))
    }

    /// How many chunks there are.
    pub(crate) fn chunks(&self) -> usize {
        self.sums.len()
    }

    /// Where the lines are in the file.
    pub(crate) fn extent(&self) -> Range<u64> {
        self.offset..self.offset + u64::from(self.lines) * self.format.stride() as u64
    }

    /// Where the line of `hash` begins, counted from the first line. Its hints lie behind it.
    #[inline]
    pub(crate) fn line_at(&self, hash: u64) -> usize {
        line_of(hash, self.lines) << self.format.stride().ilog2()
    }

    /// Where `chunk` is in the file.
    pub(crate) fn chunk_extent(&self, chunk: usize) -> Range<u64> {
        assert!(chunk < self.chunks(), "a chunk of the filter");
        let Range { start, end } = self.extent();
        let start = start + (chunk * CHUNK_LEN) as u64;
        start..end.min(start + CHUNK_LEN as u64)
    }

    /// Whether `bytes` are those of `chunk`.
    pub(crate) fn is_right(&self, chunk: usize, bytes: &[u8], seeds: Seeds) -> bool {
        let extent = self.chunk_extent(chunk);
        debug_assert!(extent.start < extent.end, "a chunk has a line");
        seeded_crc32(seeds.at(extent.start), bytes) == self.sums[chunk]
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::table_id::TableId;

    fn decode(bytes: &[u8], limit: u64) -> Result<Option<FilterDirectory>> {
        FilterDirectory::decode(Reader::new(bytes, Path::new("table"), 0), limit)
    }

    const PLAIN: LineFormat = LineFormat { bits_per_word: 3, has_hints: false };

    const WITH_HINTS: LineFormat = LineFormat { bits_per_word: 3, has_hints: true };

    #[test]
    fn a_directory_reads_back_and_its_chunks_cover_the_lines() {
        for (format, lines) in [(PLAIN, 516), (WITH_HINTS, 258)] {
            reads_back(format, lines);
        }
    }

    fn reads_back(format: LineFormat, count: u32) {
        let seeds = Seeds::of(TableId([3; 16]));
        let lines: Vec<u8> = (0..CHUNK_LEN + 4 * LINE_LEN).map(|at| (at / 7) as u8).collect();
        let directory = FilterDirectory::describe(&lines, format, seeds, 128);
        assert_eq!((directory.chunks(), directory.lines), (2, count));
        let last = directory.line_at(u64::MAX);
        assert_eq!(last, lines.len() - format.stride());
        assert!(directory.line_at(u64::MAX / 2) < last);
        let limit = directory.extent().end;
        let decoded = decode(&directory.encode(), limit).unwrap();
        assert_eq!(decoded.as_ref(), Some(&directory));
        for chunk in 0..2 {
            let Range { start, end } = directory.chunk_extent(chunk);
            let bytes = &lines[start as usize - 128..end as usize - 128];
            assert!(directory.is_right(chunk, bytes, seeds));
            assert!(!directory.is_right(1 - chunk, bytes, seeds));
        }
        assert!(decode(&directory.encode(), limit - 1).is_err());
    }

    #[test]
    fn an_unknown_kind_is_no_filter_and_impossible_fields_are_refused() {
        let seeds = Seeds::of(TableId([3; 16]));
        let right = FilterDirectory::describe(&[7; 2 * LINE_LEN], PLAIN, seeds, 64).encode();
        let changed = |at: usize, byte: u8| {
            let mut bytes = right.clone();
            bytes[at] = byte;
            decode(&bytes, 1 << 20)
        };
        for unknown in [0, 1, 2, 3, 4, 7] {
            assert_eq!(changed(0, unknown).unwrap(), None);
        }
        assert!(changed(0, 6).is_ok_and(|found| found.is_some()), "hints fill the room as well");
        for (at, byte) in [(1, 0), (1, 4), (2, 1), (4, 0), (7, 1), (8, 65), (15, 255)] {
            assert!(changed(at, byte).is_err(), "{byte} at {at}");
        }
        for cut in 0..right.len() {
            assert!(decode(&right[..cut], 1 << 20).is_err());
        }
        assert!(decode(&[&right[..], &[0; 4]].concat(), 1 << 20).is_err(), "a sum too many");
        let mut without_lines = right[..16].to_vec();
        without_lines[4] = 0;
        assert!(decode(&without_lines, 1 << 20).is_err(), "no line and no sum");
    }
}
