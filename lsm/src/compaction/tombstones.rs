//! Tombstones: when a compaction may drop one, and which files are compacted to get rid of them.

use super::busy::Busy;
use super::draft::{Draft, Motion, is_oldest};
use super::file::{File, Key};
use super::options::TombstoneOptions;
use super::overlap;
use super::plan::{Input, Plan, Reason};
use super::run::{Place, Run};
use super::tree::Tree;

/// Says for a plan which tombstones its outputs need not contain.
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
}

impl TombstoneOptions {
    /// Whether the file is to be compacted for the sake of its tombstones.
    fn wants<K: Key>(&self, file: &File<K>, now: u64) -> bool {
        debug_assert!(file.is_sound(), "the metadata of a file agrees");
        let share = u128::from(file.tombstones) * 100;
        let is_dense = share >= u128::from(file.entries) * u128::from(self.dense_percent);
        let is_old = self.max_age.is_some_and(|limit| now.saturating_sub(file.created) >= limit);
        file.tombstones > 0 && (is_dense || is_old)
    }
}

/// A compaction of the oldest file that has too many tombstones. It goes into the next older run that overlaps it; if there
/// is none, it is rewritten where it is, and its tombstones go.
pub(super) fn pick<K: Key>(
    tree: &Tree<K>,
    busy: &Busy<K>,
    options: &TombstoneOptions,
) -> Option<Plan<K>> {
    tree.runs().rev().find_map(|(place, run)| {
        let wanting = run.files().iter().filter(|file| options.wants(file, tree.now()));
        wanting.filter(|file| !busy.has(file)).find_map(|file| {
            let output = next_older(tree, place, file).unwrap_or(place);
            // Rewriting the file where it is would change nothing while a snapshot needs its tombstones.
            if output == place && file.newest > tree.horizon() {
                return None;
            }
            debug_assert!(output != place || is_oldest(tree, place, &file.smallest, &file.largest));
            let sources = vec![Input { place, files: vec![file.clone()] }];
            Draft { reason: Reason::Tombstones, sources, output, motion: Motion::Rewrite }
                .plan(tree, busy)
        })
    })
}

/// The newest place below `place` with keys of `file`.
fn next_older<K: Key>(tree: &Tree<K>, place: Place, file: &File<K>) -> Option<Place> {
    debug_assert!(tree.run(place).is_some(), "the file is in the tree");
    let mut older = tree.runs().skip_while(|(other, _)| *other <= place);
    let overlaps =
        |run: &Run<K>| overlap::overlapping_bytes(run.files(), &file.smallest, &file.largest) > 0;
    older.find(|(_, run)| overlaps(run)).map(|(other, _)| other)
}
