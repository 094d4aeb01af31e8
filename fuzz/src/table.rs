//! A table with changed bytes and right checksums, as somebody who forges one can make it.
//!
//! The first byte of an input chooses the table, the second one how it is read. If the third byte is 0, the rest of the input
//! is the file as it is. If it is 2, the rest is a list of edits of the index, of four bytes each: an index block (0 for the top
//! block), a place in it, and the bits to invert there. Otherwise the rest is a list of edits of three bytes: a place in the
//! file, and the bits to invert there. Then all checksums are put right.
//!
//! The invariant: opening, looking up, walking and verifying end, with any answer or an error, without a panic. A table without
//! an edit gives the right answers. Look-ups find each key of a table that verifies. A fence that alone was changed is refused.
//!
//! The checksums are found and put right from the tables of `FORMAT.md`, not by the code under test.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::path::Path;
use std::sync::{Arc, LazyLock};

use durable::{FileWriter, Fs, SimFs, crc32, seeded_crc32};
use kv::{Cursor, Result};
use sstable::{
    BlockCache, BuildOptions, Compression, KeyLayout, MergingCursor, ReadMode, ReadOptions,
    Restarts, Table, TableBuilder, TableId,
};

const FOOTER_LEN: usize = 64;
const TRAILER_LEN: usize = 5;
/// The id of the tables.
pub const ID: [u8; 16] = [9; 16];

/// A right table.
#[derive(Debug)]
pub struct Fixture {
    /// The bytes of its file.
    pub bytes: Vec<u8>,
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The bodies of its blocks.
    blocks: Vec<Range<usize>>,
    /// The body of the filter block, and the lines.
    pub filter: (Range<usize>, Range<usize>),
    /// The bodies of the top block and of the index blocks.
    pub indexes: Vec<Range<usize>>,
    /// Where the first fence of each index block and of the top block is.
    pub fences: Vec<usize>,
}

/// The tables that inputs change: a plain one, one with groups and suffixes, and a compressed one.
pub static FIXTURES: LazyLock<[Fixture; 3]> = LazyLock::new(|| {
    let small = BuildOptions { block_bytes: 128, index_block_bytes: 64, ..BuildOptions::default() };
    let grouped = BuildOptions {
        key_layout: KeyLayout::with_suffix(8),
        restarts: Restarts::Every(4),
        ..small
    };
    let compressed = BuildOptions { compression: Compression::Lz4, ..small };
    [small, grouped, compressed]
        .map(|options| Fixture::build(options).expect("the simulated disk is whole"))
});

impl Fixture {
    fn build(options: BuildOptions) -> Result<Self> {
        let disk = SimFs::new();
        let path = Path::new("table");
        let writer = FileWriter::create(&disk, path)?;
        let mut builder = TableBuilder::new(writer, TableId(ID), options)?;
        let key = |number: u32| match options.key_layout.suffix_len() {
            0 => format!("key{:03}", number * 7).into_bytes(),
            _ => [format!("key{:03}", number / 3).as_bytes(), &u64::from(number).to_be_bytes()]
                .concat(),
        };
        let entries: BTreeMap<Vec<u8>, Vec<u8>> =
            (0..24).map(|number| (key(number), vec![b'v'; number as usize])).collect();
        for (key, value) in &entries {
            builder.add(key, value)?;
        }
        builder.finish(&disk)?;
        let bytes = disk.contents(path).unwrap_or_default();
        Ok(Self::describe(bytes, entries))
    }

    /// The table in `bytes`, which has these entries.
    pub fn describe(bytes: Vec<u8>, entries: BTreeMap<Vec<u8>, Vec<u8>>) -> Self {
        let footer = &bytes[bytes.len() - FOOTER_LEN..];
        let directory = handle(&footer[..12]);
        let named = values(&bytes[directory.clone()]);
        let [filter, top] = [0, 1].map(|at| handle(named[at]));
        let mut blocks = vec![directory];
        blocks.extend(named.iter().map(|value| handle(value)));
        let mut indexes = vec![top.clone()];
        for index in below(&bytes[top]) {
            blocks.extend(below(&bytes[index.clone()]));
            blocks.push(index.clone());
            indexes.push(index);
        }
        let fences = indexes.iter().map(|index| first_fence(&bytes, index)).collect();
        let fields = &bytes[filter.clone()];
        let start = number(&fields[8..16]);
        // Filters of kind 5 have lines alone, those of kind 6 have hints as well.
        assert!(matches!(fields[0], 5 | 6), "the builder writes these kinds");
        let stride = 64 * usize::from(fields[0] - 4);
        let lines = start..start + stride * number(&fields[4..8]);
        Self { bytes, entries, blocks, filter: (filter, lines), indexes, fences }
    }

    /// Puts all checksums of `bytes`, a changed copy of the table, right. The blocks are where they are in the table.
    pub fn put_sums_right(&self, bytes: &mut [u8]) {
        if bytes.len() != self.bytes.len() {
            return;
        }
        let (filter, lines) = self.filter.clone();
        let sum = seeded_crc32(seed(lines.start), &bytes[lines]);
        bytes[filter.start + 16..filter.start + 20].copy_from_slice(&sum.to_le_bytes());
        for block in &self.blocks {
            put_sum_right(bytes, block);
        }
        let footer = bytes.len() - FOOTER_LEN;
        let sum = crc32(&bytes[footer..footer + 52]).to_le_bytes();
        bytes[footer + 52..footer + 56].copy_from_slice(&sum);
    }
}

/// Puts the checksum of one block right, whose body is `block`.
pub fn put_sum_right(bytes: &mut [u8], block: &Range<usize>) {
    let sum = seeded_crc32(seed(block.start), &bytes[block.start..=block.end]);
    bytes[block.end + 1..block.end + TRAILER_LEN].copy_from_slice(&sum.to_le_bytes());
}

/// The seed of the checksum of the bytes at `offset`.
pub fn seed(offset: usize) -> u32 {
    let offset = offset as u64;
    crc32(&ID) ^ offset as u32 ^ ((offset >> 32) as u32).rotate_left(16)
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

/// Where the body of a block is that `value` leads to.
fn handle(value: &[u8]) -> Range<usize> {
    let start = number(&value[..8]);
    start..start + number(&value[8..12])
}

/// Where the first fence of the index block at `index` is.
fn first_fence(bytes: &[u8], index: &Range<usize>) -> usize {
    index.start + 16 + number(&bytes[index.start + 2..index.start + 4])
}

/// The bodies of the blocks that an index block leads to.
fn below(index: &[u8]) -> Vec<Range<usize>> {
    let field = |at: usize, width: usize| number(&index[at..at + width]);
    let (head_width, count, first) = (field(0, 1), field(4, 4), field(8, 8));
    let ends_at = 16 + field(2, 2) + head_width * (count.div_ceil(16) + count);
    let end = |at: usize| first + field(ends_at + 4 * at, 4);
    let start = |at: usize| if at == 0 { first } else { end(at - 1) };
    (0..count).map(|at| start(at)..end(at) - TRAILER_LEN).collect()
}

/// The values of the directory, whose restart interval is 1: the last 12 bytes of each group.
fn values(block: &[u8]) -> Vec<&[u8]> {
    let field = |at: usize, width: usize| number(&block[at..at + width]);
    let (head_width, end_width, count) = (field(0, 1), field(1, 1), field(4, 4));
    let ends_at = 12 + field(2, 2) + count * head_width;
    let entries_at = ends_at + count * end_width;
    let end = |at: usize| entries_at + field(ends_at + at * end_width, end_width);
    (0..count).map(|at| &block[end(at) - 12..end(at)]).collect()
}

/// Runs a script.
///
/// # Panics
/// When the invariant is broken.
pub fn run(data: &[u8]) {
    let (&[table, mode, kind], script) = data.split_first_chunk().unwrap_or((&[0; 3], &[]));
    let fixture = &FIXTURES[usize::from(table) % FIXTURES.len()];
    if kind == 0 && !script.is_empty() {
        use_table(script.to_vec(), mode, fixture).ok();
        return;
    }
    let mut bytes = fixture.bytes.clone();
    let place = |low: u8, high: u8, len: usize| usize::from(u16::from_le_bytes([low, high])) % len;
    if kind == 2 {
        for edit in script.as_chunks::<4>().0 {
            let index = &fixture.indexes[usize::from(edit[0]) % fixture.indexes.len()];
            bytes[index.start + place(edit[1], edit[2], index.len())] ^= edit[3];
        }
    } else {
        for edit in script.as_chunks::<3>().0 {
            let at = place(edit[0], edit[1], bytes.len());
            bytes[at] ^= edit[2];
        }
    }
    fixture.put_sums_right(&mut bytes);
    let is_right = bytes == fixture.bytes;
    let has_fences = fixture.fences.iter().all(|fence| bytes[*fence] == fixture.bytes[*fence]);
    let used = use_table(bytes, mode, fixture);
    // With two edits, the head behind the fence can change as well.
    let is_one_edit = script.len() < if kind == 2 { 8 } else { 6 };
    assert!(has_fences || !is_one_edit || used.is_err(), "a wrong fence is refused");
    assert!(!is_right || used.is_ok_and(|is_right| is_right), "a right table gives right answers");
}

/// Does everything with a table. Returns whether all answers are those of `fixture`.
///
/// # Errors
/// The first one of opening, or the last one of the rest.
///
/// # Panics
/// When the code under test does.
pub fn use_table(bytes: Vec<u8>, mode: u8, fixture: &Fixture) -> Result<bool> {
    let disk = SimFs::new();
    let path = Path::new("table");
    disk.set_contents(path, bytes);
    let cache = (mode & 2 == 2).then(|| Arc::new(BlockCache::new(1 << 16)));
    let mode = if mode & 1 == 1 { ReadMode::Positional } else { ReadMode::Mapped };
    let table = Arc::new(Table::open(disk.open(path)?, &ReadOptions { mode, cache })?);
    let gets = look_up(&table, fixture);
    let forward = walk(&table, true);
    let backward = walk(&table, false);
    let merged = walk_merged(&table, fixture);
    drop(table.properties());
    drop(table.named_block("none"));
    table.verify()?;
    let (forward, mut backward, merged) = (forward?, backward?, merged?);
    for key in &forward {
        assert!(table.get(key)?.is_some(), "a look-up finds each key of a table that was verified");
    }
    backward.reverse();
    let expected: Vec<Vec<u8>> = fixture.entries.keys().cloned().collect();
    Ok(gets? && forward == expected && backward == expected && merged == expected)
}

fn look_up(table: &Arc<Table>, fixture: &Fixture) -> Result<bool> {
    let mut outcome = Ok(true);
    for (key, value) in &fixture.entries {
        let (found, version) = (table.get(key), table.get_version_with(key, &mut |_, _| ()));
        match (found, version) {
            (Ok(found), Ok(_)) if found.as_ref() == Some(value) => {}
            (Ok(_), Ok(_)) => outcome = outcome.map(|_| false),
            (Err(error), _) | (_, Err(error)) => outcome = Err(error),
        }
    }
    outcome
}

/// The keys of a walk in one direction.
fn walk(table: &Arc<Table>, is_forward: bool) -> Result<Vec<Vec<u8>>> {
    walk_with(table.scan((Bound::Unbounded, Bound::Unbounded))?, is_forward)
}

/// The keys of a forward walk over the first part of the table, the rest of it, and all of it, merged.
fn walk_merged(table: &Arc<Table>, fixture: &Fixture) -> Result<Vec<Vec<u8>>> {
    let middle = fixture.entries.keys().nth(fixture.entries.len() / 2);
    let middle = middle.map_or(&[][..], |key| key);
    let parts = [
        (Bound::Unbounded, Bound::Excluded(middle)),
        (Bound::Included(middle), Bound::Unbounded),
        (Bound::Unbounded, Bound::Unbounded),
    ];
    if table.key_layout().split(middle).is_none() {
        // A forged footer that states longer suffixes than the keys are.
        return Ok(Vec::new());
    }
    let sources = parts.map(|bounds| table.scan(bounds));
    let sources = sources.into_iter().collect::<Result<_>>()?;
    walk_with(MergingCursor::new(table.key_layout(), sources), true)
}

/// The keys of a walk in one direction, which turns around now and then.
fn walk_with<C: Cursor>(mut cursor: C, is_forward: bool) -> Result<Vec<Vec<u8>>> {
    let mut keys = Vec::new();
    let step = |cursor: &mut C, ahead: bool| {
        if ahead == is_forward { cursor.next() } else { cursor.prev() }
    };
    // A forged table may lead to the same block many times.
    while keys.len() < 10_000 && step(&mut cursor, true)? {
        keys.push(cursor.entry()?.0.to_vec());
        if keys.len() % 5 == 0 && step(&mut cursor, false)? {
            step(&mut cursor, true)?;
        }
    }
    Ok(keys)
}
