//! The price of serializable transactions: the time that tracking adds to a begin, a read, a step of a scan and a commit, over a store in
//! memory. Turns of all engines are interleaved; each figure is the median of the turns.
//!
//! ```sh
//! cargo run --release -p ssi --example price
//! ```
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]
#![expect(clippy::disallowed_methods, reason = "it measures")]

use std::hint::black_box;
use std::time::Instant;

use kv::{KeyRange, Result, TransactionOptions, Transactional};
use mvcc::{MemoryStore, Mvcc, Options};
use ssi::Ssi;
use ssi::certify::{ExactCycles, ReadSetValidation, SerializableSnapshot};

const RECORDS: u64 = 100_000;
const TURNS: usize = 21;
const TRANSACTIONS: u64 = 2_000;
const READS: u64 = 16;

fn main() -> Result<()> {
    let engines: [(&str, Box<dyn Transactional>); 4] = [
        ("mvcc", Box::new(Mvcc::new(MemoryStore::new(), Options::new()))),
        ("ssi", Box::new(Ssi::new(MemoryStore::new(), SerializableSnapshot, Options::new()))),
        ("ssi-rsv", Box::new(Ssi::new(MemoryStore::new(), ReadSetValidation, Options::new()))),
        ("ssi-pssi-rt", Box::new(Ssi::new(MemoryStore::new(), ExactCycles, Options::new()))),
    ];
    for (_, engine) in &engines {
        fill(&**engine)?;
    }
    let mut times = vec![[const { Vec::new() }; 4]; engines.len()];
    for turn in 0..TURNS {
        for (at, (_, engine)) in engines.iter().enumerate() {
            for (phase, measure) in [empty, reads, scans, updates].into_iter().enumerate() {
                times[at][phase].push(measure(&**engine, turn as u64)?);
            }
        }
    }
    println!("nanoseconds      empty   a read  a step  read and write 4 keys");
    for ((name, _), times) in engines.iter().zip(&mut times) {
        let [empty, reads, scans, updates] = times.each_mut().map(|times| median(times));
        let (reads, scans) = ((reads - empty) / READS as f64, (scans - empty) / READS as f64);
        println!("{name:<14} {empty:>7.0} {reads:>8.0} {scans:>7.0} {updates:>8.0}");
    }
    Ok(())
}

fn fill(engine: &dyn Transactional) -> Result<()> {
    for first in (0..RECORDS).step_by(1_000) {
        let mut transaction = engine.begin(TransactionOptions::default())?;
        for number in first..first + 1_000 {
            transaction.put(&key(number), &[7; 100])?;
        }
        transaction.commit()?;
    }
    Ok(())
}

/// A transaction that does nothing.
fn empty(engine: &dyn Transactional, _: u64) -> Result<f64> {
    timed(|_| engine.begin(TransactionOptions::default())?.commit().map(drop))
}

fn reads(engine: &dyn Transactional, turn: u64) -> Result<f64> {
    timed(|number| {
        let transaction = engine.begin(TransactionOptions::default())?;
        for read in 0..READS {
            let key = key(mixed(turn * 31 + number * READS + read));
            transaction.get_with(&key, &mut |value| {
                black_box(value[0]);
            })?;
        }
        transaction.commit().map(drop)
    })
}

fn scans(engine: &dyn Transactional, turn: u64) -> Result<f64> {
    timed(|number| {
        let transaction = engine.begin(TransactionOptions::default())?;
        let first = key(mixed(turn * 17 + number).min(RECORDS - READS));
        let mut cursor = transaction.scan(KeyRange::new(&first[..]..))?;
        for _ in 0..READS {
            cursor.next()?;
            black_box(cursor.entry()?);
        }
        drop(cursor);
        transaction.commit().map(drop)
    })
}

fn updates(engine: &dyn Transactional, turn: u64) -> Result<f64> {
    timed(|number| {
        let mut transaction = engine.begin(TransactionOptions::default())?;
        for write in 0..4 {
            let key = key(mixed(turn * 13 + number * 4 + write));
            transaction.get_with(&key, &mut |value| {
                black_box(value[0]);
            })?;
            transaction.put(&key, &[8; 100])?;
        }
        transaction.commit().map(drop)
    })
}

/// The time of one call of `transaction`, in nanoseconds.
fn timed(transaction: impl Fn(u64) -> Result<()>) -> Result<f64> {
    let begun = Instant::now();
    for number in 0..TRANSACTIONS {
        transaction(number)?;
    }
    Ok(begun.elapsed().as_nanos() as f64 / TRANSACTIONS as f64)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// A record that looks random.
fn mixed(number: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29) % RECORDS
}

fn key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}
