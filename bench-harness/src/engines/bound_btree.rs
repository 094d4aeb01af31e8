//! `bound:btree`: a `BTreeMap` with its keys inline, behind one lock, without a log: an ordered engine in
//! memory cannot beat it by much.
//!
//! It is a yardstick and not an engine of the contract: a scan copies a stretch of entries at a time and does not see
//! one frozen moment when others write meanwhile. Freezing would make it slower than the engines that it has to bound.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use kv::{
    Capabilities, Cursor, CursorPosition, Direction, Durability, KeyRange, Kv, Op, Result,
    ScanSupport, SequenceNumber, Stats, StepFrom, Unit, WriteBatch, no_key_between,
};
use parking_lot::RwLock;

use super::Registration;

pub(super) const REGISTRATION: Registration = Registration {
    name: "bound:btree",
    about: "yardstick: a B-tree in memory with inline keys, no log, no frozen scans",
    version: env!("CARGO_PKG_VERSION"),
    classes: &[Durability::None],
    open: |_, _| Ok(Box::new(BoundBtree::default())),
    settings: |_| "everything in memory, whatever the budget".into(),
};

/// Key bytes that lie in the node itself, without a pointer to follow.
const INLINE_BYTES: usize = 24;
/// Entries that a cursor copies at its first move; each further stretch is four times as long, up to a limit.
const FIRST_STRETCH: usize = 32;
const LONGEST_STRETCH: usize = 256;

/// A key that compares by bytes: first its zero-padded head, then how much of the head is real, then the whole key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct InlineKey {
    head: [u8; INLINE_BYTES],
    head_len: u8,
    /// The whole key, where the head does not hold it.
    long: Option<Arc<[u8]>>,
}

impl InlineKey {
    fn new(key: &[u8]) -> Self {
        let start = &key[..key.len().min(INLINE_BYTES)];
        let mut head = [0; INLINE_BYTES];
        head[..start.len()].copy_from_slice(start);
        let long = (key.len() > INLINE_BYTES).then(|| key.into());
        Self { head, head_len: start.len() as u8, long }
    }

    fn bytes(&self) -> &[u8] {
        self.long.as_deref().unwrap_or(&self.head[..usize::from(self.head_len)])
    }
}

type Map = BTreeMap<InlineKey, Arc<[u8]>>;

#[derive(Default)]
struct BoundBtree {
    state: Arc<RwLock<State>>,
}

#[derive(Default)]
struct State {
    map: Map,
    newest: SequenceNumber,
}

impl Kv for BoundBtree {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let key = InlineKey::new(key);
        let state = self.state.read();
        let value = state.map.get(&key);
        value.inspect(|value| found(value));
        Ok(value.is_some())
    }

    fn write(&self, batch: &WriteBatch, _: Durability) -> Result<SequenceNumber> {
        self.capabilities().check(batch)?;
        let mut state = self.state.write();
        for op in batch.ops() {
            let key = InlineKey::new(op.key());
            match op {
                Op::Delete { .. } => drop(state.map.remove(&key)),
                Op::Put { value, .. } | Op::PutExpiring { value, .. } => {
                    put(&mut state.map, key, value);
                }
            }
        }
        state.newest = state.newest.next();
        Ok(state.newest)
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        range.check()?;
        let state = Arc::clone(&self.state);
        let (position, stretch) = (CursorPosition::Fresh, Vec::new());
        let direction = Direction::Forward;
        Ok(Box::new(StretchCursor { state, range, position, stretch, direction }))
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(ScanSupport::Ordered, Durability::None)
            .with_max_value_len(isize::MAX as usize)
    }

    fn stats(&self) -> Stats {
        Stats::default().with("entries", Unit::Count, self.state.read().map.len() as u64)
    }
}

/// Writes in place where nobody else holds the old value and the size stays the same.
fn put(map: &mut Map, key: InlineKey, value: &[u8]) {
    let known = map.entry(key).or_default();
    match Arc::get_mut(known) {
        Some(known) if known.len() == value.len() => known.copy_from_slice(value),
        _ => *known = value.into(),
    }
}

/// A cursor over copied stretches of the map.
struct StretchCursor {
    state: Arc<RwLock<State>>,
    range: KeyRange,
    position: CursorPosition<usize>,
    /// Entries in the order of the walk that copied them.
    stretch: Vec<(InlineKey, Arc<[u8]>)>,
    direction: Direction,
}

type Bounds = (Bound<InlineKey>, Bound<InlineKey>);

impl StretchCursor {
    /// Copies a stretch of the entries within `bounds` and stands on its first.
    fn copy_stretch(&mut self, (start, end): Bounds, direction: Direction) -> bool {
        let wanted = (self.stretch.len() * 4).clamp(FIRST_STRETCH, LONGEST_STRETCH);
        self.stretch.clear();
        self.direction = direction;
        let own = |(key, value): (&InlineKey, &Arc<[u8]>)| (key.clone(), Arc::clone(value));
        // A map refuses bounds that are crossed.
        if !no_key_between(start.as_ref(), end.as_ref()) {
            let state = self.state.read();
            let entries = state.map.range((start, end));
            match direction {
                Direction::Forward => self.stretch.extend(entries.take(wanted).map(own)),
                Direction::Backward => self.stretch.extend(entries.rev().take(wanted).map(own)),
            }
        }
        self.position.land((!self.stretch.is_empty()).then_some(0), direction)
    }

    fn step(&mut self, direction: Direction) -> bool {
        let start = self.range.start().map(InlineKey::new);
        let end = self.range.end().map(InlineKey::new);
        let bounds = match self.position.step(direction) {
            None => return false,
            Some(StepFrom::Edge) => (start, end),
            Some(StepFrom::Entry(&at))
                if direction == self.direction && at + 1 < self.stretch.len() =>
            {
                return self.position.land(Some(at + 1), direction);
            }
            Some(StepFrom::Entry(&at)) => {
                let behind = Bound::Excluded(self.stretch[at].0.clone());
                match direction {
                    Direction::Forward => (behind, end),
                    Direction::Backward => (start, behind),
                }
            }
        };
        self.copy_stretch(bounds, direction)
    }

    fn current(&self) -> &(InlineKey, Arc<[u8]>) {
        &self.stretch[*self.position.entry()]
    }
}

impl Cursor for StretchCursor {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        let start = self.range.start_from(key).map(InlineKey::new);
        let bounds = (start, self.range.end().map(InlineKey::new));
        self.stretch.clear();
        Ok(self.copy_stretch(bounds, Direction::Forward))
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        let end = self.range.end_before(key).map(InlineKey::new);
        let bounds = (self.range.start().map(InlineKey::new), end);
        self.stretch.clear();
        Ok(self.copy_stretch(bounds, Direction::Backward))
    }

    fn next(&mut self) -> Result<bool> {
        Ok(self.step(Direction::Forward))
    }

    fn prev(&mut self) -> Result<bool> {
        Ok(self.step(Direction::Backward))
    }

    fn key(&self) -> &[u8] {
        self.current().0.bytes()
    }

    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        let (key, value) = self.current();
        Ok((key.bytes(), value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_keys_compare_like_their_bytes() {
        let long = [b'a'; 40];
        let keys: [&[u8]; 9] =
            [b"", b"\0", b"\0\0", b"a", b"a\0", b"ab", &long[..24], &long[..25], &long];
        for left in keys {
            assert_eq!(InlineKey::new(left).bytes(), left);
            for right in keys {
                let by_bytes = left.cmp(right);
                assert_eq!(InlineKey::new(left).cmp(&InlineKey::new(right)), by_bytes);
            }
        }
    }

    #[test]
    fn a_cursor_crosses_stretches_both_ways() {
        let engine = BoundBtree::default();
        for key in 0..1_000_u32 {
            engine.put(&key.to_be_bytes(), b"v", Durability::None).unwrap();
        }
        let mut cursor = engine.scan(KeyRange::all()).unwrap();
        for key in 0..1_000_u32 {
            assert!(cursor.next().unwrap());
            assert_eq!(cursor.key(), key.to_be_bytes());
        }
        assert!(!cursor.next().unwrap());
        for key in (0..1_000_u32).rev() {
            assert!(cursor.prev().unwrap());
            assert_eq!(cursor.key(), key.to_be_bytes());
        }
        assert!(!cursor.prev().unwrap());
        assert!(cursor.seek_ge(&500_u32.to_be_bytes()).unwrap() && cursor.prev().unwrap());
        assert_eq!(cursor.key(), 499_u32.to_be_bytes());
    }
}
