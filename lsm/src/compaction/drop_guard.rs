//! When a compaction may drop a tombstone.

use super::file::Key;
use super::plan::Plan;
use super::reclaimable::RangeTombstone;
use super::run::{Place, Run};
use super::tree::Tree;

/// Says for a plan which tombstones its outputs need not contain. An entry that has expired for every reader counts as a
/// tombstone with its own sequence number.
///
/// It is made with the plan, from the same tree. Flushes and other plans in flight do not make it wrong. An entry never
/// passes an older one of its key. So no entry older than the tombstone comes into a run that the guard left out.
#[derive(Clone, Debug)]
pub struct DropGuard<K> {
    /// The key ranges of older files that overlap the plan, those of each run in the order of their keys.
    older: Vec<Vec<(K, K)>>,
    /// The first and the last key of the plan.
    range: (K, K),
    horizon: u64,
}

impl<K: Key> DropGuard<K> {
    /// The guard of `plan`, which was made from `tree`.
    pub fn new(plan: &Plan<K>, tree: &Tree<K>) -> Self {
        let older = tree.runs().filter(|(place, _)| *place > plan.output);
        let ranges = |(_, run): (Place, &Run<K>)| {
            let files = &run.files()[run.overlapping(&plan.smallest, &plan.largest)];
            files.iter().map(|file| (file.smallest.clone(), file.largest.clone())).collect()
        };
        let older: Vec<Vec<(K, K)>> = older.map(ranges).collect();
        let range = (plan.smallest.clone(), plan.largest.clone());
        Self { older, range, horizon: tree.horizon() }
    }

    /// Whether the tombstone of `key` with this sequence number can go: no older entry of the key can exist outside the
    /// plan, and each snapshot is at least as new as the tombstone. If it goes, the older entries of the key in the
    /// inputs go, too.
    ///
    /// # Panics
    /// The key is not between the first and the last one of the plan: the guard knows nothing of it.
    pub fn may_drop(&self, key: &K, sequence: u64) -> bool {
        assert!(self.range.0 <= *key && *key <= self.range.1, "{key:?} is a key of the plan");
        let contains = |run: &Vec<(K, K)>| {
            let at = run.partition_point(|(_, largest)| largest < key);
            run.get(at).is_some_and(|(smallest, _)| smallest <= key)
        };
        sequence <= self.horizon && !self.older.iter().any(contains)
    }

    /// Whether the range tombstone can go: no older entry of its keys can exist outside the plan, and each snapshot is at
    /// least as new as it is. If it goes, the older entries of its keys in the inputs go, too.
    ///
    /// # Panics
    /// The range is not between the first and the last key of the plan.
    pub fn may_drop_range(&self, range: &RangeTombstone<K>) -> bool {
        let is_inside = self.range.0 <= range.smallest && range.largest <= self.range.1;
        assert!(is_inside, "{range:?} has keys of the plan alone");
        let overlaps = |run: &Vec<(K, K)>| {
            let at = run.partition_point(|(_, largest)| *largest < range.smallest);
            run.get(at).is_some_and(|(smallest, _)| *smallest <= range.largest)
        };
        range.sequence <= self.horizon && !self.older.iter().any(overlaps)
    }
}
