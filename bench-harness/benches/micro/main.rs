//! `cargo bench`: single operations, engines side by side. Group = operation, function = engine, parameter = records.
//!
//! These numbers have no verification and no amplification; `kvbench` has. What they are good for is a quick answer to
//! "did this change make `get` slower?". The whole takes a few minutes; the estimates also go to
//! `results/<UTC>-criterion/micro.csv`.

mod export;

use std::hint::black_box;
use std::ops::Bound;
use std::time::{Duration, Instant, SystemTime};

use bench_harness::{EngineConfig, KeyShape, Registration, own_engines};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};
use kv::{Durability, KeyRange, Kv, WriteBatch};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use tempfile::TempDir;

/// Entries that the read groups find in each engine.
const RECORDS: u32 = 100_000;
/// Puts of one iteration of `micro-put`, each iteration on a fresh store: a free number of iterations would make some
/// engines' stores larger than others'.
const PUTS: u32 = 10_000;
const VALUE_BYTES: usize = 100;
const SCAN_LENGTH: usize = 100;
const CONFIG: EngineConfig = EngineConfig {
    memory_budget_bytes: 64 << 20,
    durability: Durability::Buffered,
    value_bytes: VALUE_BYTES as u64,
    limit_memory_bytes: None,
};

/// An engine with its records; the directory goes when it goes.
struct Loaded {
    name: &'static str,
    engine: Box<dyn Kv>,
    _directory: TempDir,
}

fn main() {
    let started = SystemTime::now();
    let mut criterion = Criterion::default().configure_from_args();
    let engines: Vec<_> = own_engines().iter().map(load).collect();
    bench_get(&mut criterion, "micro-get-hit", &engines, &shuffled(keys(0..RECORDS)));
    bench_get(&mut criterion, "micro-get-miss", &engines, &keys(RECORDS..2 * RECORDS));
    bench_scan(&mut criterion, &engines);
    drop(engines);
    bench_put(&mut criterion);
    criterion.final_summary();
    if std::env::args().any(|argument| argument == "--bench") {
        export::export(started);
    }
}

/// Short measurements with an interval of their own; `nresamples` keeps the analysis shorter than the measuring.
fn group<'c>(criterion: &'c mut Criterion, name: &str) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
        .nresamples(10_000)
        .noise_threshold(0.05);
    group
}

fn bench_get(criterion: &mut Criterion, name: &str, engines: &[Loaded], keys: &[Vec<u8>]) {
    let mut group = group(criterion, name);
    group.throughput(Throughput::Elements(1));
    for loaded in engines {
        group.bench_function(BenchmarkId::new(loaded.name, RECORDS), |bencher| {
            let mut keys = keys.iter().cycle();
            let mut value = Vec::new();
            bencher.iter(|| {
                let key = keys.next().expect("there are keys");
                let copy = &mut |found: &[u8]| {
                    value.clear();
                    value.extend_from_slice(found);
                };
                black_box(loaded.engine.get_with(key, copy).expect("a get that works"))
            });
        });
    }
    group.finish();
}

fn bench_scan(criterion: &mut Criterion, engines: &[Loaded]) {
    let mut group = group(criterion, "micro-scan-100");
    group.throughput(Throughput::Elements(SCAN_LENGTH as u64));
    let keys = shuffled(keys(0..RECORDS));
    for loaded in engines {
        group.bench_function(BenchmarkId::new(loaded.name, RECORDS), |bencher| {
            let mut keys = keys.iter().cycle();
            bencher.iter(|| scan(loaded.engine.as_ref(), keys.next().expect("there are keys")));
        });
    }
    group.finish();
}

fn scan(engine: &dyn Kv, from: &[u8]) -> usize {
    let range = KeyRange::new((Bound::Included(from), Bound::Unbounded));
    let mut cursor = engine.scan(range).expect("a scan that works");
    let mut bytes = 0;
    for _ in 0..SCAN_LENGTH {
        if !cursor.next().expect("a scan that works") {
            break;
        }
        let (key, value) = cursor.entry().expect("a scan that works");
        bytes += black_box(key).len() + black_box(value).len();
    }
    bytes
}

fn bench_put(criterion: &mut Criterion) {
    let mut group = group(criterion, "micro-put");
    group.throughput(Throughput::Elements(u64::from(PUTS)));
    let keys = keys(0..PUTS);
    for registration in own_engines() {
        group.bench_function(BenchmarkId::new(registration.name, PUTS), |bencher| {
            bencher.iter_custom(|iterations| {
                (0..iterations).map(|_| time_of_puts(&registration, &keys)).sum()
            });
        });
    }
    group.finish();
}

/// The time of putting `keys` into a fresh store; opening and closing are not part of it.
fn time_of_puts(registration: &Registration, keys: &[Vec<u8>]) -> Duration {
    let directory = tempfile::tempdir().expect("a directory for the engine");
    let engine = (registration.open)(directory.path(), CONFIG).expect("an engine that opens");
    let start = Instant::now();
    put_all(engine.as_ref(), keys);
    let time = start.elapsed();
    engine.close().expect("an engine that closes");
    time
}

fn load(registration: &Registration) -> Loaded {
    let directory = tempfile::tempdir().expect("a directory for the engine");
    let engine = (registration.open)(directory.path(), CONFIG).expect("an engine that opens");
    put_all(engine.as_ref(), &keys(0..RECORDS));
    engine.sync().expect("a sync that works");
    Loaded { name: registration.name, engine, _directory: directory }
}

fn put_all(engine: &dyn Kv, keys: &[Vec<u8>]) {
    let value = [0x5a; VALUE_BYTES];
    let mut batch = WriteBatch::new();
    for key in keys {
        batch.clear();
        batch.put(key, &value);
        engine.write(&batch, Durability::Buffered).expect("a put that works");
    }
}

/// Hashed keys: their order by id is no order of theirs.
fn keys(ids: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    let key = |id| {
        let mut key = Vec::new();
        KeyShape::Hashed.write_key(id, &mut key);
        key
    };
    ids.map(key).collect()
}

/// The keys far from the order in which they were put: an engine that keeps that order on disk must not read ahead.
fn shuffled(mut keys: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    for at in (1..keys.len()).rev() {
        keys.swap(at, (random.next_u64() % (at as u64 + 1)) as usize);
    }
    keys
}
