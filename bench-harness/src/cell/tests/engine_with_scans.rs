//! An engine in memory whose scans a test replaces.

use kv::memory::MemoryEngine;
use kv::{
    Capabilities, Cursor, Durability, KeyRange, Kv, Result, SequenceNumber, Stats, WriteBatch,
};

/// Scans the content of the engine in memory.
type Scan = fn(&MemoryEngine, KeyRange) -> Result<Box<dyn Cursor>>;

/// An engine that scans with a function of a test, and passes every other call on to the engine in memory.
pub(super) struct EngineWithScans {
    inner: MemoryEngine,
    scan: Scan,
}

impl EngineWithScans {
    /// An empty engine whose scans are those of `scan`.
    pub(super) fn new(scan: Scan) -> Self {
        Self { inner: MemoryEngine::new(), scan }
    }
}

impl Kv for EngineWithScans {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.inner.get_with(key, found)
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<SequenceNumber> {
        self.inner.write(batch, durability)
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        (self.scan)(&self.inner, range)
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
        self.inner.stats()
    }
}
