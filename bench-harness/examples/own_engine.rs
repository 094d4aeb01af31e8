//! A harness with an engine of your own: this program has the whole command line of `kvbench`.
//!
//! ```sh
//! cargo run --release -p bench-harness --example own_engine -- run -e counting -w ycsb-b -n 100k -d 2s
//! ```

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use bench_harness::Registration;
use kv::memory::MemoryEngine;
use kv::{
    Capabilities, Cursor, Durability, KeyRange, Kv, Result, SequenceNumber, Stats, Unit, WriteBatch,
};

fn main() -> ExitCode {
    bench_harness::main(&[Registration {
        name: "counting",
        about: "the engine in memory, with a counter of gets: what does the counter cost?",
        version: "0.1.0",
        classes: &[Durability::None],
        open: |_, _| Ok(Box::new(Counting::default())),
        settings: |_| "everything in memory".into(),
    }])
}

/// Counts the gets of another engine.
#[derive(Default)]
struct Counting {
    inner: MemoryEngine,
    gets: AtomicU64,
}

impl Kv for Counting {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.gets.fetch_add(1, Ordering::Relaxed);
        self.inner.get_with(key, found)
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<SequenceNumber> {
        self.inner.write(batch, durability)
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        self.inner.scan(range)
    }

    fn sync(&self) -> Result<()> {
        self.inner.sync()
    }

    fn close(&self) -> Result<()> {
        self.inner.close()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn stats(&self) -> Stats {
        self.inner.stats().with("gets", Unit::Count, self.gets.load(Ordering::Relaxed))
    }
}
