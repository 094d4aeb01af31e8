//! Asking the filter of a table.

use std::sync::atomic::{AtomicUsize, Ordering};

use kv::{Bytes, Result};

use crate::block_source::BlockSource;
use crate::filter::{CHUNK_LEN, FilterDirectory, LINE_LEN, hint_of, is_set};
use crate::first_use::FirstUse;
use crate::raw_file::RawBytes;

/// The filter of one opened table.
#[derive(Debug)]
pub(crate) struct FilterReader {
    directory: FilterDirectory,
    /// The lines and their hints. Empty if the file is not mapped, or every read is to check.
    mapped: Bytes,
    /// Which chunks of the mapped lines were checked.
    first_use: FirstUse,
    /// How many of them were not. At 0, a look-up goes to its line and checks nothing.
    unchecked: AtomicUsize,
}

impl FilterReader {
    /// The filter that `directory` describes, in the file of `source`.
    pub(crate) fn new(directory: FilterDirectory, source: &BlockSource) -> Self {
        let extent = directory.extent();
        debug_assert!(extent.end <= source.limit(), "the directory was checked");
        let mapped = if source.checks_always() {
            Bytes::new()
        } else {
            let extent = extent.start as usize..extent.end as usize;
            source.raw().share(RawBytes::Mapped(extent))
        };
        let chunks = directory.chunks();
        debug_assert!(chunks > 0, "a filter has lines");
        let (first_use, unchecked) = (FirstUse::new(chunks), AtomicUsize::new(chunks));
        Self { directory, mapped, first_use, unchecked }
    }

    pub(crate) fn directory(&self) -> &FilterDirectory {
        &self.directory
    }

    /// Whether the table may have a stem with this hash; never wrong about one that it has.
    ///
    /// # Errors
    /// `Corruption` when the part of the filter that tells is damaged; `Io`.
    #[inline]
    pub(crate) fn may_contain(&self, source: &BlockSource, hash: u64) -> Result<bool> {
        match self.checked_line(hash) {
            Some(line) => Ok(is_set(line, hash, self.directory.format.bits_per_word)),
            None => self.check_and_ask(source, hash),
        }
    }

    /// Whether the table has no stem with this hash, as far as one can tell without a check. Once [`FilterReader::is_checked`],
    /// this is the answer of the filter.
    #[inline]
    pub(crate) fn denies(&self, hash: u64) -> bool {
        let line = self.checked_line(hash);
        line.is_some_and(|line| !is_set(line, hash, self.directory.format.bits_per_word))
    }

    /// Whether all lines are mapped and were checked.
    #[inline]
    pub(crate) fn is_checked(&self) -> bool {
        self.unchecked.load(Ordering::Relaxed) == 0
    }

    /// The line of `hash`, if all lines are mapped and were checked.
    #[inline]
    fn checked_line(&self, hash: u64) -> Option<&[u8; LINE_LEN]> {
        if !self.is_checked() {
            return None;
        }
        let at = self.directory.line_at(hash);
        self.mapped.get(at..at + LINE_LEN)?.first_chunk()
    }

    /// As [`FilterReader::may_contain`], while there are chunks that were not checked.
    #[inline(never)]
    fn check_and_ask(&self, source: &BlockSource, hash: u64) -> Result<bool> {
        let line_at = self.directory.line_at(hash);
        let (chunk, at) = (line_at / CHUNK_LEN, line_at % CHUNK_LEN);
        let found;
        let bytes = if !self.mapped.is_empty() && self.first_use.is_checked(chunk) {
            &self.mapped[chunk * CHUNK_LEN..]
        } else {
            found = self.read_chunk(source, chunk)?;
            self.note_checked(chunk);
            source.bytes(&found)
        };
        let line = bytes[at..].first_chunk().expect("a chunk has whole lines");
        Ok(is_set(line, hash, self.directory.format.bits_per_word))
    }

    /// Notes that `chunk` was checked, unless it is to be read again each time.
    fn note_checked(&self, chunk: usize) {
        if !self.mapped.is_empty() && self.first_use.set_checked(chunk) {
            let before = self.unchecked.fetch_sub(1, Ordering::Relaxed);
            debug_assert!(before > 0, "each chunk counts once");
        }
    }

    /// About where the entry with this hash is in its data block. `None`: the filter has no hints, or is not mapped.
    ///
    /// A hint is never checked, and may be any number.
    #[inline]
    pub(crate) fn hint(&self, hash: u64) -> Option<u8> {
        if !self.directory.format.has_hints {
            return None;
        }
        let cells_at = self.directory.line_at(hash) + LINE_LEN;
        let cells = self.mapped.get(cells_at..cells_at + LINE_LEN)?.first_chunk()?;
        Some(hint_of(cells, hash))
    }

    pub(crate) fn read_chunk(&self, source: &BlockSource, chunk: usize) -> Result<RawBytes> {
        let is_right = |bytes: &[u8]| self.directory.is_right(chunk, bytes, source.seeds());
        source.read_filter(self.directory.chunk_extent(chunk), is_right)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use durable::{FileWriter, Fs as _, SimFs};

    use super::*;
    use crate::block_cache::BlockCache;
    use crate::filter::hash_stem;
    use crate::options::{BuildOptions, ReadMode, ReadOptions};
    use crate::table::Table;
    use crate::table_builder::TableBuilder;
    use crate::table_id::TableId;

    const STEMS: u32 = 60_000;

    fn table(disk: &SimFs) -> Table {
        let path = Path::new("table");
        let writer = FileWriter::create(disk, path).unwrap();
        let id = TableId([1; 16]);
        let mut builder = TableBuilder::new(writer, id, BuildOptions::default()).unwrap();
        for number in 0..STEMS {
            builder.add(&number.to_be_bytes(), b"").unwrap();
        }
        builder.finish(disk).unwrap();
        open(disk, &ReadOptions::default())
    }

    fn open(disk: &SimFs, options: &ReadOptions) -> Table {
        Table::open(disk.open(Path::new("table")).unwrap(), options).unwrap()
    }

    /// The answers about the stems, and about as many others; about each `step`th of them.
    fn answers(table: &Table, step: usize) -> Vec<bool> {
        let numbers = (0..2 * STEMS).step_by(step);
        let hashes = numbers.map(|number| hash_stem(&number.to_be_bytes()));
        hashes.map(|hash| table.may_contain(hash).unwrap()).collect()
    }

    fn unchecked(table: &Table) -> usize {
        table.filter().unwrap().unchecked.load(Ordering::Relaxed)
    }

    #[test]
    fn each_chunk_of_a_mapping_is_checked_once_and_the_answers_stay_the_same() {
        let disk = SimFs::new();
        let table = table(&disk);
        assert_eq!(unchecked(&table), 5);
        assert!(table.may_contain(hash_stem(&7_u32.to_be_bytes())).unwrap());
        assert_eq!(unchecked(&table), 4);
        let first = answers(&table, 1);
        assert_eq!(unchecked(&table), 0);
        assert!(first[..STEMS as usize].iter().all(|may| *may));
        let false_positives = first[STEMS as usize..].iter().filter(|may| **may).count();
        assert!((500..900).contains(&false_positives), "{false_positives} of 60,000");
        assert_eq!(answers(&table, 1), first);
        // Reads that check each time are slow.
        let some: Vec<bool> = first.into_iter().step_by(97).collect();
        let one_pass = table.for_one_pass().unwrap();
        assert_eq!((answers(&one_pass, 97), unchecked(&one_pass)), (some.clone(), 5));
        for cache in [None, Some(Arc::new(BlockCache::new(1 << 20)))] {
            let copied = open(&disk, &ReadOptions { mode: ReadMode::Positional, cache });
            assert_eq!((answers(&copied, 97), unchecked(&copied)), (some.clone(), 5));
        }
    }

    #[test]
    fn look_ups_check_the_chunks_and_a_checked_filter_denies_absent_stems_alone() {
        let disk = SimFs::new();
        let table = Arc::new(table(&disk));
        let denies = |number: &u32| table.denies(hash_stem(&number.to_be_bytes()));
        assert!(!(0..2 * STEMS).any(|number| denies(&number)), "no line was checked");
        let absent = STEMS.to_be_bytes();
        assert_eq!(table.get(&absent).unwrap(), None);
        assert_eq!(unchecked(&table), 4);
        let other = open(&disk, &ReadOptions::default());
        let other = Arc::new(other);
        assert!(!other.get_version_with(&absent, &mut |_, _| ()).unwrap());
        assert_eq!(unchecked(&other), 4);
        assert!((0..STEMS).all(|number| table.get(&number.to_be_bytes()).unwrap().is_some()));
        assert_eq!(unchecked(&table), 0);
        assert!(!(0..STEMS).any(|number| denies(&number)), "they are there");
        let denied = (STEMS..2 * STEMS).filter(denies).count();
        assert!((59_100..59_500).contains(&denied), "{denied} of 60,000");
    }

    #[test]
    fn a_look_up_that_the_filter_denies_reads_no_data_block() {
        let disk = SimFs::new();
        let lines = table(&disk).filter().unwrap().directory().extent();
        let mut bytes = disk.contents(Path::new("table")).unwrap();
        (0..lines.start as usize).step_by(64).for_each(|at| bytes[at] ^= 1);
        disk.set_contents(Path::new("table"), bytes);
        let table = Arc::new(open(&disk, &ReadOptions::default()));
        // All chunks are checked now.
        answers(&table, 1);
        assert!(table.get(&7_u32.to_be_bytes()).is_err(), "its data block is damaged");
        let absent = (STEMS..2 * STEMS).map(u32::to_be_bytes);
        for key in absent.filter(|key| table.denies(hash_stem(key))).take(1_000) {
            assert_eq!(table.get(&key).unwrap(), None);
            assert!(!table.get_version_with(&key, &mut |_, _| ()).unwrap());
        }
    }

    #[test]
    fn a_damaged_chunk_is_reported_each_time_and_the_others_answer() {
        let disk = SimFs::new();
        let extent = table(&disk).filter().unwrap().directory().extent();
        let mut bytes = disk.contents(Path::new("table")).unwrap();
        let damaged = extent.start as usize + CHUNK_LEN;
        bytes[damaged] ^= 1;
        disk.set_contents(Path::new("table"), bytes);
        let table = open(&disk, &ReadOptions::default());
        for _ in 0..2 {
            let ask = |number: u32| table.may_contain(hash_stem(&number.to_be_bytes()));
            let refused = (0..STEMS).filter(|number| ask(*number).is_err()).count();
            assert!((10_000..14_000).contains(&refused), "a fifth of the stems: {refused}");
            assert!((0..STEMS).all(|number| ask(number).unwrap_or(true)));
        }
        assert_eq!(unchecked(&table), 1);
    }
}
