//! A B-tree in memory: oracle, baseline, and the smallest example of an engine.
//!
//! The map sits behind an [`Arc`]; a scan or a snapshot is one more reference to it. A write changes the map in place
//! when nobody holds such a reference, and copies it first when somebody does: each overlap of a write with an open
//! view costs one copy. Nothing survives the process, so every write is of class [`Durability::None`].

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::{
    Bytes, Capabilities, Cursor, CursorPosition, Direction, Durability, Error, KeyRange, Kv, Op,
    Result, ScanSupport, SequenceNumber, Snapshot, Snapshots, Stats, StepFrom, Unit, WriteBatch,
    no_key_between,
};

type Map = BTreeMap<Bytes, Bytes>;

/// The engine. See the [module](self).
#[derive(Debug, Default)]
pub struct MemoryEngine {
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    map: Arc<Map>,
    newest: SequenceNumber,
    closed: bool,
}

impl MemoryEngine {
    /// An empty engine.
    pub fn new() -> Self {
        Self::default()
    }

    /// No call panics while it holds the lock, so a poisoned lock can only mean a panicking `found` callback, and the
    /// state is whole.
    fn read(&self) -> Result<RwLockReadGuard<'_, State>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if state.closed { Err(Error::Closed) } else { Ok(state) }
    }

    fn change(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kv for MemoryEngine {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let state = self.read()?;
        let value = state.map.get(key);
        value.inspect(|value| found(value));
        Ok(value.is_some())
    }

    fn write(&self, batch: &WriteBatch, _: Durability) -> Result<SequenceNumber> {
        self.capabilities().check(batch)?;
        let mut state = self.change();
        if state.closed {
            return Err(Error::Closed);
        }
        if batch.is_empty() {
            return Ok(state.newest);
        }
        let map = Arc::make_mut(&mut state.map);
        for range in batch.delete_ranges() {
            map.retain(|key, _| !range.contains(key));
        }
        for op in batch.ops() {
            match op {
                Op::Put { key, value } | Op::PutExpiring { key, value, .. } => {
                    map.insert(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
                }
                Op::Delete { key } => {
                    map.remove(key);
                }
            }
        }
        let before = state.newest;
        state.newest = before.next();
        debug_assert!(state.newest > before, "numbers ascend");
        Ok(state.newest)
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        range.check()?;
        let map = Arc::clone(&self.read()?.map);
        Ok(Box::new(MapCursor::new(map, range)))
    }

    fn sync(&self) -> Result<()> {
        self.read().map(drop)
    }

    fn close(&self) -> Result<()> {
        self.change().closed = true;
        debug_assert!(self.read().is_err(), "a closed engine refuses reads");
        Ok(())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(ScanSupport::Ordered, Durability::None)
            .with_range_delete()
            .with_max_value_len(isize::MAX as usize)
    }

    fn stats(&self) -> Stats {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        Stats::default().with("entries", Unit::Count, state.map.len() as u64)
    }
}

impl Snapshots for MemoryEngine {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        let state = self.read()?;
        Ok(Box::new(MemorySnapshot { map: Arc::clone(&state.map), newest: state.newest }))
    }
}

struct MemorySnapshot {
    map: Arc<Map>,
    newest: SequenceNumber,
}

impl Snapshot for MemorySnapshot {
    fn sequence(&self) -> SequenceNumber {
        self.newest
    }

    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.map.get(key);
        value.inspect(|value| found(value));
        Ok(value.is_some())
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        range.check()?;
        Ok(Box::new(MapCursor::new(Arc::clone(&self.map), range)))
    }
}

struct MapCursor {
    map: Arc<Map>,
    range: KeyRange,
    position: CursorPosition<(Bytes, Bytes)>,
}

impl MapCursor {
    fn new(map: Arc<Map>, range: KeyRange) -> Self {
        Self { map, range, position: CursorPosition::Fresh }
    }

    /// Moves to the entry between the bounds that is the first in `direction`.
    fn search(&mut self, start: Bound<&[u8]>, end: Bound<&[u8]>, direction: Direction) -> bool {
        // A map refuses bounds that are crossed.
        let mut between =
            (!no_key_between(start, end)).then(|| self.map.range::<[u8], _>((start, end)));
        let found = between.as_mut().and_then(|entries| match direction {
            Direction::Forward => entries.next(),
            Direction::Backward => entries.next_back(),
        });
        let found = found.map(|(key, value)| (key.clone(), value.clone()));
        assert!(found.as_ref().is_none_or(|(key, _)| self.range.contains(key)), "in the range");
        self.position.land(found, direction)
    }

    fn step(&mut self, direction: Direction) -> bool {
        let behind = match self.position.step(direction) {
            None => return false,
            Some(StepFrom::Edge) => None,
            Some(StepFrom::Entry((key, _))) => Some(key.clone()),
        };
        let range = self.range.clone();
        let behind = behind.as_ref().map(|key| Bound::Excluded(&key[..]));
        match direction {
            Direction::Forward => {
                self.search(behind.unwrap_or(range.start()), range.end(), direction)
            }
            Direction::Backward => {
                self.search(range.start(), behind.unwrap_or(range.end()), direction)
            }
        }
    }
}

impl Cursor for MapCursor {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        let range = self.range.clone();
        Ok(self.search(range.start_from(key), range.end(), Direction::Forward))
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        let range = self.range.clone();
        Ok(self.search(range.start(), range.end_before(key), Direction::Backward))
    }

    fn next(&mut self) -> Result<bool> {
        Ok(self.step(Direction::Forward))
    }

    fn prev(&mut self) -> Result<bool> {
        Ok(self.step(Direction::Backward))
    }

    fn key(&self) -> &[u8] {
        &self.position.entry().0
    }

    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        let (key, value) = self.position.entry();
        debug_assert!(self.range.contains(key), "a cursor stays in its range");
        Ok((key, value))
    }
}
