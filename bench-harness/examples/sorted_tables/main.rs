//! Compares sorted tables with LMDB, and a merge of eight of them with RocksDB, in one process and in turns.
//!
//! ```sh
//! cargo run --release -p bench-harness --features peers --example sorted_tables
//! cargo run --release -p bench-harness --features peer-rocksdb --example sorted_tables
//! ```
//!
//! Arguments choose: a number of entries, shapes of keys (`hashed`, `user`, `padded`), and comparisons (`build`, `get`, `scan`,
//! `merge`). The default is two million entries with values of 100 bytes, and everything.
//!
//! - All pages are in memory: each side walks over its entries once before a measurement. That walk compares every key and
//!   every value, and each look-up compares a part of the value with its key.
//! - Times are nanoseconds an entry, of one thread: wall time first, and behind it the processor time of that thread.
//! - The two sides of a comparison take turns of about a millisecond, or a few, so a noisy machine slows both of them.
//! - A ratio is the median of the ratios of all turns, with the quartiles in brackets. Below 1, the table is faster.

#![expect(clippy::print_stdout, reason = "this program prints its results")]

mod data;
mod lmdb;
#[cfg(feature = "peer-rocksdb")]
mod rocks;
mod tables;
mod turns;
mod walk;

use std::path::Path;
use std::sync::Arc;

use kv::Direction::{Backward, Forward};
use sstable::Table;
use tempfile::TempDir;

use data::Data;
use lmdb::Lmdb;
use turns::{Comparison, Time};
use walk::steps;

const ENTRIES: u32 = 2_000_000;
const SHAPES: [&str; 3] = ["hashed", "user", "padded"];
const COMPARISONS: [&str; 4] = ["build", "get", "scan", "merge"];
/// The tables of a merge.
const SOURCES: usize = 8;
/// Steps or look-ups of a turn: the cheapest ones take about a millisecond, so that what the other side left in the caches of
/// the processor matters little.
const CALLS: usize = 10_000;
/// Three million calls: each entry is met at least once.
const TURNS: usize = 300;
const BUILDS: usize = 5;
/// A file system in memory, where a sync takes no time.
const MEMORY: &str = "/dev/shm";

fn main() {
    let mut entries = ENTRIES;
    let mut words = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.parse() {
            Ok(number) => entries = number,
            Err(_) => words.push(argument),
        }
    }
    let known = |word: &String| [&SHAPES[..], &COMPARISONS].concat().contains(&word.as_str());
    assert!(words.iter().all(known), "{SHAPES:?} and {COMPARISONS:?} can be chosen");
    let comparisons = chosen(&COMPARISONS, &words);
    println!("{:<42}{:<34}processor, ns an entry", "", "wall, ns an entry");
    let head = format!("{:>8}{:>8}  {:<18}", "table", "other", "ratio");
    println!("{:<8}{:<32}{head}{head}", "keys", "");
    for shape in chosen(&SHAPES, &words) {
        let folder = folder_in(".");
        let data = Data::new(shape.parse().expect("a shape of keys"), entries);
        compare(shape, &data, folder.path(), &comparisons);
    }
}

fn folder_in(place: &str) -> TempDir {
    tempfile::Builder::new().tempdir_in(place).expect("a directory for the files")
}

/// Those of `all` that are among the words; all of them if none is.
fn chosen<'w>(all: &[&'w str], words: &[String]) -> Vec<&'w str> {
    let named: Vec<&str> =
        all.iter().copied().filter(|name| words.iter().any(|word| word == name)).collect();
    if named.is_empty() { all.to_vec() } else { named }
}

fn compare(shape: &str, data: &Data, folder: &Path, comparisons: &[&str]) {
    let show = |what: &str, compared: Comparison| println!("{shape:<8}{what:<32}{compared}");
    tables::build(folder, "table", &data.keys);
    let table = tables::open(folder, "table");
    if comparisons.contains(&"build") {
        let entry_bytes = data.len_bytes() as f64 / data.keys.len() as f64;
        let share = table.len_bytes() as f64 / data.len_bytes() as f64;
        println!(
            "{shape:<8}entries of {entry_bytes:.1} bytes; the table takes {share:.3} times as many"
        );
        show("build, a written file", compare_builds(data, folder, table.len_bytes()));
        let memory = folder_in(MEMORY);
        let compared = compare_builds(data, memory.path(), table.len_bytes());
        show("build in memory, a written file", compared);
    }
    if comparisons.contains(&"get") || comparisons.contains(&"scan") {
        let lmdb = Lmdb::load(&folder.join("lmdb"), &data.keys);
        compare_with_lmdb(data, &table, &lmdb.view(), comparisons, &show);
    }
    if comparisons.contains(&"merge") {
        let parts = tables::build_parts(folder, &data.keys, SOURCES);
        compare_with_scan(data, &table, &parts, &show);
        #[cfg(feature = "peer-rocksdb")]
        compare_with_rocksdb(data, &parts, folder, &show);
    }
}

/// Building a table with the sync at its end, and writing a file of its length with a sync.
fn compare_builds(data: &Data, folder: &Path, len: u64) -> Comparison {
    let remove = |name| {
        let path = folder.join(name);
        if path.exists() {
            std::fs::remove_file(path).expect("the file of the turn before");
        }
    };
    let ours = || {
        remove("built");
        Time::of(|| tables::build(folder, "built", &data.keys))
    };
    let other = || {
        remove("written");
        Time::of(|| tables::write_file(folder, len))
    };
    Comparison::of(BUILDS, data.keys.len(), ours, other)
}

fn compare_with_lmdb(
    data: &Data,
    table: &Arc<Table>,
    lmdb: &lmdb::View<'_>,
    comparisons: &[&str],
    show: &impl Fn(&str, Comparison),
) {
    // The first walk of both sides happens in any case: look-ups need checked blocks and loaded pages as well.
    let keys = &data.keys;
    let ours = steps(|| tables::scan(table), keys, Forward);
    let other = lmdb.scan(keys);
    if comparisons.contains(&"scan") {
        show("scan, LMDB", Comparison::of_calls(TURNS, CALLS, ours, other));
        let ours = steps(|| tables::scan(table), keys, Backward);
        let other = lmdb.scan_back(keys);
        show("scan back, LMDB", Comparison::of_calls(TURNS, CALLS, ours, other));
    }
    if comparisons.contains(&"get") {
        let look_ups = [("get, LMDB", &data.shuffled, true), ("miss, LMDB", &data.absent, false)];
        for (what, keys, is_there) in look_ups {
            let ours = tables::look_up(table, keys, is_there);
            let other = lmdb.look_up(keys, is_there);
            show(what, Comparison::of_calls(TURNS, CALLS, ours, other));
        }
        // What a miss would cost if it read one word of a filter, and did nothing else.
        let lines = tables::lines_of_filter(keys.len());
        let ours = tables::read_lines(&lines, &data.absent);
        let other = lmdb.look_up(&data.absent, false);
        show("a line of memory, LMDB's miss", Comparison::of_calls(TURNS, CALLS, ours, other));
    }
}

/// A merge of eight tables, and a scan of one table with the same entries.
fn compare_with_scan(
    data: &Data,
    table: &Arc<Table>,
    parts: &[Arc<Table>],
    show: &impl Fn(&str, Comparison),
) {
    let directions = [(Forward, "merge of 8, one table"), (Backward, "merge of 8 back, one table")];
    for (direction, what) in directions {
        let ours = steps(|| tables::merge(parts), &data.keys, direction);
        let other = steps(|| tables::scan(table), &data.keys, direction);
        show(what, Comparison::of_calls(TURNS, CALLS, ours, other));
    }
}

/// A merge of eight tables, and a scan of RocksDB: over the same eight files, and over all entries in one level.
#[cfg(feature = "peer-rocksdb")]
fn compare_with_rocksdb(
    data: &Data,
    parts: &[Arc<Table>],
    folder: &Path,
    show: &impl Fn(&str, Comparison),
) {
    let database = rocks::load(&folder.join("rocks"), &data.keys, SOURCES);
    for state in ["8 files", "1 level"] {
        if state == "1 level" {
            rocks::compact(&database);
        }
        for (direction, way) in [(Forward, ""), (Backward, " back")] {
            let ours = steps(|| tables::merge(parts), &data.keys, direction);
            let other = rocks::steps(&database, &data.keys, direction);
            let compared = Comparison::of_calls(TURNS, CALLS, ours, other);
            show(&format!("merge of 8{way}, RocksDB {state}"), compared);
        }
    }
}
