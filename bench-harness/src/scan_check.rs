//! Judges the entries of a scan.
//!
//! Always: keys strictly ascend, lie in the range, and every value is right for its key and not newer than announced.
//! When one thread is alone with the engine, the answer is known exactly: no entry may be missing, none may be stale.

use kv::KeyRange;

use crate::dataset::{Copied, Dataset};
use crate::failure::{Failure, Outcome};

/// The entries that one scan must return.
pub(crate) struct ScanCheck<'w> {
    dataset: &'w Dataset,
    range: KeyRange,
    exact: bool,
}

impl<'w> ScanCheck<'w> {
    /// The expectation of a scan over `range`; `exact` when nobody else writes.
    pub(crate) fn begin(dataset: &'w Dataset, exact: bool, range: KeyRange) -> Self {
        Self { dataset, range, exact }
    }

    /// Judges the entries found by a scan that wanted `length` of them.
    pub(crate) fn judge(&self, found: &Copied, length: usize) -> Outcome<()> {
        let mut expected = self.expected_ids();
        let mut previous: Option<&[u8]> = None;
        for (key, value) in found.entries() {
            let (id, version) = self.dataset.check_entry(key, value)?;
            let shown = key.escape_ascii();
            if previous.is_some_and(|previous| previous >= key) || !self.range.contains(key) {
                return Err(Failure::wrong_data(format!(
                    "a scan found key \"{shown}\" out of order"
                )));
            }
            previous = Some(key);
            if version > self.dataset.model.issued(id).version() {
                return Err(Failure::wrong_data(format!(
                    "a scan found key \"{shown}\" from the future"
                )));
            }
            if let Some(expected) = &mut expected {
                let wanted = expected.next();
                if wanted != Some(id) {
                    return Err(self.lost_or_risen(wanted, id));
                }
                if version != self.dataset.model.acked(id).version() {
                    return Err(Failure::wrong_data(format!(
                        "a scan found an old value of key \"{shown}\""
                    )));
                }
            }
        }
        match expected.and_then(|mut rest| rest.next()) {
            Some(id) if found.len() < length => Err(Failure::wrong_data(format!(
                "a scan ended before {}",
                self.dataset.show_key(id)
            ))),
            _ => Ok(()),
        }
    }

    fn lost_or_risen(&self, wanted: Option<u32>, found: u32) -> Failure {
        let found = self.dataset.show_key(found);
        match wanted {
            Some(wanted) => Failure::wrong_data(format!(
                "a scan found {found} where {} comes first",
                self.dataset.show_key(wanted)
            )),
            None => Failure::wrong_data(format!("a scan found {found}, which is not there")),
        }
    }

    /// The present ids of the range in key order, where they are known.
    fn expected_ids(&self) -> Option<impl Iterator<Item = u32>> {
        let order = self.dataset.order.as_ref().filter(|_| self.exact)?;
        let from = match self.range.start() {
            std::ops::Bound::Included(start) | std::ops::Bound::Excluded(start) => start,
            std::ops::Bound::Unbounded => &[],
        };
        let mut key = Vec::new();
        let in_range = move |id: &u32| {
            self.dataset.keys.write_key(*id, &mut key);
            self.range.contains(&key)
        };
        let ids = order.ids_from(&self.dataset.keys, from).iter().copied();
        let present = |id: &u32| self.dataset.model.acked(*id).is_present();
        Some(ids.take_while(in_range).filter(present))
    }
}
