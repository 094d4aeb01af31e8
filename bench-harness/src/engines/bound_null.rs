//! `bound:null`: an engine that does nothing, to measure the loop that drives all engines.
//!
//! It takes writes and forgets them. Each get hands out one value of the size last written, each scan as many entries as
//! it is asked for. So the loop folds as many bytes as with an engine that works. The answers are wrong and are not
//! judged, and it is never ranked.

use std::ops::Bound;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use kv::{
    Capabilities, Cursor, Durability, KeyRange, Kv, Result, ScanSupport, SequenceNumber, Stats,
    WriteBatch,
};

use super::Registration;

/// The name of the engine that measures the loop.
pub(crate) const NULL: &str = "bound:null";

pub(super) const REGISTRATION: Registration = Registration {
    name: NULL,
    about: "yardstick: does nothing; the cost of the loop that drives the engines",
    version: env!("CARGO_PKG_VERSION"),
    classes: &[Durability::None, Durability::Buffered, Durability::Sync],
    open: |_, _| Ok(Box::new(Idle::new(0))),
    settings: |_| "does nothing; its answers are not judged".into(),
};

/// The largest value that it hands out.
const LARGEST_VALUE: usize = 4 << 20;
static ZEROS: [u8; LARGEST_VALUE] = [0; LARGEST_VALUE];

/// An engine that does nothing.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    value_len: AtomicUsize,
    /// Only a sweep asks for it, so a count that is lost to another thread does no harm.
    puts: AtomicU64,
}

impl Idle {
    /// An engine that hands out values of `value_len` bytes until it is given others.
    pub(crate) fn new(value_len: usize) -> Self {
        let value_len = AtomicUsize::new(value_len.min(LARGEST_VALUE));
        Self { value_len, puts: AtomicU64::new(0) }
    }

    fn value(&self) -> &'static [u8] {
        &ZEROS[..self.value_len.load(Ordering::Relaxed)]
    }
}

impl Kv for Idle {
    fn get_with(&self, _: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        found(self.value());
        Ok(true)
    }

    fn write(&self, batch: &WriteBatch, _: Durability) -> Result<SequenceNumber> {
        if let Some(op) = batch.ops().next() {
            self.value_len.store(op.value().len().min(LARGEST_VALUE), Ordering::Relaxed);
            let puts = self.puts.load(Ordering::Relaxed) + batch.len() as u64;
            self.puts.store(puts, Ordering::Relaxed);
        }
        Ok(SequenceNumber::ZERO)
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        let entries = match (range.start(), range.end()) {
            // A sweep.
            (Bound::Unbounded, Bound::Unbounded) => self.puts.load(Ordering::Relaxed),
            (_, Bound::Unbounded) => u64::MAX,
            // A prefix: few keys have it.
            _ => 1,
        };
        Ok(Box::new(IdleCursor { value: self.value(), entries }))
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(ScanSupport::Ordered, Durability::Sync)
            .with_max_value_len(isize::MAX as usize)
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }
}

/// The same entry again and again.
struct IdleCursor {
    value: &'static [u8],
    entries: u64,
}

impl IdleCursor {
    fn step(&mut self) -> bool {
        let has_more = self.entries > 0;
        self.entries = self.entries.saturating_sub(1);
        has_more
    }
}

impl Cursor for IdleCursor {
    fn seek_ge(&mut self, _: &[u8]) -> Result<bool> {
        Ok(self.step())
    }

    fn seek_lt(&mut self, _: &[u8]) -> Result<bool> {
        Ok(self.step())
    }

    fn next(&mut self) -> Result<bool> {
        Ok(self.step())
    }

    fn prev(&mut self) -> Result<bool> {
        Ok(self.step())
    }

    fn key(&self) -> &[u8] {
        &ZEROS[..16]
    }

    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        Ok((&ZEROS[..16], self.value))
    }
}
