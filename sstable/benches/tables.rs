//! `cargo bench -p sstable`: single operations on tables of half a million entries, from the page cache. Group = operation,
//! parameter = shape of the keys.
//!
//! They answer "did this change make a scan slower?". The example `sorted_tables` of `bench-harness` compares larger tables
//! with LMDB and RocksDB.

use std::hint::black_box;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, SamplingMode, Throughput};
use durable::{FileWriter, Fs, OsFs};
use kv::Cursor;
use sstable::{
    BuildOptions, KeyLayout, MergingCursor, ReadOptions, Table, TableBuilder, TableCursor, TableId,
};
use tempfile::TempDir;

const ENTRIES: u64 = 500_000;
const VALUE_BYTES: usize = 100;
/// The sources of a merge.
const SOURCES: u64 = 8;
const ALL: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Unbounded, Bound::Unbounded);

/// Makes the key of a number.
type Shape = fn(u64) -> Vec<u8>;

const SHAPES: [(&str, Shape); 3] = [
    ("hashed", |number| [mix(number).to_be_bytes(), number.to_be_bytes()].concat()),
    ("user", |number| format!("user{}", mix(number)).into_bytes()),
    ("padded", |number| format!("{number:016}").into_bytes()),
];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for (shape, key_of) in SHAPES {
        let [present, absent] = [0, 1].map(|odd| shuffled(|number| key_of(2 * number + odd)));
        let mut keys = present.clone();
        keys.sort_unstable();
        let [keys, present, absent] = [keys, present, absent].map(Keys::new);
        let folder = folder();
        let table = build(folder.path(), "table", &keys);
        bench_look_up(&mut criterion, "get", shape, &table, &present);
        bench_look_up(&mut criterion, "miss", shape, &table, &absent);
        bench_walks(&mut criterion, shape, &table);
        bench_merge(&mut criterion, shape, &keys);
        bench_build(&mut criterion, shape, &keys);
    }
    criterion.final_summary();
}

/// Keys that lie side by side, so that reading them misses no cache.
struct Keys {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Keys {
    fn new(keys: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let (mut bytes, mut ends) = (Vec::new(), vec![0]);
        for key in keys {
            bytes.extend_from_slice(&key);
            ends.push(bytes.len());
        }
        Self { bytes, ends }
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.ends.windows(2).map(|ends| &self.bytes[ends[0]..ends[1]])
    }
}

/// Short measurements; `nresamples` keeps the analysis shorter than the measuring.
fn group<'c>(
    criterion: &'c mut Criterion,
    name: &str,
    throughput: Throughput,
) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1500))
        .nresamples(10_000)
        .noise_threshold(0.05)
        .throughput(throughput);
    group
}

/// Measures look-ups of keys that are there, or that are not and lie between those that are.
fn bench_look_up(
    criterion: &mut Criterion,
    name: &str,
    shape: &str,
    table: &Arc<Table>,
    sought: &Keys,
) {
    let mut keys = sought.iter().cycle();
    group(criterion, name, Throughput::Elements(1)).bench_function(shape, |bencher| {
        bencher.iter(|| {
            let key = keys.next().expect("keys come again and again");
            let found = table.get_with(key, &mut |value| _ = black_box(value[0]));
            assert_eq!(found.expect("a look-up that works"), name == "get");
        });
    });
}

fn bench_walks(criterion: &mut Criterion, shape: &str, table: &Arc<Table>) {
    let scan = || table.scan(ALL).expect("a range in order");
    bench_walk(criterion, "scan", shape, scan, TableCursor::next);
    bench_walk(criterion, "back", shape, scan, TableCursor::prev);
}

fn bench_merge(criterion: &mut Criterion, shape: &str, keys: &Keys) {
    let folder = folder();
    let part = |source: u64| {
        let keys = keys.iter().enumerate().filter(|(at, _)| mix(*at as u64) % SOURCES == source);
        let keys = Keys::new(keys.map(|(_, key)| key.to_vec()));
        build(folder.path(), &source.to_string(), &keys)
    };
    let tables: Vec<Arc<Table>> = (0..SOURCES).map(part).collect();
    let scan = || {
        let scans = tables.iter().map(|table| table.scan(ALL).expect("a range in order"));
        MergingCursor::new(KeyLayout::PLAIN, scans.collect())
    };
    bench_walk(criterion, "merge-8", shape, scan, MergingCursor::next);
    bench_walk(criterion, "merge-8-back", shape, scan, MergingCursor::prev);
}

/// Measures a step of a cursor that begins anew at its end.
fn bench_walk<C: Cursor>(
    criterion: &mut Criterion,
    name: &str,
    shape: &str,
    fresh: impl Fn() -> C,
    step: impl Fn(&mut C) -> kv::Result<bool>,
) {
    let mut cursor = fresh();
    while step(&mut cursor).expect("a walk that works") {
        // The first walk checks every block.
    }
    group(criterion, name, Throughput::Elements(1)).bench_function(shape, |bencher| {
        bencher.iter(|| {
            if !step(&mut cursor).expect("a walk that works") {
                cursor = fresh();
                assert!(step(&mut cursor).expect("a walk that works"), "a table with entries");
            }
            let (key, value) = cursor.entry().expect("an entry that can be read");
            black_box((key[0], value[0]))
        });
    });
}

/// Building with the sync at its end, in bytes of keys and values.
fn bench_build(criterion: &mut Criterion, shape: &str, keys: &Keys) {
    let bytes = keys.bytes.len() as u64 + ENTRIES * VALUE_BYTES as u64;
    group(criterion, "build", Throughput::Bytes(bytes)).bench_function(shape, |bencher| {
        let build = |folder: TempDir| {
            build(folder.path(), "table", keys);
            folder
        };
        bencher.iter_batched(folder, build, BatchSize::PerIteration);
    });
}

fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory for tables")
}

fn build(folder: &Path, name: &str, keys: &Keys) -> Arc<Table> {
    let fs = OsFs::default();
    let path = folder.join(name);
    let value: Vec<u8> = (0..VALUE_BYTES as u64).map(|at| mix(at) as u8).collect();
    let writer = FileWriter::create(&fs, &path).expect("a new file");
    let mut builder = TableBuilder::new(writer, TableId([1; 16]), BuildOptions::default())
        .expect("options that this build knows");
    for key in keys.iter() {
        builder.add(key, &value).expect("keys that ascend");
    }
    builder.finish(&fs).expect("a disk that writes");
    let file = fs.open(&path).expect("the file that was written");
    Arc::new(Table::open(file, &ReadOptions::default()).expect("a table"))
}

/// The key of every number, in an order that looks random.
fn shuffled(key_of: impl Fn(u64) -> Vec<u8>) -> Vec<Vec<u8>> {
    let mut numbers: Vec<u64> = (0..ENTRIES).collect();
    numbers.sort_unstable_by_key(|number| mix(!number));
    numbers.into_iter().map(key_of).collect()
}

/// A number that looks random, another one for each number (`SplitMix64`).
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}
