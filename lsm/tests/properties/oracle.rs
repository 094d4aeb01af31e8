//! The answers that reads must give.

use std::collections::BTreeMap;

use crate::contents::Entry;

/// A write of a history.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    Put { key: u64, bytes: u64, expires: Option<u64> },
    Delete { key: u64 },
    DeleteRange { smallest: u64, largest: u64 },
}

impl Operation {
    pub(crate) fn put(key: u64, bytes: u64) -> Self {
        Self::Put { key, bytes, expires: None }
    }
}

/// The newest entry of each key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Oracle {
    newest: BTreeMap<u64, Entry>,
}

impl Oracle {
    pub(crate) fn insert(&mut self, entry: Entry) {
        self.newest.insert(entry.key, entry);
    }

    pub(crate) fn delete_range(&mut self, smallest: u64, largest: u64, sequence: u64) {
        for (key, entry) in self.newest.range_mut(smallest..=largest) {
            *entry = Entry::tombstone(*key, sequence);
        }
    }

    /// Compares the answers of `find` for a reader with the time `now`.
    pub(crate) fn check(
        &self,
        now: u64,
        find: impl Fn(u64) -> Option<Entry>,
    ) -> Result<(), String> {
        for (key, newest) in &self.newest {
            let found = find(*key);
            let is_right = match found {
                Some(entry) if newest.is_dead(now) => entry.is_dead(now),
                Some(entry) => entry == *newest,
                None => newest.is_dead(now),
            };
            if !is_right {
                return Err(format!("P3: key {key} at time {now}: {found:?}, not {newest:?}"));
            }
        }
        Ok(())
    }
}
