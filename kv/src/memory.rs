//! A B-tree in memory: oracle, baseline, and the smallest example of an engine.
//!
//! The map sits behind an [`Arc`]; a scan or a snapshot is one more reference to it. A write changes the map in place
//! when nobody holds such a reference, and copies it first when somebody does: each overlap of a write with an open
//! view costs one copy. Nothing survives the process, so every write is of class [`Durability::None`].

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::{
    Bytes, Capabilities, Cursor, Durability, Error, KeyRange, Kv, Op, Result, ScanSupport,
    SequenceNumber, Snapshot, Snapshots, Stats, Unit, WriteBatch,
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
        state.newest = state.newest.next();
        Ok(state.newest)
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        range.check()?;
        let map = Arc::clone(&self.read()?.map);
        Ok(Box::new(MapCursor { map, range, place: Place::Fresh }))
    }

    fn sync(&self) -> Result<()> {
        self.read().map(drop)
    }

    fn close(&self) -> Result<()> {
        self.change().closed = true;
        Ok(())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            scan: ScanSupport::Ordered,
            durability: Durability::None,
            expiry: false,
            range_delete: true,
            max_value_len: isize::MAX as usize,
        }
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
        Ok(Box::new(MapCursor { map: Arc::clone(&self.map), range, place: Place::Fresh }))
    }
}

/// Where a cursor stands.
enum Place {
    Fresh,
    BeforeFirst,
    At(Bytes, Bytes),
    AfterLast,
}

struct MapCursor {
    map: Arc<Map>,
    range: KeyRange,
    place: Place,
}

impl MapCursor {
    fn first_from(&mut self, start: Bound<Bytes>) -> bool {
        let found = if self.range.is_empty() {
            None
        } else {
            self.map
                .range((start, Bound::Unbounded))
                .next()
                .filter(|(key, _)| self.range.contains(key))
        };
        self.place = found.map_or(Place::AfterLast, |(k, v)| Place::At(k.clone(), v.clone()));
        matches!(self.place, Place::At(..))
    }

    fn last_to(&mut self, end: Bound<Bytes>) -> bool {
        let found = if self.range.is_empty() {
            None
        } else {
            self.map
                .range((Bound::Unbounded, end))
                .next_back()
                .filter(|(key, _)| self.range.contains(key))
        };
        self.place = found.map_or(Place::BeforeFirst, |(k, v)| Place::At(k.clone(), v.clone()));
        matches!(self.place, Place::At(..))
    }
}

impl Cursor for MapCursor {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        let below = match self.range.start() {
            Bound::Included(start) => key < start,
            Bound::Excluded(start) => key <= start,
            Bound::Unbounded => false,
        };
        let start = if below {
            self.range.start().map(Bytes::copy_from_slice)
        } else {
            Bound::Included(Bytes::copy_from_slice(key))
        };
        Ok(self.first_from(start))
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        let above = match self.range.end() {
            Bound::Included(end) | Bound::Excluded(end) => key > end,
            Bound::Unbounded => false,
        };
        let end = if above {
            self.range.end().map(Bytes::copy_from_slice)
        } else {
            Bound::Excluded(Bytes::copy_from_slice(key))
        };
        Ok(self.last_to(end))
    }

    fn next(&mut self) -> Result<bool> {
        let start = match &self.place {
            Place::Fresh | Place::BeforeFirst => self.range.start().map(Bytes::copy_from_slice),
            Place::At(key, _) => Bound::Excluded(key.clone()),
            Place::AfterLast => return Ok(false),
        };
        Ok(self.first_from(start))
    }

    fn prev(&mut self) -> Result<bool> {
        let end = match &self.place {
            Place::Fresh | Place::AfterLast => self.range.end().map(Bytes::copy_from_slice),
            Place::At(key, _) => Bound::Excluded(key.clone()),
            Place::BeforeFirst => return Ok(false),
        };
        Ok(self.last_to(end))
    }

    fn key(&self) -> &[u8] {
        match &self.place {
            Place::At(key, _) => key,
            _ => panic!("the cursor stands on no entry"),
        }
    }

    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        match &self.place {
            Place::At(key, value) => Ok((key, value)),
            _ => panic!("the cursor stands on no entry"),
        }
    }
}
