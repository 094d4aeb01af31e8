//! The tree of memtables beside a skip list of `crossbeam-skiplist`, in interleaved turns.
//!
//! `cargo run --release -p lsm --example memtable_speed -- [ENTRIES] [TURNS]`, by default 500,000 entries with values of 100
//! bytes, and 5 turns. For each shape of keys: inserts by one thread, in key order and not; gets; walks in both directions;
//! and inserts and gets at the same time, by one writer and four readers. The figures are medians in nanoseconds, and the
//! ratio of the medians.

#![expect(clippy::disallowed_methods, reason = "it measures time, and runs no engine")]
#![expect(clippy::print_stdout, reason = "this program prints its results")]

mod skip_list;
/// Private modules of the crate.
#[expect(dead_code, reason = "the example uses a part of them")]
#[path = "../../src"]
mod source {
    pub(crate) mod entry_tree;
    pub(crate) mod internal_key;
}

use std::hint::black_box;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use kv::Cursor as _;

use skip_list::SkipList;
use source::entry_tree::{EntryCursor, EntryTree};
use source::internal_key;
use source::internal_key::{Kind, Trailer};

const VALUE_BYTES: usize = 100;
const READERS: usize = 4;

#[derive(Clone, Copy)]
enum Direction {
    Forward,
    Backward,
}

/// A memtable of either kind.
trait Measured: Default + Send + Sync + 'static {
    fn insert(&self, user: &[u8], sequence: u64, value: &[u8]);
    fn get(&self, user: &[u8], sequence: u64, found: &mut dyn FnMut(&[u8])) -> bool;
    fn walk(&self, direction: Direction, visit: &mut dyn FnMut(&[u8], &[u8]));
}

#[derive(Default)]
struct Tree(Arc<EntryTree>);

impl Measured for Tree {
    fn insert(&self, user: &[u8], sequence: u64, value: &[u8]) {
        self.0.insert(user, Trailer::new(sequence, Kind::Put), value);
    }

    fn get(&self, user: &[u8], sequence: u64, found: &mut dyn FnMut(&[u8])) -> bool {
        let entry = self.0.find(user, Trailer::seen_at(sequence));
        entry.inspect(|entry| entry.with_value(found)).is_some()
    }

    fn walk(&self, direction: Direction, visit: &mut dyn FnMut(&[u8], &[u8])) {
        let mut cursor =
            EntryCursor::new(Arc::clone(&self.0), (Bound::Unbounded, Bound::Unbounded));
        let step = match direction {
            Direction::Forward => EntryCursor::next,
            Direction::Backward => EntryCursor::prev,
        };
        while step(&mut cursor).expect("a walk in memory does not fail") {
            let (key, value) = cursor.entry().expect("a walk in memory does not fail");
            visit(key, value);
        }
    }
}

/// Keys of one shape, in random order.
fn keys(shape: &str, entries: u64) -> Vec<Vec<u8>> {
    // Multiplying by an odd number permutes the numbers of 64 bits.
    let scattered = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut numbers: Vec<u64> = (0..entries).collect();
    numbers.sort_by_key(|&number| scattered(number ^ 0x5bd1_e995));
    let key = |number: u64| match shape {
        "hashed" => [scattered(number).to_be_bytes(), number.to_be_bytes()].concat(),
        "user" => format!("user{}", scattered(number)).into_bytes(),
        _ => format!("{number:016}").into_bytes(),
    };
    numbers.into_iter().map(key).collect()
}

/// The names of the measurements, in order.
const NAMES: [&str; 8] = [
    "insert in key order",
    "insert at random",
    "overwrite",
    "get",
    "walk forward",
    "walk backward",
    "insert beside 4 readers",
    "get beside a writer",
];

/// Nanoseconds for each operation.
fn measure<M: Measured>(keys: &[Vec<u8>]) -> [f64; NAMES.len()] {
    let value = [7; VALUE_BYTES];
    let mut sorted = keys.to_vec();
    sorted.sort();
    let insert_all = |table: &M, keys: &[Vec<u8>], from: u64| {
        timed(keys.len(), || {
            for (key, sequence) in keys.iter().zip(from..) {
                table.insert(key, sequence, &value);
            }
        })
    };
    let in_order = insert_all(&M::default(), &sorted, 1);
    let table = M::default();
    let at_random = insert_all(&table, keys, 1);
    let newest = keys.len() as u64;
    let get = timed(keys.len(), || {
        for key in keys.iter().rev() {
            assert!(table.get(key, newest, &mut look), "it is there");
        }
    });
    let walk = |direction| {
        let mut seen = 0;
        let time = timed(keys.len(), || {
            table.walk(direction, &mut |key, value| seen += usize::from(key.len() < value.len()));
        });
        assert_eq!(seen, keys.len(), "every entry is seen");
        time
    };
    let walks = [walk(Direction::Forward), walk(Direction::Backward)];
    let overwrite = insert_all(&table, keys, newest + 1);
    let [insert_beside, get_beside] = beside_each_other::<M>(keys);
    [in_order, at_random, overwrite, get, walks[0], walks[1], insert_beside, get_beside]
}

/// One thread inserts while others get what is there.
fn beside_each_other<M: Measured>(keys: &[Vec<u8>]) -> [f64; 2] {
    let table = M::default();
    let (visible, gets, nanos) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let mut insert = 0.0;
    thread::scope(|scope| {
        for reader in 0..READERS {
            let (table, visible, gets, nanos) = (&table, &visible, &gets, &nanos);
            scope.spawn(move || {
                let (mut done, mut at) = (0, reader as u64);
                let started = thread_time();
                while visible.load(Ordering::Acquire) < keys.len() as u64 {
                    let newest = visible.load(Ordering::Acquire).max(1);
                    at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let key = &keys[((at >> 32) % newest) as usize];
                    black_box(table.get(key, newest, &mut look));
                    done += 1;
                }
                gets.fetch_add(done, Ordering::Relaxed);
                nanos.fetch_add(thread_time() - started, Ordering::Relaxed);
            });
        }
        let started = thread_time();
        for (key, sequence) in keys.iter().zip(1..) {
            table.insert(key, sequence, &[7; VALUE_BYTES]);
            visible.store(sequence, Ordering::Release);
        }
        insert = (thread_time() - started) as f64 / keys.len() as f64;
    });
    [insert, nanos.into_inner() as f64 / gets.into_inner() as f64]
}

/// The processor time of this thread in nanoseconds: the threads share the processors.
fn thread_time() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or_default()
}

fn timed(operations: usize, run: impl FnOnce()) -> f64 {
    let started = Instant::now();
    run();
    started.elapsed().as_nanos() as f64 / operations as f64
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse().expect("a number"));
    let entries = numbers.next().unwrap_or(500_000);
    let turns = numbers.next().unwrap_or(5);
    println!("{entries} entries, {turns} turns: nanoseconds, skip list : tree");
    for shape in ["hashed", "user", "padded"] {
        let keys = keys(shape, entries);
        let (mut skip_list, mut tree) = (Vec::new(), Vec::new());
        for _ in 0..turns {
            skip_list.push(measure::<SkipList>(&keys));
            tree.push(measure::<Tree>(&keys));
        }
        for (at, name) in NAMES.iter().enumerate() {
            let of = |turns: &[[f64; NAMES.len()]]| median(turns.iter().map(|t| t[at]).collect());
            let (one, other) = (of(&skip_list), of(&tree));
            println!("{shape:8} {name:24} {one:7.0} : {other:6.0} = {:5.2} x", one / other);
        }
    }
}

/// Looks at a value as a caller does.
fn look(value: &[u8]) {
    assert_eq!(black_box(value).len(), VALUE_BYTES, "a value is whole");
}
