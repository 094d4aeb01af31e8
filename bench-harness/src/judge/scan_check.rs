//! Judges the stamps of a scan.
//!
//! Always: keys strictly ascend, lie in the range, and every value is right for its key. When nobody else writes, the answer
//! is known exactly: no entry may be missing, none may be stale.

use std::ops::Bound;

use kv::KeyRange;

use super::Judge;
use crate::client::{EntryStamp, Planned, scan_range};
use crate::dataset::Dataset;
use crate::failure::{Failure, Outcome};
use crate::model::Model;
use crate::values::digest;

/// The entries that one scan must return.
pub(super) struct ScanCheck<'j> {
    dataset: &'j Dataset,
    model: &'j Model,
    range: KeyRange,
    length: usize,
    is_exact: bool,
}

impl<'j> ScanCheck<'j> {
    /// The expectation of the scan `planned`; `is_exact` when nobody else writes.
    pub(super) fn new(
        judge: &'j Judge<'_>,
        planned: Planned,
        prefix_bytes: Option<usize>,
        is_exact: bool,
    ) -> Self {
        let mut key = Vec::new();
        judge.dataset.keys.write_key(planned.id, &mut key);
        let range = scan_range(&key, prefix_bytes);
        let (dataset, model, length) = (judge.dataset, &judge.model, planned.extra as usize);
        Self { dataset, model, range, length, is_exact }
    }

    /// Judges the entries that the scan found.
    pub(super) fn judge(&self, found: &[EntryStamp]) -> Outcome<()> {
        let mut expected = self.expected_ids();
        let (mut previous, mut key): (Option<Vec<u8>>, _) = (None, Vec::new());
        for entry in found {
            check_key(self.dataset, entry, &mut key)?;
            let is_behind = previous.as_ref().is_none_or(|previous| *previous < key);
            if !is_behind || !self.range.contains(&key) {
                return Err(self.wrong("out of order", entry.id));
            }
            previous.get_or_insert_default().clone_from(&key);
            if let Some(expected) = &mut expected {
                let wanted = expected.next();
                if wanted != Some(entry.id) {
                    return Err(self.lost_or_risen(wanted, entry.id));
                }
                if entry.version != self.model.state(entry.id).version() {
                    return Err(self.wrong("with an old value", entry.id));
                }
            }
        }
        match expected.and_then(|mut rest| rest.next()) {
            Some(id) if found.len() < self.length => Err(Failure::wrong_data(format!(
                "a scan ended before {}",
                self.dataset.show_key(id)
            ))),
            _ => Ok(()),
        }
    }

    fn wrong(&self, what: &str, id: u32) -> Failure {
        Failure::wrong_data(format!("a scan found {} {what}", self.dataset.show_key(id)))
    }

    fn lost_or_risen(&self, wanted: Option<u32>, found: u32) -> Failure {
        match wanted {
            Some(wanted) => {
                self.wrong(&format!("where {} comes first", self.dataset.show_key(wanted)), found)
            }
            None => self.wrong("that is not there", found),
        }
    }

    /// The present ids of the range in key order, where they are known.
    fn expected_ids(&self) -> Option<impl Iterator<Item = u32>> {
        let order = self.dataset.order.as_ref().filter(|_| self.is_exact)?;
        let from = match self.range.start() {
            Bound::Included(start) | Bound::Excluded(start) => start,
            Bound::Unbounded => &[],
        };
        let mut key = Vec::new();
        let in_range = move |id: &u32| {
            self.dataset.keys.write_key(*id, &mut key);
            self.range.contains(&key)
        };
        let ids = order.ids_from(&self.dataset.keys, from).iter().copied();
        let present = |id: &u32| self.model.state(*id).is_present();
        Some(ids.take_while(in_range).filter(present))
    }
}

/// Writes the key of `entry` into `key`, and compares it with the one that the engine returned.
pub(crate) fn check_key(dataset: &Dataset, entry: &EntryStamp, key: &mut Vec<u8>) -> Outcome<()> {
    assert!(entry.id < dataset.capacity, "a wrong entry comes with a complaint");
    dataset.keys.write_key(entry.id, key);
    if digest(key) == entry.key_digest {
        return Ok(());
    }
    let id = entry.id;
    Err(Failure::wrong_data(format!("a scan found another key with the value of key number {id}")))
}
