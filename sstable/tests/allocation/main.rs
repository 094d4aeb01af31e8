//! How much memory reading takes: no field of a forged table makes a reader ask for more than the file could fill, and a walk
//! takes as much whatever the length of the table.
//!
//! The allocator of this test binary, [`watched`], watches each thread.

#[expect(unreachable_pub, reason = "it is public where it is fuzzed")]
#[expect(dead_code, reason = "this test runs no scripts")]
#[path = "../../../fuzz/src/table.rs"]
mod table;
#[path = "../../../torture/tests/allocation/watched.rs"]
mod watched;

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use durable::{FileWriter, Fs, SimFs};
use kv::{Cursor, Result};
use sstable::{BuildOptions, KeyLayout, MergingCursor, ReadOptions, Table, TableBuilder, TableId};

/// Runs `act`, and returns the largest request and the most memory that it held.
fn watch(act: impl FnOnce()) -> (usize, usize) {
    watched::forget();
    act();
    watched::largest_and_most()
}

#[test]
fn a_forged_table_makes_no_request_above_what_its_file_could_fill() {
    let (largest, most) = watch(|| drop(vec![0_u8; 3 << 20]));
    assert!(largest == 3 << 20 && most >= 3 << 20, "the watch works");
    for fixture in &*table::FIXTURES {
        // Compressed bytes stand for at most 255 times as many; the cache and the errors take the rest.
        let limit = 255 * fixture.bytes.len() + (64 << 10);
        for at in 0..fixture.bytes.len() {
            for xor in [0x40, 0x80, 0xff] {
                let mut bytes = fixture.bytes.clone();
                bytes[at] ^= xor;
                fixture.put_sums_right(&mut bytes);
                let (largest, _) = watch(|| drop(table::use_table(bytes, (at % 4) as u8, fixture)));
                assert!(largest <= limit, "{largest} bytes for a changed byte at {at}");
            }
        }
    }
}

/// A table of the numbers below `count` that leave `part` when they are divided by `parts`.
fn build(count: u32, part: u32, parts: u32) -> Result<Arc<Table>> {
    let disk = SimFs::new();
    let path = Path::new("table");
    let writer = FileWriter::create(&disk, path)?;
    let mut builder = TableBuilder::new(writer, TableId([1; 16]), BuildOptions::default())?;
    for number in (part..count).step_by(parts as usize) {
        builder.add(&number.to_be_bytes(), &[7; 100])?;
    }
    builder.finish(&disk)?;
    Table::open(disk.open(path)?, &ReadOptions::default()).map(Arc::new)
}

/// The memory that a walk over `count` entries in `parts` tables takes.
fn memory_of_a_walk(count: u32, parts: u32) -> Result<usize> {
    let tables = (0..parts).map(|part| build(count, part, parts)).collect::<Result<Vec<_>>>()?;
    let mut walked = Ok(0);
    let (_, most) = watch(|| walked = walk(&tables));
    assert_eq!(walked?, count, "the walk shows every entry");
    Ok(most)
}

fn walk(tables: &[Arc<Table>]) -> Result<u32> {
    let cursors = tables.iter().map(|table| table.scan((Bound::Unbounded, Bound::Unbounded)));
    let mut cursor = MergingCursor::new(KeyLayout::PLAIN, cursors.collect::<Result<_>>()?);
    let mut seen = 0;
    while cursor.next()? {
        seen += u32::from(cursor.entry()?.1.len() == 100);
    }
    Ok(seen)
}

#[test]
fn the_memory_of_a_walk_does_not_depend_on_the_length_of_the_tables() {
    for parts in [1, 8] {
        let [few, many] = [1_000, 100_000].map(|count| memory_of_a_walk(count, parts).unwrap());
        let spare = 256 * parts as usize;
        assert!(
            few > 0 && many <= few + spare,
            "{few} bytes for short tables, {many} for long ones"
        );
    }
}
