//! Batches of writes that become visible and durable together or not at all.
//!
//! A batch gets one sequence number, so it may name a key only once: it keeps the *last* operation of each key, and a
//! range deletion swallows the operations before it that it covers. What is left is canonical and its order no longer
//! matters: first the range deletions, which hide older entries only, then the operations, one per key.
//!
//! Keys and values lie in one buffer. Up to [`LINEAR_OPS`] operations are searched one by one; beyond that a hash
//! index finds the earlier operation of a key.

use std::hash::{BuildHasher, RandomState};

use crate::{KeyRange, UnixMillis};

/// Below this many operations comparing keys beats hashing them.
const LINEAR_OPS: usize = 8;

/// One operation of a batch on one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op<'b> {
    /// The key gets this value.
    Put {
        /// The key.
        key: &'b [u8],
        /// Its new value.
        value: &'b [u8],
    },
    /// The key gets this value until a moment; from then on it is absent.
    PutExpiring {
        /// The key.
        key: &'b [u8],
        /// Its new value.
        value: &'b [u8],
        /// When the entry ends.
        expires_at: UnixMillis,
    },
    /// The key becomes absent.
    Delete {
        /// The key.
        key: &'b [u8],
    },
}

impl<'b> Op<'b> {
    /// The key that the operation is about.
    pub fn key(&self) -> &'b [u8] {
        match self {
            Self::Put { key, .. } | Self::PutExpiring { key, .. } | Self::Delete { key } => key,
        }
    }

    /// The new value; empty for a deletion.
    pub fn value(&self) -> &'b [u8] {
        match self {
            Self::Put { value, .. } | Self::PutExpiring { value, .. } => value,
            Self::Delete { .. } => &[],
        }
    }
}

/// A set of writes to apply atomically, canonical at all times: at most one operation per key.
///
/// ```
/// let mut batch = kv::WriteBatch::new();
/// batch.put(b"k", b"1").put(b"k", b"2").delete(b"old");
/// assert_eq!(batch.len(), 2);
/// assert_eq!(batch.ops().next(), Some(kv::Op::Put { key: b"k", value: b"2" }));
/// ```
#[derive(Clone, Debug, Default)]
pub struct WriteBatch {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    ranges: Vec<KeyRange>,
    index: Index,
    live: usize,
}

/// Where an operation lies in the buffer.
#[derive(Clone, Copy, Debug)]
struct Slot {
    at: usize,
    key_len: usize,
    value_len: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Put,
    PutExpiring(UnixMillis),
    Delete,
    /// Swallowed by a later range deletion.
    Gone,
}

impl WriteBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `key` to `value`.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> &mut Self {
        self.push(key, value, Kind::Put)
    }

    /// Sets `key` to `value` until `expires_at`. Not every engine has expiry.
    pub fn put_expiring(&mut self, key: &[u8], value: &[u8], expires_at: UnixMillis) -> &mut Self {
        self.push(key, value, Kind::PutExpiring(expires_at))
    }

    /// Removes `key`, whether it is there or not.
    pub fn delete(&mut self, key: &[u8]) -> &mut Self {
        self.push(key, &[], Kind::Delete)
    }

    /// Removes every key in `range`, including what this batch has put so far. Not every engine has range deletion.
    pub fn delete_range(&mut self, range: KeyRange) -> &mut Self {
        for at in 0..self.slots.len() {
            let slot = self.slots[at];
            if slot.kind != Kind::Gone && range.contains(self.key_of(slot)) {
                self.slots[at].kind = Kind::Gone;
                self.live -= 1;
            }
        }
        self.ranges.push(range);
        self
    }

    /// The operations, one per key, to be applied after the range deletions.
    pub fn ops(&self) -> impl Iterator<Item = Op<'_>> {
        self.slots.iter().filter(|slot| slot.kind != Kind::Gone).map(|&slot| self.op_of(slot))
    }

    /// The range deletions, to be applied before the operations.
    pub fn delete_ranges(&self) -> &[KeyRange] {
        &self.ranges
    }

    /// How many operations and range deletions there are.
    pub fn len(&self) -> usize {
        self.live + self.ranges.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets everything and keeps the memory, to build the next batch in.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.slots.clear();
        self.ranges.clear();
        self.index.places.clear();
        self.live = 0;
    }

    fn push(&mut self, key: &[u8], value: &[u8], kind: Kind) -> &mut Self {
        let slot = Slot { at: self.bytes.len(), key_len: key.len(), value_len: value.len(), kind };
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        if let Some(earlier) = self.find_or_index(key) {
            self.live += usize::from(self.slots[earlier].kind == Kind::Gone);
            self.slots[earlier] = slot;
        } else {
            self.slots.push(slot);
            self.live += 1;
        }
        self
    }

    /// The slot of an earlier operation on `key`; if there is none, indexes `key` for the slot about to be pushed.
    fn find_or_index(&mut self, key: &[u8]) -> Option<usize> {
        if self.slots.len() < LINEAR_OPS {
            return (0..self.slots.len()).find(|&at| self.key_of(self.slots[at]) == key);
        }
        if self.index.is_full(self.slots.len()) {
            self.rebuild_index();
        }
        let mut place = self.index.start(key);
        while let Some(at) = self.index.slot_at(place) {
            if self.key_of(self.slots[at]) == key {
                return Some(at);
            }
            place = self.index.after(place);
        }
        self.index.places[place] = self.slots.len() as u32 + 1;
        None
    }

    fn rebuild_index(&mut self) {
        let mut index = std::mem::take(&mut self.index);
        index.places.clear();
        index.places.resize((self.slots.len() * 4).next_power_of_two(), 0);
        for (at, &slot) in self.slots.iter().enumerate() {
            let mut place = index.start(self.key_of(slot));
            while index.slot_at(place).is_some() {
                place = index.after(place);
            }
            index.places[place] = at as u32 + 1;
        }
        self.index = index;
    }

    fn key_of(&self, slot: Slot) -> &[u8] {
        &self.bytes[slot.at..slot.at + slot.key_len]
    }

    fn op_of(&self, slot: Slot) -> Op<'_> {
        let key = self.key_of(slot);
        let value_at = slot.at + slot.key_len;
        let value = &self.bytes[value_at..value_at + slot.value_len];
        match slot.kind {
            Kind::Put => Op::Put { key, value },
            Kind::PutExpiring(expires_at) => Op::PutExpiring { key, value, expires_at },
            Kind::Delete | Kind::Gone => Op::Delete { key },
        }
    }
}

/// Finds operations by the hash of their key, by open addressing; filled only once a batch is large enough to pay for
/// it. Hashes are keyed at random, so that nobody can choose keys that collide.
#[derive(Clone, Debug, Default)]
struct Index {
    state: RandomState,
    /// Number of a slot plus one, or 0 where nothing is. The length is a power of two.
    places: Vec<u32>,
}

impl Index {
    fn is_full(&self, slots: usize) -> bool {
        slots * 2 >= self.places.len()
    }

    fn start(&self, key: &[u8]) -> usize {
        self.state.hash_one(key) as usize & (self.places.len() - 1)
    }

    fn after(&self, place: usize) -> usize {
        (place + 1) & (self.places.len() - 1)
    }

    fn slot_at(&self, place: usize) -> Option<usize> {
        self.places[place].checked_sub(1).map(|at| at as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_operation_on_a_key_wins_in_small_and_large_batches() {
        for keys in [3_u32, 200] {
            let mut batch = WriteBatch::new();
            for round in 0..3_u32 {
                for key in 0..keys {
                    batch.put(&key.to_be_bytes(), &(round * keys + key).to_be_bytes());
                }
            }
            batch.delete(&0_u32.to_be_bytes());
            assert_eq!(batch.len(), keys as usize);
            for op in batch.ops() {
                let key = u32::from_be_bytes(op.key().try_into().unwrap());
                match op {
                    Op::Put { value, .. } => assert_eq!(value, (2 * keys + key).to_be_bytes()),
                    Op::Delete { .. } => assert_eq!(key, 0),
                    Op::PutExpiring { .. } => panic!("no such operation was pushed"),
                }
            }
        }
    }

    #[test]
    fn a_range_deletion_swallows_what_came_before_it_only() {
        let mut batch = WriteBatch::new();
        batch.put(b"a", b"1").put(b"b", b"2").delete_range(KeyRange::all()).put(b"b", b"3");
        assert_eq!(batch.ops().collect::<Vec<_>>(), [Op::Put { key: b"b", value: b"3" }]);
        assert_eq!((batch.len(), batch.delete_ranges().len()), (2, 1));
    }

    #[test]
    fn a_cleared_batch_is_empty_and_usable() {
        let mut batch = WriteBatch::new();
        for key in 0..100_u8 {
            batch.put(&[key], b"");
        }
        batch.clear();
        assert!(batch.is_empty());
        assert_eq!(batch.put(&[7], b"x").len(), 1);
    }
}
