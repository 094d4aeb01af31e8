//! Records the runs that show how often the comparison of `kvbench` errs: one engine under four names, two of them slowed
//! down by a known amount.
//!
//! `calibration:a` and `calibration:b` are the same. `calibration:slow-10` and `calibration:slow-20` have 90 % and 80 % of
//! their speed: after each call they spin for a share of the time that the call and the loop before it took. All four read
//! the clock equally often for that. `kvbench calibration` says how often the recorded blocks lead to a wrong verdict.
//!
//! ```sh
//! cargo run --release -p bench-harness --example calibration -- \
//!     run -c bench-harness/examples/calibration.toml -d 300ms -r 100 --label calibration
//! cargo run --release -- calibration results/*-calibration/summary.csv
//! ```

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bench_harness::{EngineConfig, Registration};
use bitcask::{Bitcask, Options};
use kv::{
    Capabilities, Cursor, Durability, KeyRange, Kv, Result, SequenceNumber, Stats, WriteBatch,
};

/// Pauses are collected until they are this long, because a look at the clock takes longer than a share of a fast call.
const LEAST_PAUSE_NS: u64 = 2_000;
/// A longer time between two calls is no loop: the harness judged answers, or the phase had not begun.
const LONGEST_LOOP_NS: u64 = 1_000_000;

fn main() -> ExitCode {
    bench_harness::main_with_only(&[
        engine("calibration:a", |path, _| open(path, Slowdown::NONE)),
        engine("calibration:b", |path, _| open(path, Slowdown::NONE)),
        engine("calibration:slow-10", |path, _| open(path, Slowdown::TO_NINE_TENTHS)),
        engine("calibration:slow-20", |path, _| open(path, Slowdown::TO_FOUR_FIFTHS)),
    ])
}

fn engine(
    name: &'static str,
    open: fn(&Path, EngineConfig) -> Result<Box<dyn Kv>>,
) -> Registration {
    Registration {
        name,
        about: "bitcask, with a clock beside it",
        version: "0.1.0",
        classes: &[Durability::None, Durability::Buffered, Durability::Sync],
        open,
        settings: |_| "bitcask with its defaults".into(),
    }
}

fn open(path: &Path, slowdown: Slowdown) -> Result<Box<dyn Kv>> {
    let inner = Bitcask::open(path, Options::new())?;
    let origin = Instant::now();
    let (last_end_ns, owed_ns) = (AtomicU64::new(0), AtomicU64::new(0));
    Ok(Box::new(Slowed { inner, slowdown, origin, last_end_ns, owed_ns }))
}

/// The pause that follows a time of work: `pause` parts for each `work` parts.
#[derive(Clone, Copy)]
struct Slowdown {
    pause: u64,
    work: u64,
}

impl Slowdown {
    const NONE: Self = Self { pause: 0, work: 1 };
    const TO_NINE_TENTHS: Self = Self { pause: 1, work: 9 };
    const TO_FOUR_FIFTHS: Self = Self { pause: 1, work: 4 };
}

/// A store whose one caller at a time is held up after each call.
struct Slowed {
    inner: Bitcask,
    slowdown: Slowdown,
    origin: Instant,
    /// When the last call ended, pause included.
    last_end_ns: AtomicU64,
    /// The pause that is due, in shares of nanoseconds: `work` parts are one.
    owed_ns: AtomicU64,
}

impl Slowed {
    fn now_ns(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    /// Makes `call`, and pauses for the share that it and the loop before it are to be slowed down by.
    fn slowed<R>(&self, call: impl FnOnce() -> R) -> R {
        let begin_ns = self.now_ns();
        let result = call();
        let end_ns = self.now_ns();
        let loop_ns = begin_ns.saturating_sub(self.last_end_ns.load(Ordering::Relaxed));
        let loop_ns = if loop_ns > LONGEST_LOOP_NS { 0 } else { loop_ns };
        let Slowdown { pause, work } = self.slowdown;
        let owed = self.owed_ns.load(Ordering::Relaxed) + pause * (loop_ns + end_ns - begin_ns);
        let mut now_ns = end_ns;
        if owed >= work * LEAST_PAUSE_NS {
            while work * (now_ns - end_ns) < owed {
                std::hint::spin_loop();
                now_ns = self.now_ns();
            }
        }
        self.owed_ns.store(owed.saturating_sub(work * (now_ns - end_ns)), Ordering::Relaxed);
        self.last_end_ns.store(now_ns, Ordering::Relaxed);
        result
    }
}

impl Kv for Slowed {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.slowed(|| self.inner.get_with(key, found))
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<SequenceNumber> {
        self.slowed(|| self.inner.write(batch, durability))
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
        Kv::stats(&self.inner)
    }
}
