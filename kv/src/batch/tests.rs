use std::collections::BTreeMap;

use super::*;

/// An operation with its own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Own {
    Put(Vec<u8>),
    PutExpiring(Vec<u8>, UnixMillis),
    Delete,
}

impl Own {
    fn value_len(&self) -> usize {
        match self {
            Self::Put(value) | Self::PutExpiring(value, _) => value.len(),
            Self::Delete => 0,
        }
    }
}

/// The content that a batch must have.
#[derive(Default)]
struct Model {
    ops: BTreeMap<Vec<u8>, Own>,
    ranges: Vec<KeyRange>,
}

impl Model {
    fn check(&self, batch: &WriteBatch) {
        let mut ops = BTreeMap::new();
        for op in batch.ops() {
            let own = match op {
                Op::Put { value, .. } => Own::Put(value.to_vec()),
                Op::PutExpiring { value, expires_at, .. } => {
                    Own::PutExpiring(value.to_vec(), expires_at)
                }
                Op::Delete { .. } => Own::Delete,
            };
            assert!(ops.insert(op.key().to_vec(), own).is_none(), "a key comes twice");
        }
        assert_eq!(ops, self.ops);
        assert_eq!(batch.delete_ranges(), self.ranges);
        assert_eq!(batch.len(), self.ops.len() + self.ranges.len());
        assert_eq!(batch.is_empty(), self.ops.is_empty() && self.ranges.is_empty());
        let bytes = self.ops.iter().map(|(key, own)| key.len() + own.value_len()).sum();
        assert_eq!(batch.byte_size(), bytes);
        assert!(batch.bytes.len() <= 2 * bytes + SLACK_BYTES, "{} bytes", batch.bytes.len());
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % below
    }
}

#[test]
fn a_batch_is_a_map_of_the_last_operations() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let (mut batch, mut model) = (WriteBatch::new(), Model::default());
        let (keys, ascending) = (1 + random.below(120), random.below(3) == 0);
        for step in 0..300 {
            let number = if ascending { step / 2 } else { random.below(keys) };
            let key = format!("key {number:04}").into_bytes();
            let value =
                vec![step as u8; random.below(if seed % 2 == 0 { 9 } else { 400 }) as usize];
            match random.below(200) {
                0 => {
                    batch.clear();
                    model = Model::default();
                }
                1 | 2 => {
                    let range = KeyRange::new(&key[..]..);
                    model.ops.retain(|key, _| !range.contains(key));
                    model.ranges.push(range.clone());
                    batch.delete_range(range);
                }
                3..40 => {
                    batch.delete(&key);
                    model.ops.insert(key, Own::Delete);
                }
                40..80 => {
                    let expires_at = UnixMillis(step);
                    batch.put_expiring(&key, &value, expires_at);
                    model.ops.insert(key, Own::PutExpiring(value, expires_at));
                }
                _ => {
                    batch.put(&key, &value);
                    model.ops.insert(key, Own::Put(value));
                }
            }
            model.check(&batch);
        }
    }
}

#[test]
fn ascending_keys_are_neither_searched_nor_hashed() {
    let mut batch = WriteBatch::with_capacity(1_000, 4_000);
    let capacity = (batch.slots.capacity(), batch.bytes.capacity());
    for key in 0..1_000_u32 {
        batch.put(&key.to_be_bytes(), b"");
    }
    // Overwriting and deleting known keys keeps the order.
    batch.put(&7_u32.to_be_bytes(), b"").delete(&999_u32.to_be_bytes());
    assert!(!batch.is_unordered && batch.index.is_empty());
    assert_eq!((batch.len(), batch.byte_size()), (1_000, 4_000));
    assert_eq!((batch.slots.capacity(), batch.bytes.capacity()), capacity, "nothing had to grow");
    // A new key before the last one ends it.
    batch.put(b"\0\0\0\x07\0", b"");
    assert!(batch.is_unordered && !batch.index.is_empty());
}

#[test]
fn a_value_that_is_overwritten_again_and_again_takes_the_space_of_two() {
    let mut batch = WriteBatch::new();
    batch.put(b"first", b"x");
    for round in 0..10_000_usize {
        batch.put(b"counter", &vec![1; 100 + round % 7]);
        batch.put(b"other", &vec![2; 200 - round % 5]);
        assert!(batch.bytes.len() <= 2 * batch.byte_size() + SLACK_BYTES);
    }
    assert_eq!(batch.len(), 3);
    assert!(batch.bytes.capacity() < 4_096, "{}", batch.bytes.capacity());
}

#[test]
fn a_range_deletion_removes_the_operations_before_it_only() {
    let mut batch = WriteBatch::new();
    batch.put(b"a", b"1").put(b"b", b"2").delete_range(KeyRange::all()).put(b"b", b"3");
    assert_eq!(batch.ops().collect::<Vec<_>>(), [Op::Put { key: b"b", value: b"3" }]);
    assert_eq!((batch.len(), batch.delete_ranges().len()), (2, 1));
}

#[test]
fn a_cleared_batch_is_empty_and_usable() {
    let mut batch = WriteBatch::new();
    for key in (0..100_u8).rev() {
        batch.put(&[key], b"");
    }
    batch.clear();
    assert!(batch.is_empty() && batch.byte_size() == 0);
    assert_eq!(batch.put(&[7], b"x").put(&[3], b"y").put(&[7], b"z").len(), 2);
}

/// The slot of the empty key lay at the end of the buffer, and the end moves back when the last operation is replaced.
#[test]
fn an_operation_without_bytes_survives_a_replacement_of_the_last_one() {
    let mut batch = WriteBatch::new();
    batch.put(b"k", &[1; 100]).delete(b"").put(b"k", b"2").put(b"x", b"3");
    let ops: Vec<Op<'_>> = batch.ops().collect();
    assert_eq!(ops.len(), 3);
    assert!(ops.contains(&Op::Delete { key: b"" }));
    assert!(ops.contains(&Op::Put { key: b"k", value: b"2" }));
}
