//! Judges the stamps of a scan.
//!
//! By themselves, the entries must have right keys that ascend and lie in the range ([`check_shape`]). Against the states
//! of the keys, each key that the scan has passed is like a get of that key: it may be missing only if it may be absent,
//! and its version must be one that the scan may have seen ([`check_passed`]). The replay knows the states of the keys
//! that its thread alone writes, the timeline the bounds of the others.

use std::ops::Bound;

use kv::KeyRange;

use crate::client::{EntryStamp, PlannedOperation, scan_range};
use crate::dataset::Dataset;
use crate::failure::{Failure, Outcome};
use crate::values::digest;

/// The keys that one scan was asked for.
pub(super) struct ScanRequest<'d> {
    dataset: &'d Dataset,
    range: KeyRange,
    length: usize,
}

impl<'d> ScanRequest<'d> {
    /// The request of the scan `planned`.
    pub(super) fn new(
        dataset: &'d Dataset,
        planned: PlannedOperation,
        prefix_bytes: Option<usize>,
    ) -> ScanRequest<'d> {
        let mut key = Vec::new();
        dataset.keys.write_key(planned.id, &mut key);
        let range = scan_range(&key, prefix_bytes);
        Self { dataset, range, length: planned.length as usize }
    }

    /// Checks that the entries are as many as were asked for or fewer, ascend, lie in the range and have right keys.
    /// Returns the bytes of their keys.
    pub(super) fn check_shape(&self, found: &[EntryStamp]) -> Outcome<u64> {
        assert!(found.len() <= self.length, "the client stops at the length");
        let (mut previous, mut key) = (Vec::new(), Vec::new());
        let mut key_bytes = 0;
        for (at, entry) in found.iter().enumerate() {
            check_key(self.dataset, entry, &mut key)?;
            let is_ascending = at == 0 || previous < key;
            if !is_ascending || !self.range.contains(&key) {
                let key = self.dataset.show_key(entry.id);
                return Err(Failure::wrong_data(format!("a scan found {key} out of order")));
            }
            key_bytes += key.len() as u64;
            std::mem::swap(&mut previous, &mut key);
        }
        Ok(key_bytes)
    }

    /// The ids that the scan has passed, in key order: those up to its last entry, and all of the range if it found fewer
    /// entries than were asked for. Keys that were never put are among them.
    pub(super) fn passed(&self, found: &[EntryStamp]) -> &'d [u32] {
        let ids = self.ids_from_start();
        let end = if found.len() < self.length {
            self.end_of_range(ids)
        } else {
            let at = |last: &EntryStamp| ids.iter().position(|id| *id == last.id);
            found.last().and_then(at).map_or(0, |last| last + 1)
        };
        &ids[..end]
    }

    fn ids_from_start(&self) -> &'d [u32] {
        let from = match self.range.start() {
            Bound::Included(start) | Bound::Excluded(start) => start,
            Bound::Unbounded => &[],
        };
        let order = self.dataset.order.as_ref();
        order.map_or(&[], |order| order.ids_from(&self.dataset.keys, from))
    }

    /// How many of `ids`, which begin in the range, lie in it.
    fn end_of_range(&self, ids: &[u32]) -> usize {
        if matches!(self.range.end(), Bound::Unbounded) {
            return ids.len();
        }
        let mut key = Vec::new();
        ids.partition_point(|id| {
            self.dataset.keys.write_key(*id, &mut key);
            self.range.contains(&key)
        })
    }
}

/// Calls `check` with each of the `passed` ids and the version that the scan found of it, if it did. The entries must have
/// passed [`ScanRequest::check_shape`].
pub(super) fn check_passed(
    passed: &[u32],
    found: &[EntryStamp],
    mut check: impl FnMut(u32, Option<u32>) -> Outcome<()>,
) -> Outcome<()> {
    let mut entries = found.iter().peekable();
    for &id in passed {
        let entry = entries.next_if(|entry| entry.id == id);
        check(id, entry.map(|entry| entry.version))?;
    }
    assert!(entries.next().is_none(), "an entry of the range is among the keys that were passed");
    Ok(())
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
