//! `bound:btree`: the bound for every ordered engine: a B+tree in memory whose cursors lend entries in place.
//!
//! - A leaf holds its keys and values in one buffer of 16 KiB. A step of a cursor moves an index, copies and allocates
//!   nothing, and compares no keys: the entries of a leaf that lie in the range are found once for each leaf.
//! - A cursor keeps the root as it was. A writer changes nodes in place, and copies those that a cursor still reads. So
//!   scans are frozen, and neither side waits for the other.
//! - A put searches a few levels and appends to a leaf.
//!
//! It leaves out the costs of a real engine: no log and no file, so nothing survives the process. Leaves that deletes
//! have emptied stay. Values lie in leaves whatever their size, so a put beside a large one copies that one.

mod cursor;
mod inline_key;
mod leaf;
mod tree;

use kv::{
    Capabilities, Cursor, Durability, KeyRange, Kv, Op, Result, ScanSupport, SequenceNumber, Stats,
    Unit, WriteBatch,
};
use parking_lot::RwLock;

use self::cursor::TreeCursor;
use self::inline_key::SoughtKey;
use self::tree::Node;
use super::Registration;

pub(super) const REGISTRATION: Registration = Registration {
    name: "bound:btree",
    about: "yardstick: a B+tree in memory whose frozen scans lend entries in place; no log",
    version: env!("CARGO_PKG_VERSION"),
    classes: &[Durability::None],
    open: |_, _| Ok(Box::new(BoundBtree::default())),
    settings: |_| "everything in memory, whatever the budget; leaves of 16 KiB".into(),
};

#[derive(Debug, Default)]
struct BoundBtree {
    state: RwLock<TreeState>,
}

/// The tree and its counters, under one lock.
#[derive(Debug, Default)]
struct TreeState {
    root: Node,
    entries: u64,
    newest: SequenceNumber,
}

impl Kv for BoundBtree {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let state = self.state.read();
        let value = state.root.get(key);
        value.inspect(|value| found(value));
        Ok(value.is_some())
    }

    fn write(&self, batch: &WriteBatch, _: Durability) -> Result<SequenceNumber> {
        self.capabilities().check(batch)?;
        let mut state = self.state.write();
        for op in batch.ops() {
            match op {
                Op::Delete { key } => {
                    let was_there = state.root.remove(&SoughtKey::new(key));
                    debug_assert!(state.entries >= u64::from(was_there), "each entry is counted");
                    state.entries -= u64::from(was_there);
                }
                Op::Put { key, value } | Op::PutExpiring { key, value, .. } => {
                    let is_new = state.root.put(key, value);
                    state.entries += u64::from(is_new);
                }
            }
        }
        if !batch.is_empty() {
            state.newest = state.newest.next();
        }
        Ok(state.newest)
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        range.check()?;
        let root = self.state.read().root.clone();
        Ok(Box::new(TreeCursor::new(root, range)))
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(ScanSupport::Ordered, Durability::None)
            .with_max_value_len(kv::MIN_VALUE_LIMIT)
    }

    fn stats(&self) -> Stats {
        Stats::default().with("entries", Unit::Count, self.state.read().entries)
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Bound;

    use kv::memory::MemoryEngine;

    use super::*;
    use crate::random::Random;

    /// A key of a small universe: some are prefixes of others, some are longer than the head of a separator.
    fn key(random: &mut Random) -> Vec<u8> {
        let number = random.below(3_000);
        match number % 4 {
            0 => number.to_be_bytes()[6..].to_vec(),
            1 => [&[b'k'; 30][..], &number.to_be_bytes()].concat(),
            2 => vec![0; number as usize % 60],
            _ => number.to_string().into_bytes(),
        }
    }

    fn value(random: &mut Random) -> Vec<u8> {
        let longest = if random.below(50) == 0 { 20_000 } else { 300 };
        vec![random.bits() as u8; random.below(longest) as usize]
    }

    fn range(random: &mut Random) -> KeyRange {
        let (one, other) = (key(random), key(random));
        let (low, high) = (one.as_slice().min(&other), one.as_slice().max(&other));
        let bound = |kind, key| match kind {
            0 => Bound::Unbounded,
            1 => Bound::Included(key),
            _ => Bound::Excluded(key),
        };
        KeyRange::new((bound(random.below(3), low), bound(random.below(3), high)))
    }

    /// A batch for both engines.
    fn batch(random: &mut Random) -> WriteBatch {
        let mut batch = WriteBatch::new();
        for _ in 0..=random.below(40) {
            let key = key(random);
            match random.below(4) {
                0 => batch.delete(&key),
                _ => batch.put(&key, &value(random)),
            };
        }
        batch
    }

    /// Walks both cursors the same way and compares each step.
    fn walk(random: &mut Random, cursor: &mut dyn Cursor, model: &mut dyn Cursor) {
        let mut is_forward = true;
        for _ in 0..random.below(400) {
            if random.below(20) == 0 {
                is_forward = !is_forward;
            }
            let key = key(random);
            let moves = |cursor: &mut dyn Cursor, kind| match kind {
                0 => cursor.seek_ge(&key),
                1 => cursor.seek_lt(&key),
                _ if is_forward => cursor.next(),
                _ => cursor.prev(),
            };
            let kind = random.below(40);
            let is_on_entry = moves(cursor, kind).unwrap();
            assert_eq!(is_on_entry, moves(model, kind).unwrap());
            if is_on_entry {
                assert_eq!(cursor.key(), model.key());
                assert_eq!(cursor.entry().unwrap(), model.entry().unwrap());
            }
        }
    }

    #[test]
    fn cursors_stay_on_the_moment_at_which_they_were_opened_and_agree_with_the_oracle() {
        for seed in 0..8 {
            let mut random = Random::new(seed, &[]);
            let (engine, oracle) = (BoundBtree::default(), MemoryEngine::new());
            let mut pairs = Vec::new();
            for _ in 0..300 {
                let batch = batch(&mut random);
                engine.write(&batch, Durability::None).unwrap();
                oracle.write(&batch, Durability::None).unwrap();
                let range = range(&mut random);
                pairs.push((engine.scan(range.clone()).unwrap(), oracle.scan(range).unwrap()));
                let at = random.below(pairs.len() as u64) as usize;
                let (cursor, model) = &mut pairs[at];
                walk(&mut random, cursor.as_mut(), model.as_mut());
                if pairs.len() > 4 {
                    pairs.swap_remove(at);
                }
                let key = key(&mut random);
                assert_eq!(engine.get(&key).unwrap(), oracle.get(&key).unwrap());
            }
            assert_eq!(engine.stats().get("entries"), oracle.stats().get("entries"));
        }
    }

    #[test]
    fn a_tree_of_several_levels_is_walked_both_ways_in_any_order_of_loading() {
        const COUNT: u32 = 400_000;
        let in_order = |at| at;
        let far_from_order = |at: u32| (u64::from(at) * 7_919 % u64::from(COUNT)) as u32;
        for id_of in [in_order as fn(u32) -> u32, far_from_order] {
            let engine = BoundBtree::default();
            let mut batch = WriteBatch::new();
            for at in 0..COUNT {
                batch.put(&id_of(at).to_be_bytes(), &[7; 40]);
                if batch.len() == 1_000 {
                    engine.write(&batch, Durability::None).unwrap();
                    batch.clear();
                }
            }
            let mut cursor = engine.scan(KeyRange::all()).unwrap();
            for key in 0..COUNT {
                assert!(cursor.next().unwrap() && cursor.key() == key.to_be_bytes());
            }
            assert!(!cursor.next().unwrap());
            for key in (0..COUNT).rev() {
                assert!(cursor.prev().unwrap() && cursor.key() == key.to_be_bytes());
            }
            assert!(!cursor.prev().unwrap());
        }
    }

    #[test]
    fn deletes_leave_nothing_that_a_cursor_lends() {
        let engine = BoundBtree::default();
        for key in 0..5_000_u32 {
            engine.put(&key.to_be_bytes(), &[1; 100], Durability::None).unwrap();
        }
        for key in 10..4_990_u32 {
            engine.delete(&key.to_be_bytes(), Durability::None).unwrap();
        }
        let mut cursor = engine.scan(KeyRange::all()).unwrap();
        let forward = std::iter::from_fn(|| cursor.next().unwrap().then_some(())).count();
        let backward = std::iter::from_fn(|| cursor.prev().unwrap().then_some(())).count();
        assert_eq!((forward, backward), (20, 20));
        assert!(cursor.seek_ge(&10_u32.to_be_bytes()).unwrap());
        assert_eq!(cursor.key(), 4_990_u32.to_be_bytes());
        assert!(cursor.prev().unwrap());
        assert_eq!(cursor.key(), 9_u32.to_be_bytes());
    }
}
