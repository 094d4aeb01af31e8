//! Batches of writes that become visible and durable together or not at all.
//!
//! A batch gets one sequence number, so it names each key at most once: it keeps the *last* operation of each key, and a
//! range deletion removes the earlier operations that it covers. The result is canonical, and its order no longer matters:
//! first the range deletions, which hide older entries only, then the operations, one per key.
//!
//! # How an earlier operation is found
//! - While keys arrive in ascending order, a key greater than the last one is new: one comparison, no search, no hash.
//!   Another key is found by binary search.
//! - Otherwise up to [`LINEAR_OPS`] operations are compared one by one, and beyond that a hash index finds them.
//!
//! # Memory
//! Keys and values lie in one buffer. An overwritten value of the same length is replaced in place; other bytes that are no
//! longer needed stay until they are more than the bytes in use, and are then removed by copying the rest. So the buffer
//! holds at most twice [`WriteBatch::byte_size`] and [`SLACK_BYTES`] more.

use crate::{KeyRange, UnixMillis};

mod index;

use index::Index;

/// Up to this many operations, comparing keys costs less than hashing them.
const LINEAR_OPS: usize = 8;

/// Unused bytes that are not worth a copy.
const SLACK_BYTES: usize = 1 << 10;

/// One operation of a batch on one key.
///
/// An engine has to decide about each kind, so this enum is exhaustive: a further kind is a breaking change.
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
    /// The key of the operation.
    pub fn key(&self) -> &'b [u8] {
        match self {
            Self::Put { key, .. } | Self::PutExpiring { key, .. } | Self::Delete { key } => key,
        }
    }

    /// The new value; empty for a delete.
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
/// assert_eq!((batch.len(), batch.byte_size()), (2, 5));
/// assert_eq!(batch.ops().next(), Some(kv::Op::Put { key: b"k", value: b"2" }));
/// ```
#[derive(Clone, Debug, Default)]
pub struct WriteBatch {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    ranges: Vec<KeyRange>,
    index: Index,
    /// The keys of the slots do not ascend.
    is_unordered: bool,
    /// Slots that are not [`Kind::Removed`].
    live_ops: usize,
    /// Bytes of the buffer that these slots use.
    live_bytes: usize,
}

/// The place of an operation in the buffer: the key, and the value right behind it.
#[derive(Clone, Copy, Debug)]
struct Slot {
    start: usize,
    key_len: usize,
    value_len: usize,
    kind: Kind,
}

impl Slot {
    fn len(&self) -> usize {
        self.key_len + self.value_len
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Put,
    PutExpiring(UnixMillis),
    Delete,
    /// Covered by a later range deletion.
    Removed,
}

impl WriteBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty batch with room for `ops` operations with `bytes` bytes of keys and values.
    pub fn with_capacity(ops: usize, bytes: usize) -> Self {
        let (slots, bytes) = (Vec::with_capacity(ops), Vec::with_capacity(bytes));
        Self { bytes, slots, ..Self::default() }
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

    /// Removes every key in `range`, including the keys that this batch has put so far. Not every engine has range
    /// deletion.
    pub fn delete_range(&mut self, range: KeyRange) -> &mut Self {
        for at in 0..self.slots.len() {
            let slot = self.slots[at];
            if slot.kind != Kind::Removed && range.contains(self.key_of(slot)) {
                debug_assert!(self.live_ops > 0, "the operation was counted");
                debug_assert!(self.live_bytes >= slot.len(), "and its bytes");
                self.slots[at].kind = Kind::Removed;
                self.live_ops -= 1;
                self.live_bytes -= slot.len();
            }
        }
        self.ranges.push(range);
        self.compact_if_wasteful();
        self
    }

    /// The operations, one per key, to be applied after the range deletions.
    pub fn ops(&self) -> impl Iterator<Item = Op<'_>> {
        self.slots.iter().filter_map(|&slot| self.op_of(slot))
    }

    /// The range deletions, to be applied before the operations.
    pub fn delete_ranges(&self) -> &[KeyRange] {
        &self.ranges
    }

    /// The number of operations and range deletions.
    pub fn len(&self) -> usize {
        self.live_ops + self.ranges.len()
    }

    /// The bytes of the keys and values of all operations. Range deletions do not count.
    pub fn byte_size(&self) -> usize {
        self.live_bytes
    }

    /// Whether the batch has neither operations nor range deletions.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets everything and keeps the memory, to build the next batch in.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.slots.clear();
        self.ranges.clear();
        self.index.clear();
        self.is_unordered = false;
        (self.live_ops, self.live_bytes) = (0, 0);
        debug_assert!(self.is_empty() && self.byte_size() == 0, "nothing is left");
    }

    fn push(&mut self, key: &[u8], value: &[u8], kind: Kind) -> &mut Self {
        assert!(kind != Kind::Removed);
        if let Some(at) = self.find_or_index(key) {
            self.replace(at, key, value, kind);
        } else {
            let slot = self.append(key, value, kind);
            self.slots.push(slot);
            self.live_ops += 1;
            self.live_bytes += slot.len();
        }
        debug_assert!(self.live_bytes <= self.bytes.len() && self.live_ops <= self.slots.len());
        self
    }

    fn append(&mut self, key: &[u8], value: &[u8], kind: Kind) -> Slot {
        // A slot without bytes lies at the beginning, because the end moves back when the last operation is replaced.
        let is_bare = key.is_empty() && value.is_empty();
        let start = if is_bare { 0 } else { self.bytes.len() };
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        let slot = Slot { start, key_len: key.len(), value_len: value.len(), kind };
        debug_assert!(slot.start + slot.len() <= self.bytes.len(), "the bytes lie in the buffer");
        debug_assert_eq!(self.key_of(slot), key, "the key reads back");
        slot
    }

    /// Replaces the operation of slot `at`, which has the same key.
    fn replace(&mut self, at: usize, key: &[u8], value: &[u8], kind: Kind) {
        let old = self.slots[at];
        debug_assert_eq!(self.key_of(old), key);
        if old.kind == Kind::Removed {
            self.live_ops += 1;
        } else {
            self.live_bytes -= old.len();
        }
        self.slots[at] = if old.value_len == value.len() {
            let value_start = old.start + old.key_len;
            self.bytes[value_start..value_start + value.len()].copy_from_slice(value);
            Slot { kind, ..old }
        } else {
            if old.start + old.len() == self.bytes.len() {
                // The old operation is the last in the buffer: its bytes go at once.
                self.bytes.truncate(old.start);
            }
            self.append(key, value, kind)
        };
        self.live_bytes += self.slots[at].len();
        debug_assert_eq!(self.key_of(self.slots[at]), key, "the slot keeps its key");
        self.compact_if_wasteful();
    }

    /// The slot of an earlier operation on `key`. `None`: no such slot; the caller pushes one, and it is indexed already.
    fn find_or_index(&mut self, key: &[u8]) -> Option<usize> {
        if !self.is_unordered {
            match self.slots.last().map(|&last| self.key_of(last).cmp(key)) {
                // The key is greater than all others.
                None | Some(std::cmp::Ordering::Less) => return None,
                Some(_) => {
                    let rank = self.slots.partition_point(|&slot| self.key_of(slot) < key);
                    if self.slots.get(rank).is_some_and(|&slot| self.key_of(slot) == key) {
                        return Some(rank);
                    }
                    // The key is new and belongs before the last one: from now on keys are in no order.
                    self.is_unordered = true;
                }
            }
        }
        if self.slots.len() < LINEAR_OPS {
            return (0..self.slots.len()).find(|&at| self.key_of(self.slots[at]) == key);
        }
        let (bytes, slots) = (&self.bytes, &self.slots);
        let key_at = |at: usize| &bytes[slots[at].start..slots[at].start + slots[at].key_len];
        self.index.find_or_insert(key, slots.len(), key_at)
    }

    /// Copies the bytes in use into a new buffer once the others are more.
    fn compact_if_wasteful(&mut self) {
        debug_assert!(self.live_bytes <= self.bytes.len(), "operations lie in the buffer");
        let unused = self.bytes.len() - self.live_bytes;
        if unused <= self.live_bytes + SLACK_BYTES {
            return;
        }
        let mut bytes = Vec::with_capacity(self.live_bytes * 2);
        self.slots.retain_mut(|slot| {
            let old = &self.bytes[slot.start..slot.start + slot.len()];
            slot.start = if old.is_empty() { 0 } else { bytes.len() };
            let is_live = slot.kind != Kind::Removed;
            if is_live {
                bytes.extend_from_slice(old);
            }
            is_live
        });
        assert_eq!((bytes.len(), self.slots.len()), (self.live_bytes, self.live_ops));
        self.bytes = bytes;
        // Slots have moved: the next search builds the index anew.
        self.index.clear();
    }

    fn key_of(&self, slot: Slot) -> &[u8] {
        &self.bytes[slot.start..slot.start + slot.key_len]
    }

    fn op_of(&self, slot: Slot) -> Option<Op<'_>> {
        let (key, value) = self.bytes[slot.start..slot.start + slot.len()].split_at(slot.key_len);
        match slot.kind {
            Kind::Put => Some(Op::Put { key, value }),
            Kind::PutExpiring(expires_at) => Some(Op::PutExpiring { key, value, expires_at }),
            Kind::Delete => Some(Op::Delete { key }),
            Kind::Removed => None,
        }
    }
}

#[cfg(test)]
mod tests;
