//! Judges what a scan returned.
//!
//! Always: keys strictly ascend, lie in the range, and every value is right for its key and not newer than announced.
//! When one thread is alone with the engine, the answer is known exactly: no entry may be missing, none may be stale.

use kv::KeyRange;

use crate::failure::{Failure, Outcome};
use crate::world::{Copied, World};

/// What one scan must return.
pub(crate) struct ScanCheck<'w> {
    world: &'w World,
    range: KeyRange,
    exact: bool,
}

impl<'w> ScanCheck<'w> {
    /// The expectation of a scan over `range`; `exact` when nobody else writes.
    pub(crate) fn begin(world: &'w World, exact: bool, range: KeyRange) -> Self {
        Self { world, range, exact }
    }

    /// Judges the entries found by a scan that wanted `length` of them.
    pub(crate) fn judge(&self, found: &Copied, length: usize) -> Outcome<()> {
        let mut expected = self.expected_ids();
        let mut previous: Option<&[u8]> = None;
        for (key, value) in found.entries() {
            let (id, version) = self.world.check_entry(key, value)?;
            let shown = key.escape_ascii();
            if previous.is_some_and(|previous| previous >= key) || !self.range.contains(key) {
                return Err(Failure::wrong_data(format!(
                    "a scan found key \"{shown}\" out of order"
                )));
            }
            previous = Some(key);
            if version > self.world.model.issued(id).version() {
                return Err(Failure::wrong_data(format!(
                    "a scan found key \"{shown}\" from the future"
                )));
            }
            if let Some(expected) = &mut expected {
                let wanted = expected.next();
                if wanted != Some(id) {
                    return Err(self.lost_or_risen(wanted, id));
                }
                if version != self.world.model.acked(id).version() {
                    return Err(Failure::wrong_data(format!(
                        "a scan found an old value of key \"{shown}\""
                    )));
                }
            }
        }
        match expected.and_then(|mut rest| rest.next()) {
            Some(id) if found.len() < length => {
                Err(Failure::wrong_data(format!("a scan ended before {}", self.world.show_key(id))))
            }
            _ => Ok(()),
        }
    }

    fn lost_or_risen(&self, wanted: Option<u32>, found: u32) -> Failure {
        let found = self.world.show_key(found);
        match wanted {
            Some(wanted) => Failure::wrong_data(format!(
                "a scan found {found} where {} comes first",
                self.world.show_key(wanted)
            )),
            None => Failure::wrong_data(format!("a scan found {found}, which is not there")),
        }
    }

    /// The present ids of the range in key order, where they are known.
    fn expected_ids(&self) -> Option<impl Iterator<Item = u32>> {
        let order = self.world.order.as_ref().filter(|_| self.exact)?;
        let from = match self.range.start() {
            std::ops::Bound::Included(start) | std::ops::Bound::Excluded(start) => start,
            std::ops::Bound::Unbounded => &[],
        };
        let mut key = Vec::new();
        let in_range = move |id: &u32| {
            self.world.keys.write_key(*id, &mut key);
            self.range.contains(&key)
        };
        let ids = order.ids_from(&self.world.keys, from).iter().copied();
        let present = |id: &u32| self.world.model.acked(*id).is_present();
        Some(ids.take_while(in_range).filter(present))
    }
}
