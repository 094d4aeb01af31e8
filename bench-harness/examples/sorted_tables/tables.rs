//! The side of the tables.

use std::fs::File;
use std::io::Write as _;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use durable::{FileWriter, Fs as _, OsFs};
use sstable::{
    BuildOptions, KeyLayout, MergingCursor, ReadOptions, Table, TableBuilder, TableCursor, TableId,
    hash_stem,
};

use crate::data::{Keys, belongs, mix, value_of};

/// Builds the table `name` and makes it durable.
pub(crate) fn build(folder: &Path, name: &str, keys: &Keys) {
    let fs = OsFs::default();
    let writer = FileWriter::create(&fs, &folder.join(name)).expect("a new file");
    let options = BuildOptions::default();
    let mut builder = TableBuilder::new(writer, TableId([1; 16]), options).expect("known options");
    for key in keys.iter() {
        builder.add(key, &value_of(key)).expect("keys that ascend");
    }
    builder.finish(&fs).expect("a disk that writes");
}

pub(crate) fn open(folder: &Path, name: &str) -> Arc<Table> {
    let file = OsFs::default().open(&folder.join(name)).expect("the file that was written");
    Arc::new(Table::open(file, &ReadOptions::default()).expect("a table"))
}

/// A table for each of `count` random parts of the keys.
pub(crate) fn build_parts(folder: &Path, keys: &Keys, count: usize) -> Vec<Arc<Table>> {
    let build_part = |part| {
        let name = format!("part-{part}");
        build(folder, &name, &part_of(keys, part, count));
        open(folder, &name)
    };
    (0..count).map(build_part).collect()
}

/// Part `part` of `count` random parts of `keys`.
pub(crate) fn part_of(keys: &Keys, part: usize, count: usize) -> Keys {
    let is_in = |at: usize| mix(at as u64) % count as u64 == part as u64;
    Keys::new(keys.iter().enumerate().filter(|(at, _)| is_in(*at)).map(|(_, key)| key))
}

/// Writes a file of `len` bytes in pieces as long as those of a table, and syncs it: the least that a build can take.
pub(crate) fn write_file(folder: &Path, len: u64) {
    let piece = vec![0x5a; 2 << 20];
    let mut file = File::create(folder.join("written")).expect("a new file");
    let mut left = len as usize;
    while left > 0 {
        let written = left.min(piece.len());
        file.write_all(&piece[..written]).expect("a disk that writes");
        left -= written;
    }
    file.sync_all().expect("a disk that syncs");
}

/// Looks up one key after the other, each of which is there or is not.
pub(crate) fn look_up(table: &Table, keys: &Keys, is_there: bool) -> impl FnMut(usize) {
    let mut turns = keys.turns();
    move |calls| {
        for key in turns.next_turn(calls) {
            let found = table.get_with(key, &mut |value| assert!(belongs(key, value)));
            assert_eq!(found.expect("a look-up that works"), is_there);
        }
    }
}

/// A line of a cache.
pub(crate) type Line = [u64; 8];

/// As many lines as the filter of a table with `entries` entries has, in memory.
pub(crate) fn lines_of_filter(entries: usize) -> Vec<Line> {
    let bits = usize::from(BuildOptions::default().filter_bits_per_stem) * entries;
    vec![[1; 8]; bits.div_ceil(8 * size_of::<Line>())]
}

/// Reads one word for each key, from a line that its hash chooses: the least that asking a filter costs.
pub(crate) fn read_lines(lines: &[Line], keys: &Keys) -> impl FnMut(usize) {
    let mut turns = keys.turns();
    move |calls| {
        for key in turns.next_turn(calls) {
            let hash = hash_stem(key);
            let line = (u128::from(hash) * lines.len() as u128) >> 64;
            assert_eq!(lines[line as usize][hash as usize % 8], 1);
        }
    }
}

pub(crate) fn scan(table: &Arc<Table>) -> TableCursor {
    table.scan((Bound::Unbounded, Bound::Unbounded)).expect("a range in order")
}

pub(crate) fn merge(tables: &[Arc<Table>]) -> MergingCursor<TableCursor> {
    MergingCursor::new(KeyLayout::PLAIN, tables.iter().map(scan).collect())
}
