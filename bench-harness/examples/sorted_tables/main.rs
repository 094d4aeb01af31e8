//! Compares sorted tables with LMDB, and a merge of eight of them with RocksDB, in one process and in turns.
//!
//! ```sh
//! cargo run --release -p bench-harness --features peers --example sorted_tables
//! cargo run --release -p bench-harness --features peer-rocksdb --example sorted_tables
//! ```
//!
//! Two million entries with values of 100 bytes, in memory: every page was read before anything is measured. Arguments choose:
//! a number of entries, shapes of keys (`hashed`, `user`, `padded`), and comparisons (`build`, `get`, `scan`, `merge`).
//!
//! Times are wall times of one thread, in nanoseconds an entry. The two sides of a comparison take turns of less than a millisecond,
//! so a noisy machine slows both of them. The ratio is the median of the ratios of all turns, in brackets with the quarters
//! beside it. Below 1, the table is faster.

#![expect(clippy::print_stdout, reason = "this program prints its results")]

mod data;
mod lmdb;
#[cfg(feature = "peer-rocksdb")]
mod rocks;
mod tables;
mod turns;

use std::path::Path;
use std::sync::Arc;

use kv::Direction::{Backward, Forward};
use sstable::Table;

use data::Data;
use lmdb::Lmdb;
use turns::{Comparison, in_turns};

const ENTRIES: u32 = 2_000_000;
const SHAPES: [&str; 3] = ["hashed", "user", "padded"];
const COMPARISONS: [&str; 4] = ["build", "get", "scan", "merge"];
/// The tables of a merge.
const SOURCES: usize = 8;
/// Look-ups and steps of a turn.
const GETS: usize = 2_000;
const STEPS: usize = 10_000;
const TURNS: usize = 600;
const BUILDS: usize = 7;

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
    println!("{:<8}{:<40}{:>8}{:>8}  ratio", "keys", "", "table", "other");
    for shape in chosen(&SHAPES, &words) {
        let folder = tempfile::Builder::new().tempdir_in(".").expect("a directory for the files");
        let data = Data::new(shape.parse().expect("a shape of keys"), entries);
        compare(shape, &data, folder.path(), &comparisons);
    }
}

/// Those of `all` that are among the words; all of them if none is.
fn chosen<'w>(all: &[&'w str], words: &[String]) -> Vec<&'w str> {
    let named: Vec<&str> =
        all.iter().copied().filter(|name| words.iter().any(|word| word == name)).collect();
    if named.is_empty() { all.to_vec() } else { named }
}

fn compare(shape: &str, data: &Data, folder: &Path, comparisons: &[&str]) {
    let show = |what: &str, compared: Comparison| println!("{shape:<8}{what:<40}{compared}");
    let table = tables::build(folder, "table", &data.keys).0;
    if comparisons.contains(&"build") {
        let bytes = table.len_bytes() as f64 / data.len_bytes() as f64;
        println!("{shape:<8}{:<58}{bytes:.4}", "bytes of the file, of keys and values");
        show("build, the same bytes into a file", compare_builds(data, folder));
    }
    if comparisons.contains(&"get") || comparisons.contains(&"scan") {
        let lmdb = Lmdb::load(&folder.join("lmdb"), &data.keys);
        compare_with_lmdb(data, &table, &lmdb, comparisons, &show);
    }
    if comparisons.contains(&"merge") {
        let parts = tables::build_parts(folder, &data.keys, SOURCES);
        compare_with_scan(&table, &parts, &show);
        #[cfg(feature = "peer-rocksdb")]
        compare_with_rocksdb(data, &parts, folder, &show);
    }
}

/// Building a table with the sync at its end, and writing a file of that length with its sync.
fn compare_builds(data: &Data, folder: &Path) -> Comparison {
    let (table, _) = tables::build(folder, "built", &data.keys);
    let len = table.len_bytes();
    drop(table);
    let ours = || {
        std::fs::remove_file(folder.join("built")).expect("the file before");
        tables::build(folder, "built", &data.keys).1
    };
    let other = || tables::write_file(&folder.join("written"), len);
    Comparison::of(BUILDS, data.keys.len(), ours, other)
}

fn compare_with_lmdb(
    data: &Data,
    table: &Arc<Table>,
    lmdb: &Lmdb,
    comparisons: &[&str],
    show: &impl Fn(&str, Comparison),
) {
    let view = lmdb.view();
    // Both are read once before anything is measured.
    drop(tables::walk(|| tables::scan(table), Forward));
    drop(view.scan());
    if comparisons.contains(&"get") {
        for (what, keys, is_there) in
            [("get, LMDB", &data.shuffled, true), ("miss, LMDB", &data.absent, false)]
        {
            let ours = tables::look_up(table, keys, is_there);
            show(what, in_turns(TURNS, GETS, ours, view.look_up(keys, is_there)));
        }
    }
    if comparisons.contains(&"scan") {
        let ours = tables::walk(|| tables::scan(table), Forward);
        show("scan, LMDB", in_turns(TURNS, STEPS, ours, view.scan()));
        let ours = tables::walk(|| tables::scan(table), Backward);
        show("scan back, LMDB", in_turns(TURNS, STEPS, ours, view.scan_back()));
    }
}

/// A merge of eight tables, and a scan of one table with the same entries.
fn compare_with_scan(table: &Arc<Table>, parts: &[Arc<Table>], show: &impl Fn(&str, Comparison)) {
    for (direction, way) in [(Forward, ""), (Backward, " back")] {
        let ours = tables::walk(|| tables::merge(parts), direction);
        let other = tables::walk(|| tables::scan(table), direction);
        show(&format!("merge of 8{way}, a table's scan"), in_turns(TURNS, STEPS, ours, other));
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
    for is_compacted in [false, true] {
        if is_compacted {
            rocks::compact(&database);
        }
        let state = if is_compacted { "compacted" } else { "with 8 files" };
        for (direction, way) in [(Forward, ""), (Backward, " back")] {
            let ours = tables::walk(|| tables::merge(parts), direction);
            let compared = in_turns(TURNS, STEPS, ours, rocks::walk(&database, direction));
            show(&format!("merge of 8{way}, RocksDB {state}"), compared);
        }
    }
}
