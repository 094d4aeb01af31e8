//! The side of the tables.

use std::fs::File;
use std::hint::black_box;
use std::io::Write as _;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use durable::{FileWriter, Fs as _, OsFs};
use kv::{Cursor, Direction};
use sstable::{
    BuildOptions, KeyLayout, MergingCursor, ReadOptions, Table, TableBuilder, TableCursor, TableId,
};

use crate::data::{Keys, mix, value};

/// Builds the table `name`. Returns it with the time that it took until it was durable.
pub(crate) fn build(folder: &Path, name: &str, keys: &Keys) -> (Arc<Table>, Duration) {
    let fs = OsFs::default();
    let (path, value) = (folder.join(name), value());
    let started = Instant::now();
    let writer = FileWriter::create(&fs, &path).expect("a new file");
    let options = BuildOptions::default();
    let mut builder = TableBuilder::new(writer, TableId([1; 16]), options).expect("known options");
    for key in keys.iter() {
        builder.add(key, &value).expect("keys that ascend");
    }
    builder.finish(&fs).expect("a disk that writes");
    let time = started.elapsed();
    let file = fs.open(&path).expect("the file that was written");
    (Arc::new(Table::open(file, &ReadOptions::default()).expect("a table")), time)
}

/// Builds a table for each of `count` random parts of the keys.
pub(crate) fn build_parts(folder: &Path, keys: &Keys, count: usize) -> Vec<Arc<Table>> {
    let part = |part| build(folder, &format!("part-{part}"), &part_of(keys, part, count)).0;
    (0..count).map(part).collect()
}

/// Part `part` of `count` random parts of `keys`.
pub(crate) fn part_of(keys: &Keys, part: usize, count: usize) -> Keys {
    let is_in = |at: usize| mix(at as u64) % count as u64 == part as u64;
    Keys::new(keys.iter().enumerate().filter(|(at, _)| is_in(*at)).map(|(_, key)| key))
}

/// Writes a file of `len` bytes in large pieces, and syncs it. Returns the time.
pub(crate) fn write_file(path: &Path, len: u64) -> Duration {
    let piece: Vec<u8> = (0..2 << 20).map(|at| mix(at) as u8).collect();
    let started = Instant::now();
    let mut file = File::create(path).expect("a new file");
    let mut left = len as usize;
    while left > 0 {
        let written = left.min(piece.len());
        file.write_all(&piece[..written]).expect("a disk that writes");
        left -= written;
    }
    file.sync_all().expect("a disk that syncs");
    let time = started.elapsed();
    std::fs::remove_file(path).expect("the file that was written");
    time
}

/// Looks up one key after the other, each of which is there or is not.
pub(crate) fn look_up(table: &Table, keys: &Keys, is_there: bool) -> impl FnMut() {
    let mut keys = keys.iter().cycle();
    move || {
        let key = keys.next().expect("keys come again and again");
        let found = table.get_with(key, &mut |value| _ = black_box(value[7]));
        assert_eq!(found.expect("a look-up that works"), is_there);
    }
}

pub(crate) fn scan(table: &Arc<Table>) -> TableCursor {
    table.scan((Bound::Unbounded, Bound::Unbounded)).expect("a range in order")
}

pub(crate) fn merge(tables: &[Arc<Table>]) -> MergingCursor<TableCursor> {
    MergingCursor::new(KeyLayout::PLAIN, tables.iter().map(scan).collect())
}

/// Steps of a walk that begins anew at its end. The first walk is over when this returns, so all pages are in memory, and all
/// blocks are checked.
pub(crate) fn walk<C: Cursor>(fresh: impl Fn() -> C, direction: Direction) -> impl FnMut() {
    let step = move |cursor: &mut C| {
        let moved = match direction {
            Direction::Forward => cursor.next(),
            Direction::Backward => cursor.prev(),
        };
        moved.expect("a walk that works")
    };
    let mut cursor = fresh();
    while step(&mut cursor) {
        read(&mut cursor);
    }
    move || {
        if !step(&mut cursor) {
            cursor = fresh();
            assert!(step(&mut cursor), "a table with entries");
        }
        read(&mut cursor);
    }
}

#[inline]
fn read(cursor: &mut impl Cursor) {
    let (key, value) = cursor.entry().expect("an entry that can be read");
    black_box((key[0], value[0]));
}
