//! The places of versions that a history states: commit numbers, and the indexes of elements in lists that were read.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use kv::{Error, Result};

use super::model::{History, KeyId, Outcome, RecordedOperation, ValueId};
use super::write_index::{Write, WriteIndex};

/// The longest list that a committed transaction read of a key, without its own elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct LongestList<'h> {
    pub(super) reader: u32,
    pub(super) elements: &'h [ValueId],
}

/// The places of versions that the history states.
#[derive(Debug)]
pub(super) struct Placement {
    /// For each key, whether transactions append to it.
    lists: Vec<bool>,
    /// For each write, its index in the longest list of its key.
    list_index: Vec<Option<u32>>,
}

impl Placement {
    /// # Errors
    /// `InvalidArgument` for a key that transactions both write and append to.
    pub(super) fn new(history: &History, writes: &WriteIndex) -> Result<Self> {
        let mut placement = Self { lists: vec![false; history.keys.len()], list_index: Vec::new() };
        for write in writes.all().iter().filter(|write| write.append) {
            placement.lists[write.key.0 as usize] = true;
        }
        let mixed = |write: &&Write| placement.lists[write.key.0 as usize] && !write.append;
        if let Some(mixed) = writes.all().iter().find(mixed) {
            let key = history.key_text(mixed.key);
            let what = format!("transactions of the history both write and append to key {key:?}");
            return Err(Error::InvalidArgument(what));
        }
        placement.list_index = vec![None; writes.all().len()];
        for (&key, longest) in &longest_lists(history) {
            for (index, &element) in longest.elements.iter().enumerate() {
                for write in writes.range_of(key, element) {
                    placement.list_index[write] = Some(index as u32);
                }
            }
        }
        Ok(placement)
    }

    /// Whether transactions append to `key`.
    pub(super) fn is_list(&self, key: KeyId) -> bool {
        self.lists[key.0 as usize]
    }

    /// The place of a version among those of its key, from 1.
    pub(super) fn of(&self, history: &History, index: usize, write: &Write) -> Option<u64> {
        if self.lists[write.key.0 as usize] {
            return self.list_index[index].map(|index| u64::from(index) + 1);
        }
        history.transactions[write.transaction as usize].commit
    }
}

/// The longest list of each key.
pub(super) fn longest_lists(history: &History) -> HashMap<KeyId, LongestList<'_>, RandomState> {
    let mut longest: HashMap<KeyId, LongestList<'_>, RandomState> = HashMap::default();
    each_list(history, &mut |reader, key, elements| {
        let known = longest.entry(key).or_insert(LongestList { reader, elements });
        if elements.len() > known.elements.len() {
            *known = LongestList { reader, elements };
        }
    });
    longest
}

/// Calls `visit` with the reader, the key and the foreign part of each list that a committed transaction read.
pub(super) fn each_list<'h>(
    history: &'h History,
    visit: &mut dyn FnMut(u32, KeyId, &'h [ValueId]),
) {
    let mut appended: Vec<KeyId> = Vec::new();
    for (index, transaction) in history.transactions.iter().enumerate() {
        if transaction.outcome != Outcome::Committed {
            continue;
        }
        appended.clear();
        for &operation in history.operations_of(index) {
            match operation {
                RecordedOperation::Append { key, .. } => appended.push(key),
                RecordedOperation::ReadList { key, first, len } => {
                    let elements = history.list(first, len);
                    let own = appended.iter().filter(|&&own| own == key).count();
                    visit(index as u32, key, &elements[..elements.len().saturating_sub(own)]);
                }
                RecordedOperation::Read { .. }
                | RecordedOperation::Write { .. }
                | RecordedOperation::Scan { .. } => {}
            }
        }
    }
}
