//! An engine whose answers a test writes down, to check that the judges of the suites notice a wrong one.

use std::collections::BTreeMap;

use kv::memory::MemoryEngine;
use kv::{
    Bytes, Capabilities, Cursor, Durability, Error, KeyRange, Kv, Result, SequenceNumber, Stats,
    WriteBatch,
};

pub(crate) type Entry = (Bytes, Bytes);

/// The answers of an engine to gets and to scans of everything, each independent of the others.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScriptedEngine {
    pub(crate) forward: Vec<Entry>,
    /// In the order in which a backward scan meets them.
    pub(crate) backward: Vec<Entry>,
    pub(crate) gets: BTreeMap<Bytes, Bytes>,
    /// A walk fails after its last entry.
    pub(crate) fails: bool,
    /// A cursor that has failed moves on without an error.
    pub(crate) recovers: bool,
}

impl ScriptedEngine {
    /// An engine that holds `entries`, given in order.
    pub(crate) fn sound(entries: &[(&'static str, &'static str)]) -> Self {
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        let forward: Vec<Entry> = entries.iter().map(|(k, v)| (bytes(k), bytes(v))).collect();
        let backward = forward.iter().rev().cloned().collect();
        let gets = forward.iter().cloned().collect();
        Self { forward, backward, gets, fails: false, recovers: false }
    }
}

impl Kv for ScriptedEngine {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(self.gets.get(key).map(|value| found(value)).is_some())
    }

    fn write(&self, _: &WriteBatch, _: Durability) -> Result<SequenceNumber> {
        Err(Error::ReadOnly)
    }

    fn scan(&self, _: KeyRange) -> Result<Box<dyn Cursor>> {
        Ok(Box::new(ScriptedCursor { engine: self.clone(), at: 0, entry: None, has_failed: false }))
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }

    fn capabilities(&self) -> Capabilities {
        MemoryEngine::new().capabilities()
    }

    fn stats(&self) -> Stats {
        MemoryEngine::new().stats()
    }
}

/// Walks one of the two lists.
struct ScriptedCursor {
    engine: ScriptedEngine,
    at: usize,
    entry: Option<Entry>,
    has_failed: bool,
}

impl ScriptedCursor {
    fn step(&mut self, entry: Option<Entry>) -> Result<bool> {
        if self.has_failed && self.engine.recovers {
            return Ok(false);
        }
        self.at += 1;
        self.entry = entry;
        if self.entry.is_none() && self.engine.fails {
            self.has_failed = true;
            return Err(Error::corruption("file", 0, "a test wants it"));
        }
        Ok(self.entry.is_some())
    }
}

impl Cursor for ScriptedCursor {
    fn seek_ge(&mut self, _: &[u8]) -> Result<bool> {
        self.step(None)
    }

    fn seek_lt(&mut self, _: &[u8]) -> Result<bool> {
        self.step(None)
    }

    fn next(&mut self) -> Result<bool> {
        let entry = self.engine.forward.get(self.at).cloned();
        self.step(entry)
    }

    fn prev(&mut self) -> Result<bool> {
        let entry = self.engine.backward.get(self.at).cloned();
        self.step(entry)
    }

    fn key(&self) -> &[u8] {
        self.entry.as_ref().map_or(&[], |(key, _)| key)
    }

    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        let entry = self.entry.as_ref().expect("the cursor stands on an entry");
        Ok((&entry.0, &entry.1))
    }
}
