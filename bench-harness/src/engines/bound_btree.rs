//! `bound:btree`: a `BTreeMap` with its keys inline, behind one lock, without a log: what an ordered engine in memory
//! cannot beat by much.
//!
//! It is a yardstick and not an engine of the contract: a scan copies a stretch of entries at a time and does not see
//! one frozen moment when others write meanwhile. Freezing would make it slower than what it has to bound.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use kv::{
    Capabilities, Cursor, Durability, KeyRange, Kv, Op, Result, ScanSupport, SequenceNumber, Stats,
    Unit, WriteBatch,
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
        let (place, stretch) = (Place::Fresh, Vec::new());
        Ok(Box::new(StretchCursor { state, range, place, stretch, is_forward: true }))
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            scan: ScanSupport::Ordered,
            durability: Durability::None,
            expiry: false,
            range_delete: false,
            max_value_len: isize::MAX as usize,
        }
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
    place: Place,
    /// Entries in the order of the walk that copied them.
    stretch: Vec<(InlineKey, Arc<[u8]>)>,
    is_forward: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Fresh,
    BeforeFirst,
    At(usize),
    AfterLast,
}

type Bounds = (Bound<InlineKey>, Bound<InlineKey>);

impl StretchCursor {
    /// Copies a stretch of the entries within `bounds` and stands on its first.
    fn copy_stretch(&mut self, bounds: Bounds, is_forward: bool) -> bool {
        let wanted = (self.stretch.len() * 4).clamp(FIRST_STRETCH, LONGEST_STRETCH);
        self.stretch.clear();
        self.is_forward = is_forward;
        let own = |(key, value): (&InlineKey, &Arc<[u8]>)| (key.clone(), Arc::clone(value));
        if !self.range.is_empty() && !is_crossed(&bounds) {
            let state = self.state.read();
            let entries = state.map.range(bounds);
            if is_forward {
                self.stretch.extend(entries.take(wanted).map(own));
            } else {
                self.stretch.extend(entries.rev().take(wanted).map(own));
            }
        }
        self.place = match (self.stretch.is_empty(), is_forward) {
            (false, _) => Place::At(0),
            (true, true) => Place::AfterLast,
            (true, false) => Place::BeforeFirst,
        };
        !self.stretch.is_empty()
    }

    fn step(&mut self, is_forward: bool) -> bool {
        let start = self.range.start().map(InlineKey::new);
        let end = self.range.end().map(InlineKey::new);
        let (start, end) = match (self.place, is_forward) {
            (Place::AfterLast, true) | (Place::BeforeFirst, false) => return false,
            (Place::At(at), _) if is_forward == self.is_forward && at + 1 < self.stretch.len() => {
                self.place = Place::At(at + 1);
                return true;
            }
            (Place::At(at), true) => (Bound::Excluded(self.stretch[at].0.clone()), end),
            (Place::At(at), false) => (start, Bound::Excluded(self.stretch[at].0.clone())),
            _ => (start, end),
        };
        self.copy_stretch((start, end), is_forward)
    }
}

/// Whether no key can lie within `bounds`; a map refuses some such bounds.
fn is_crossed(bounds: &Bounds) -> bool {
    match bounds {
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start) | Bound::Excluded(start), Bound::Excluded(end))
        | (Bound::Excluded(start), Bound::Included(end)) => start >= end,
        _ => false,
    }
}

impl Cursor for StretchCursor {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        let own = self.range.start();
        let start = match own {
            Bound::Included(start) if start > key => own,
            Bound::Excluded(start) if start >= key => own,
            _ => Bound::Included(key),
        };
        let bounds = (start.map(InlineKey::new), self.range.end().map(InlineKey::new));
        self.stretch.clear();
        Ok(self.copy_stretch(bounds, true))
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        let own = self.range.end();
        let end = match own {
            Bound::Included(end) | Bound::Excluded(end) if end < key => own,
            _ => Bound::Excluded(key),
        };
        let bounds = (self.range.start().map(InlineKey::new), end.map(InlineKey::new));
        self.stretch.clear();
        Ok(self.copy_stretch(bounds, false))
    }

    fn next(&mut self) -> Result<bool> {
        Ok(self.step(true))
    }

    fn prev(&mut self) -> Result<bool> {
        Ok(self.step(false))
    }

    fn key(&self) -> &[u8] {
        self.current().0.bytes()
    }

    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        let (key, value) = self.current();
        Ok((key.bytes(), value))
    }
}

impl StretchCursor {
    fn current(&self) -> &(InlineKey, Arc<[u8]>) {
        match self.place {
            Place::At(at) => &self.stretch[at],
            _ => panic!("the cursor stands on no entry"),
        }
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
