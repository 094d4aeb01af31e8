//! `bound:null`: an engine that does nothing, to measure the loop that drives all engines.
//!
//! It forgets each write. A get of a key that is never put finds nothing. Every other get returns a value of the mean
//! size of the values written so far. A scan returns as many entries as the caller reads. So the loop digests about
//! as many bytes as with an engine that stores them. The answers are wrong and are not judged. The engine is never ranked.

use std::ops::Bound;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use kv::{
    Capabilities, Cursor, Durability, KeyRange, Kv, Op, Result, ScanSupport, SequenceNumber, Stats,
    WriteBatch,
};

use super::Registration;
use crate::keys::has_missing_mark;

/// The name of the engine that measures the loop.
pub(crate) const NULL_ENGINE: &str = "bound:null";

pub(super) const REGISTRATION: Registration = Registration {
    name: NULL_ENGINE,
    about: "yardstick: does nothing; the cost of the loop that drives the engines",
    version: env!("CARGO_PKG_VERSION"),
    classes: &[Durability::None, Durability::Buffered, Durability::Sync],
    open: |_, _| Ok(Box::new(NullEngine::new(0))),
    settings: |_| "does nothing; its answers are not judged".into(),
};

/// The largest value that it hands out.
const LARGEST_VALUE: usize = 4 << 20;
static ZEROS: [u8; LARGEST_VALUE] = [0; LARGEST_VALUE];

/// An engine that does nothing.
#[derive(Debug, Default)]
pub(crate) struct NullEngine {
    /// The mean size of the values written, in bytes.
    value_len: AtomicUsize,
    /// Writes so far. Threads may lose counts to each other: only a sweep and the mean size use it.
    puts: AtomicU64,
    /// The bytes of their values.
    bytes: AtomicU64,
}

impl NullEngine {
    /// An engine that returns values of `value_len` bytes until the first write.
    pub(crate) fn new(value_len: usize) -> Self {
        let value_len = AtomicUsize::new(value_len.min(LARGEST_VALUE));
        Self { value_len, ..Self::default() }
    }

    fn value(&self) -> &'static [u8] {
        &ZEROS[..self.value_len.load(Ordering::Relaxed)]
    }
}

impl Kv for NullEngine {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        if has_missing_mark(key) {
            return Ok(false);
        }
        found(self.value());
        Ok(true)
    }

    fn write(&self, batch: &WriteBatch, _: Durability) -> Result<SequenceNumber> {
        if let Some(op @ Op::Put { .. }) = batch.ops().next() {
            // A batch holds puts alone. Its first value gives the size of all: only those of records differ.
            let (count, len) = (batch.len() as u64, op.value().len().min(LARGEST_VALUE));
            let puts = self.puts.load(Ordering::Relaxed) + count;
            let bytes = self.bytes.load(Ordering::Relaxed) + count * len as u64;
            self.puts.store(puts, Ordering::Relaxed);
            self.bytes.store(bytes, Ordering::Relaxed);
            if len != self.value_len.load(Ordering::Relaxed) {
                self.value_len.store((bytes / puts) as usize, Ordering::Relaxed);
            }
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
        Ok(Box::new(NullCursor { value: self.value(), entries }))
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
struct NullCursor {
    value: &'static [u8],
    entries: u64,
}

impl NullCursor {
    fn step(&mut self) -> bool {
        let has_more = self.entries > 0;
        self.entries = self.entries.saturating_sub(1);
        has_more
    }
}

impl Cursor for NullCursor {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(engine: &NullEngine, key: &[u8]) -> Option<usize> {
        engine.get(key).unwrap().map(|value| value.len())
    }

    #[test]
    fn a_get_returns_the_mean_size_of_the_values_written_and_nothing_for_a_key_that_is_never_put() {
        let engine = NullEngine::new(7);
        assert_eq!(answer(&engine, b"user1"), Some(7));
        for len in [100, 200, 600] {
            engine.put(b"user1", &vec![0; len], Durability::None).unwrap();
            engine.delete(b"user1", Durability::None).unwrap();
        }
        assert_eq!(answer(&engine, b"user1"), Some(300));
        assert_eq!(answer(&engine, b"user1\0"), None);
    }
}
