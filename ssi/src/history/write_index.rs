//! Which transaction wrote a value.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::model::{History, KeyId, RecordedOperation, ValueId};

/// One write of a transaction, whatever became of the transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write {
    pub(super) key: KeyId,
    pub(super) value: ValueId,
    pub(super) transaction: u32,
    /// Whether the transaction wrote nothing to the key later: only that write can become a version.
    pub(super) last: bool,
    /// Whether it appended to a list.
    pub(super) append: bool,
}

/// All writes of a history by key and value.
#[derive(Debug)]
pub(super) struct WriteIndex {
    writes: Vec<Write>,
    /// The first write of each key, and the number of writes.
    starts: Vec<u32>,
}

impl WriteIndex {
    pub(super) fn new(history: &History) -> Self {
        let mut writes = Vec::new();
        let mut newest: HashMap<KeyId, usize, RandomState> = HashMap::default();
        for transaction in 0..history.transactions.len() {
            newest.clear();
            for &operation in history.operations_of(transaction) {
                let (key, value, append) = match operation {
                    RecordedOperation::Write { key, value } => (key, value, false),
                    RecordedOperation::Append { key, value } => (key, value, true),
                    RecordedOperation::Read { .. }
                    | RecordedOperation::ReadList { .. }
                    | RecordedOperation::Scan { .. } => continue,
                };
                if let Some(earlier) = newest.insert(key, writes.len()) {
                    let earlier: &mut Write = &mut writes[earlier];
                    assert_eq!(earlier.key, key, "the map names writes of its key");
                    earlier.last = false;
                }
                writes.push(Write {
                    key,
                    value,
                    transaction: transaction as u32,
                    last: true,
                    append,
                });
            }
        }
        writes
            .sort_unstable_by_key(|write| (write.key, write.value, write.transaction, write.last));
        let mut starts = vec![0_u32; history.keys.len() + 1];
        for write in &writes {
            starts[write.key.0 as usize + 1] += 1;
        }
        for key in 0..history.keys.len() {
            starts[key + 1] += starts[key];
        }
        assert_eq!(starts.last().copied(), Some(writes.len() as u32), "each write has a key");
        Self { writes, starts }
    }

    /// The writes of `value` to `key`, in the order of their transactions.
    pub(super) fn of(&self, key: KeyId, value: ValueId) -> &[Write] {
        &self.writes[self.range_of(key, value)]
    }

    /// As [`WriteIndex::of`], as indexes of [`WriteIndex::all`].
    pub(super) fn range_of(&self, key: KeyId, value: ValueId) -> std::ops::Range<usize> {
        let (first, end) = (self.starts[key.0 as usize], self.starts[key.0 as usize + 1]);
        let of_key = &self.writes[first as usize..end as usize];
        debug_assert!(
            of_key.iter().all(|write| write.key == key),
            "the writes of a key are together"
        );
        let start = of_key.partition_point(|write| write.value < value);
        let len = of_key[start..].iter().take_while(|write| write.value == value).count();
        let start = first as usize + start;
        start..start + len
    }

    /// Every write, by key and value.
    pub(super) fn all(&self) -> &[Write] {
        &self.writes
    }
}
