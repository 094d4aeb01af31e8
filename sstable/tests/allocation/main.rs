//! How much memory reading takes: no field of a forged table makes a reader ask for more than the file could fill, and a walk
//! takes as much whatever the length of the table.
//!
//! The allocator below watches each thread. It is in a test binary of its own, because it needs `unsafe` and the library
//! has none.
#![expect(unsafe_code, reason = "a global allocator cannot be written without")]

#[expect(unreachable_pub, reason = "it is public where it is fuzzed")]
#[expect(dead_code, reason = "this test runs no scripts")]
#[path = "../../../fuzz/src/table.rs"]
mod table;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use durable::{FileWriter, Fs, SimFs};
use kv::{Cursor, Result};
use sstable::{BuildOptions, KeyLayout, MergingCursor, ReadOptions, Table, TableBuilder, TableId};

thread_local! {
    static WATCH: Cell<Watch> = const { Cell::new(Watch { largest: 0, live: 0, most: 0 }) };
}

/// What a thread has asked for, in bytes.
#[derive(Clone, Copy)]
struct Watch {
    /// The largest request.
    largest: usize,
    /// What it holds now, counted from an arbitrary beginning.
    live: isize,
    /// The most that it held.
    most: isize,
}

/// The system's allocator, watched.
struct Watched;

#[global_allocator]
static WATCHED: Watched = Watched;

fn note(taken: usize, given_back: usize) {
    // The cell is gone while a thread ends; what is allocated then does not matter.
    let _gone = WATCH.try_with(|watch| {
        let mut seen = watch.get();
        seen.largest = seen.largest.max(taken);
        seen.live += taken.cast_signed() - given_back.cast_signed();
        seen.most = seen.most.max(seen.live);
        watch.set(seen);
    });
}

// SAFETY: every call goes to `System` unchanged. Noting a size allocates nothing: the cell is initialised at compile time.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size, layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        note(0, layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(old, layout) }
    }
}

/// Runs `act`, and returns the largest request and the most memory that it held.
fn watch(act: impl FnOnce()) -> (usize, usize) {
    WATCH.set(Watch { largest: 0, live: 0, most: 0 });
    act();
    let watch = WATCH.get();
    (watch.largest, watch.most.cast_unsigned())
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
