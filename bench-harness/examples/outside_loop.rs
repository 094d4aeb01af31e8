//! A loop of a hundred lines that measures Bitcask without the harness: does `kvbench` say what a user would get?
//!
//! ```sh
//! cargo run --release -p bench-harness --example outside_loop
//! cargo run --release -- run -e bitcask -w fillrandom,readrandom,overwrite,fillbatch --key hashed -d 2s
//! ```
//!
//! Both work on a million keys of 16 bytes with values of 100 bytes, one thread, class `buffered`, in wall time. Both run each
//! phase in a fresh process: the heap of a process that has filled a store before has its pages already.

#![expect(clippy::print_stdout, reason = "this program prints its results")]

use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use bitcask::{Bitcask, Options};
use kv::{Durability, Kv, Result, WriteBatch};

const RECORDS: u32 = 1_000_000;
const VALUE_BYTES: usize = 100;
const BATCH: u32 = 100;
/// How long the phases last that do not end by themselves, after a warm-up.
const TIME: Duration = Duration::from_secs(2);
const WARM_UP: Duration = Duration::from_millis(200);
const ROUNDS: usize = 3;

/// Runs a phase and returns its operations a second.
type Phase = fn() -> Result<f64>;

fn main() -> Result<()> {
    let phases: [(&str, Phase); 4] = [
        ("fillrandom", fill_random),
        ("readrandom", read_random),
        ("overwrite", overwrite),
        ("fillbatch", fill_in_batches),
    ];
    if let Some(name) = std::env::args().nth(1) {
        let (_, phase) = phases.iter().find(|(of, _)| *of == name).expect("the name of a phase");
        println!("{}", phase()?);
        return Ok(());
    }
    for (name, _) in phases {
        let mut speeds: Vec<_> = (0..ROUNDS).map(|_| in_a_fresh_process(name)).collect();
        speeds.sort_by(f64::total_cmp);
        println!("{name:<12} {:>10.0} ops/s", speeds[ROUNDS / 2]);
    }
    Ok(())
}

fn in_a_fresh_process(phase: &str) -> f64 {
    let program = std::env::current_exe().expect("the path of this program");
    let output = Command::new(program).arg(phase).output().expect("a process");
    let speed = String::from_utf8_lossy(&output.stdout);
    speed.trim().parse().expect("the speed of a phase")
}

/// Puts random keys into an empty store.
fn fill_random() -> Result<f64> {
    let mut random = Random(1);
    with_store(false, |store| {
        let mut writer = Writer::default();
        let started = Instant::now();
        (0..RECORDS).try_for_each(|_| writer.put(store, random.below(RECORDS)))?;
        Ok(f64::from(RECORDS) / started.elapsed().as_secs_f64())
    })
}

/// Gets random keys of a loaded store and reads every byte of their values.
fn read_random() -> Result<f64> {
    let mut random = Random(2);
    with_store(true, |store| {
        repeat(|| {
            let mut sum = 0;
            let read = &mut |value: &[u8]| sum = value.iter().map(|byte| u64::from(*byte)).sum();
            store.get_with(&key(random.below(RECORDS)), read)?;
            black_box(sum);
            Ok(())
        })
    })
}

/// Puts random keys of a loaded store.
fn overwrite() -> Result<f64> {
    let mut random = Random(3);
    with_store(true, |store| {
        let mut writer = Writer::default();
        repeat(|| writer.put(store, random.below(RECORDS)))
    })
}

/// Puts every key once, far from key order, in batches.
fn fill_in_batches() -> Result<f64> {
    with_store(false, |store| {
        let started = Instant::now();
        load(store)?;
        Ok(f64::from(RECORDS) / started.elapsed().as_secs_f64())
    })
}

fn with_store(is_loaded: bool, phase: impl FnOnce(&Bitcask) -> Result<f64>) -> Result<f64> {
    let directory = tempfile::Builder::new().tempdir_in(".").expect("a directory for the store");
    let store = Bitcask::open(directory.path(), Options::new())?;
    if is_loaded {
        load(&store)?;
    }
    let speed = phase(&store)?;
    store.close()?;
    Ok(speed)
}

/// The keys are hashed, so the order of their numbers is far from theirs.
fn load(store: &Bitcask) -> Result<()> {
    let (mut batch, mut value) = (WriteBatch::new(), [7; VALUE_BYTES]);
    for first in (0..RECORDS).step_by(BATCH as usize) {
        batch.clear();
        for number in first..first + BATCH {
            value[..4].copy_from_slice(&number.to_le_bytes());
            batch.put(&key(number), &value);
        }
        store.write(&batch, Durability::Buffered)?;
    }
    Ok(())
}

/// Repeats `operation`, looking at the clock now and then, and returns how often it ran in a second.
fn repeat(mut operation: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut run = |time: Duration| -> Result<f64> {
        let (started, mut count) = (Instant::now(), 0.0);
        while started.elapsed() < time {
            (0..100).try_for_each(|_| operation())?;
            count += 100.0;
        }
        Ok(count / started.elapsed().as_secs_f64())
    };
    run(WARM_UP)?;
    run(TIME)
}

struct Writer {
    batch: WriteBatch,
    value: [u8; VALUE_BYTES],
    count: u32,
}

impl Default for Writer {
    fn default() -> Self {
        Self { batch: WriteBatch::new(), value: [7; VALUE_BYTES], count: 0 }
    }
}

impl Writer {
    fn put(&mut self, store: &Bitcask, number: u32) -> Result<()> {
        self.count += 1;
        self.value[..4].copy_from_slice(&self.count.to_le_bytes());
        self.batch.clear();
        self.batch.put(&key(number), &self.value);
        store.write(&self.batch, Durability::Buffered).map(drop)
    }
}

fn key(number: u32) -> [u8; 16] {
    let first = mix(u64::from(number));
    (u128::from(first) << 64 | u128::from(mix(first))).to_be_bytes()
}

/// A multiply and a shift at a time: numbers that look random, all of them different.
fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (number ^ number >> 29).wrapping_mul(0xd1b5_4a32_d192_ed03) ^ number >> 32
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(1);
        (((mix(self.0) >> 32) * u64::from(bound)) >> 32) as u32
    }
}
