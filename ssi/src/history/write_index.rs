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
        Self { writes }
    }

    /// The writes of `value` to `key`, in the order of their transactions.
    pub(super) fn of(&self, key: KeyId, value: ValueId) -> &[Write] {
        &self.writes[self.range_of(key, value)]
    }

    /// As [`WriteIndex::of`], as indexes of [`WriteIndex::all`].
    pub(super) fn range_of(&self, key: KeyId, value: ValueId) -> std::ops::Range<usize> {
        let start = self.writes.partition_point(|write| (write.key, write.value) < (key, value));
        let len = self.writes[start..]
            .iter()
            .take_while(|write| (write.key, write.value) == (key, value))
            .count();
        start..start + len
    }

    /// Every write, by key and value.
    pub(super) fn all(&self) -> &[Write] {
        &self.writes
    }
}
