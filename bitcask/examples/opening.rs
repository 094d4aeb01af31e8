//! How long opening takes: fills a store, closes it, and opens it several times.
//!
//! ```sh
//! cargo run --release -p bitcask --example opening -- DIRECTORY [KEYS [OPENINGS]]
//! ```
//!
//! The store is filled only if the directory does not exist yet, so two builds can be measured on the same store.
#![expect(clippy::disallowed_methods, reason = "an example reads the clock")]
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use bitcask::{Bitcask, Options};
use kv::{Durability, Kv, WriteBatch};

const USAGE: &str = "opening DIRECTORY [KEYS [OPENINGS]]";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or(USAGE)?;
    let keys = arguments.next().map_or(Ok(2_000_000), |keys| keys.parse())?;
    let openings = arguments.next().map_or(Ok(5), |openings| openings.parse())?;
    let directory = Path::new(&directory);
    if !directory.exists() {
        fill(directory, keys)?;
    }
    for _ in 0..openings {
        let start = Instant::now();
        let store = Bitcask::open(directory, Options::new())?;
        let taken = start.elapsed();
        println!("{} keys in {:.1} ms", store.statistics().keys, taken.as_secs_f64() * 1e3);
        store.close()?;
    }
    Ok(())
}

/// Puts 100 bytes at each of `keys` keys of 16 bytes, in an order that looks random.
fn fill(directory: &Path, keys: u64) -> Result<(), Box<dyn Error>> {
    let store = Bitcask::open(directory, Options::new())?;
    for first in (0..keys).step_by(1_000) {
        let mut batch = WriteBatch::new();
        for number in first..keys.min(first + 1_000) {
            let hashed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            batch.put(format!("{hashed:016x}").as_bytes(), &[7; 100]);
        }
        store.write(&batch, Durability::Buffered)?;
    }
    store.close()?;
    Ok(())
}
