//! The part of a transaction's reads that other transactions had an influence on.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::model::{ABSENT, History, KeyId, RecordedOperation, ScanBounds, ValueId};

/// What one read of a transaction says about its place among the others.
#[derive(Clone, Copy, Debug)]
pub(super) enum Observation<'h> {
    /// The transaction read `value` of `key`, which it had not written before. Of a list, the last element.
    Value { key: KeyId, value: ValueId },
    /// With its operation `index`, the transaction found no key between `bounds` but those of `entries`. It may have deleted
    /// others before.
    Gap { index: usize, bounds: &'h ScanBounds, entries: &'h [(KeyId, ValueId)] },
    /// The transaction had written `expected` to `key` and then read `value`.
    OwnWriteMissed { key: KeyId, value: ValueId, expected: ValueId },
}

/// Replays one transaction at a time, to tell reads of its own writes from reads of others.
#[derive(Debug, Default)]
pub(super) struct Observer {
    /// The newest own write to a key; the newest element of a list.
    own: HashMap<KeyId, ValueId, RandomState>,
    /// The elements that the transaction appended, in order.
    appended: Vec<(KeyId, ValueId)>,
}

impl Observer {
    /// Calls `visit` with each observation of `transaction`, in the order of its operations.
    pub(super) fn replay<'h>(
        &mut self,
        history: &'h History,
        transaction: usize,
        visit: &mut dyn FnMut(Observation<'h>),
    ) {
        self.own.clear();
        self.appended.clear();
        for (index, &operation) in history.operations_of(transaction).iter().enumerate() {
            match operation {
                RecordedOperation::Write { key, value } => {
                    self.own.insert(key, value);
                }
                RecordedOperation::Append { key, value } => {
                    self.own.insert(key, value);
                    self.appended.push((key, value));
                }
                RecordedOperation::Read { key, value } => self.read(key, value, visit),
                RecordedOperation::ReadList { key, first, len } => {
                    self.read_list(key, history.list(first, len), visit);
                }
                RecordedOperation::Scan { bounds, first, len } => {
                    let bounds = &history.ranges[bounds as usize];
                    let entries = history.scan_entries(first, len);
                    self.scan(history, bounds, entries, visit);
                    visit(Observation::Gap { index, bounds, entries });
                }
            }
        }
    }

    /// The part of a list that others had appended when the transaction read it. `None` if its own elements are missing.
    pub(super) fn foreign_part<'l>(
        &self,
        key: KeyId,
        list: &'l [ValueId],
    ) -> Option<&'l [ValueId]> {
        let own =
            || self.appended.iter().filter(move |(list, _)| *list == key).map(|&(_, value)| value);
        let foreign = list.len().checked_sub(own().count())?;
        own().eq(list[foreign..].iter().copied()).then_some(&list[..foreign])
    }

    fn read<'h>(&self, key: KeyId, value: ValueId, visit: &mut dyn FnMut(Observation<'h>)) {
        match self.own.get(&key) {
            None => visit(Observation::Value { key, value }),
            Some(&expected) if expected == value => {}
            Some(&expected) => visit(Observation::OwnWriteMissed { key, value, expected }),
        }
    }

    fn read_list<'h>(&self, key: KeyId, list: &[ValueId], visit: &mut dyn FnMut(Observation<'h>)) {
        let newest = |list: &[ValueId]| list.last().copied().unwrap_or(ABSENT);
        match self.foreign_part(key, list) {
            Some(foreign) => visit(Observation::Value { key, value: newest(foreign) }),
            None => visit(Observation::OwnWriteMissed {
                key,
                value: newest(list),
                expected: self.own.get(&key).copied().unwrap_or(ABSENT),
            }),
        }
    }

    fn scan<'h>(
        &self,
        history: &'h History,
        bounds: &'h ScanBounds,
        entries: &'h [(KeyId, ValueId)],
        visit: &mut dyn FnMut(Observation<'h>),
    ) {
        for &(key, value) in entries {
            self.read(key, value, visit);
        }
        let mut missed: Vec<(KeyId, ValueId)> = self
            .own
            .iter()
            .map(|(&key, &value)| (key, value))
            .filter(|&(key, value)| value != ABSENT && bounds.contains(history.key_text(key)))
            .filter(|&(key, _)| entries.iter().all(|&(found, _)| found != key))
            .collect();
        missed.sort_unstable();
        for (key, expected) in missed {
            visit(Observation::OwnWriteMissed { key, value: ABSENT, expected });
        }
    }
}
