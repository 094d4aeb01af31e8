//! Measures the longest buffered put beside a thread whose puts are synced.
//!
//! ```text
//! cargo run --release -p bitcask --example put_latency -- [DIRECTORY [SECONDS]]
//! ```
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]
#![expect(clippy::disallowed_methods, reason = "this measures the disk itself")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bitcask::{Bitcask, Options};
use kv::{Durability, Kv as _, Result};

fn main() -> Result<()> {
    let mut args = std::env::args_os().skip(1);
    let dir = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let seconds = args.next().and_then(|text| text.to_str()?.parse().ok()).unwrap_or(5);
    println!(
        "| value bytes | buffered puts | mean us | p99.9 us | max ms | synced puts | max ms |"
    );
    println!("|---|---|---|---|---|---|---|");
    for value_bytes in [100, 64 << 10] {
        measure(&dir.join("put-latency-measurement"), value_bytes, Duration::from_secs(seconds))?;
    }
    Ok(())
}

fn measure(path: &Path, value_bytes: usize, time: Duration) -> Result<()> {
    drop(std::fs::remove_dir_all(path));
    let store = Bitcask::open(path, Options::default())?;
    let done = AtomicBool::new(false);
    let (mut buffered, mut synced) = std::thread::scope(|scope| {
        let put = |durability, first: u64| puts(&store, value_bytes, durability, first, &done);
        let buffered = scope.spawn(move || put(Durability::Buffered, 0));
        let synced = scope.spawn(move || put(Durability::Sync, 1 << 40));
        std::thread::sleep(time);
        done.store(true, Ordering::Relaxed);
        (buffered.join().expect("no panic"), synced.join().expect("no panic"))
    });
    buffered.as_mut().map_err(|error| error.clone())?.sort_unstable();
    synced.as_mut().map_err(|error| error.clone())?.sort_unstable();
    let (buffered, synced) = (buffered?, synced?);
    let mean = buffered.iter().sum::<u64>() / buffered.len() as u64 / 1000;
    let p999 = buffered[(buffered.len() - 1) * 999 / 1000] / 1000;
    let max = |samples: &[u64]| samples.last().map_or(0, |longest| longest / 1_000_000);
    println!(
        "| {value_bytes} | {} | {mean} | {p999} | {} | {} | {} |",
        buffered.len(),
        max(&buffered),
        synced.len(),
        max(&synced)
    );
    store.close()?;
    drop(std::fs::remove_dir_all(path));
    Ok(())
}

/// Puts new keys until it is `done`, and returns the nanoseconds that each put took.
fn puts(
    store: &Bitcask,
    value_bytes: usize,
    durability: Durability,
    first: u64,
    done: &AtomicBool,
) -> Result<Vec<u64>> {
    let value = vec![0x5a; value_bytes];
    let mut samples = Vec::new();
    while !done.load(Ordering::Relaxed) {
        // Keys come again, so that merges run beside the puts.
        let key = (first + samples.len() as u64 % 20_000).to_be_bytes();
        let start = Instant::now();
        store.put(&key, &value, durability)?;
        samples.push(start.elapsed().as_nanos() as u64);
    }
    Ok(samples)
}
