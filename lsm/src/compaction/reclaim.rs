//! Which files are compacted for the sake of the space that this reclaims.
//!
//! - A file in which every entry is dead for every reader goes without being read ([`pick_obsolete`]). Either a newer range
//!   tombstone deletes all its keys, or it has nothing but tombstones and expired entries and nothing older lies below it.
//! - A file with many dead entries goes into the next older run that overlaps it. If there is none, it is rewritten where it
//!   is, and the dead entries go.
//! - An idle device rewrites files below which nothing older lies. Fewer tombstones are enough for that, or a range tombstone,
//!   or entries that a snapshot no longer needs.

use super::busy::Busy;
use super::draft::{Draft, Motion, is_oldest};
use super::file::{File, Key};
use super::overlap;
use super::plan::{Input, Plan, Reason};
use super::reclaim_options::ReclaimOptions;
use super::reclaimable::RangeTombstone;
use super::run::{Place, Run};
use super::strategy::Urgency;
use super::tree::Tree;

impl ReclaimOptions {
    /// Whether the file is to be compacted for the sake of its dead entries.
    fn wants<K: Key>(&self, file: &File<K>, tree: &Tree<K>) -> bool {
        let dead = file.dead(tree.expiry_horizon());
        debug_assert!(dead <= file.entries, "dead entries are entries");
        let has_blocks = file.reclaimable.dense_bytes > 0
            && is_share(file.reclaimable.dense_bytes, file.bytes, self.dense_block_percent);
        let age = tree.now().saturating_sub(file.created);
        let is_old = self.max_age.is_some_and(|limit| age >= limit);
        dead > 0 && (is_share(dead, file.entries, self.dense_percent) || has_blocks || is_old)
    }

    /// Whether a rewrite of the file, below which nothing older lies, is worth the time of an idle device.
    fn wants_elision<K: Key>(&self, file: &File<K>) -> bool {
        let gone = file.tombstones.saturating_add(file.reclaimable.hidden);
        let has_range = !file.reclaimable.range_tombstones.is_empty();
        has_range || (gone > 0 && is_share(gone, file.entries, self.elide_percent))
    }
}

/// Whether `part` is at least so many percent of `whole`.
fn is_share(part: u64, whole: u64, percent: u64) -> bool {
    debug_assert!((1..=100).contains(&percent), "options are validated");
    u128::from(part) * 100 >= u128::from(whole) * u128::from(percent)
}

/// The removal of a file in which no reader finds a live entry. It reads and writes nothing, so strategies try it first.
///
/// The search looks at each file once, and for each range tombstone at the files of each run that overlap it.
pub(super) fn pick_obsolete<K: Key>(tree: &Tree<K>, busy: &Busy<K>) -> Option<Plan<K>> {
    let files = tree.runs().flat_map(|(_, run)| run.files());
    let mut ranges = files.flat_map(|file| &file.reclaimable.range_tombstones);
    let deleted = ranges.find_map(|range| drop_deleted(tree, busy, range));
    deleted.or_else(|| drop_dead(tree, busy))
}

/// A file whose keys are all deleted by `range`, for every snapshot.
///
/// All its entries are older than the range tombstone. So older entries below the file, which its tombstones hide, are
/// older than the range tombstone, too, and stay hidden.
fn drop_deleted<K: Key>(
    tree: &Tree<K>,
    busy: &Busy<K>,
    range: &RangeTombstone<K>,
) -> Option<Plan<K>> {
    if range.sequence > tree.horizon() {
        return None;
    }
    let is_deleted = |file: &&File<K>| {
        file.newest < range.sequence && range.contains(&file.smallest, &file.largest)
    };
    tree.runs().find_map(|(place, run)| {
        let files = &run.files()[run.overlapping(&range.smallest, &range.largest)];
        let mut deleted = files.iter().filter(is_deleted);
        deleted.find_map(|file| remove(tree, busy, place, file, range.sequence))
    })
}

/// A file with nothing but tombstones and expired entries, below which nothing older lies. No snapshot sees past it.
fn drop_dead<K: Key>(tree: &Tree<K>, busy: &Busy<K>) -> Option<Plan<K>> {
    let is_dead =
        |file: &&File<K>| file.newest <= tree.horizon() && file.is_dead(tree.expiry_horizon());
    tree.runs().rev().find_map(|(place, run)| {
        let dead = run.files().iter().filter(is_dead);
        let mut oldest = dead.filter(|file| is_oldest(tree, place, &file.smallest, &file.largest));
        oldest.find_map(|file| remove(tree, busy, place, file, file.newest))
    })
}

/// Drops `file`, in which readers at `unseen_from` and at later numbers find no live entry.
fn remove<K: Key>(
    tree: &Tree<K>,
    busy: &Busy<K>,
    place: Place,
    file: &File<K>,
    unseen_from: u64,
) -> Option<Plan<K>> {
    debug_assert!(unseen_from <= tree.horizon(), "each snapshot sees what hides the file");
    debug_assert!(file.newest <= unseen_from, "what hides the file is newer");
    let sources = vec![Input { place, files: vec![file.clone()] }];
    let (reason, motion) = (Reason::Obsolete, Motion::Drop { unseen_from });
    Draft { reason, sources, output: place, motion }.plan(tree, busy)
}

/// A compaction of the oldest file that has too many dead entries. An idle device also rewrites one that has some.
pub(super) fn pick<K: Key>(
    tree: &Tree<K>,
    busy: &Busy<K>,
    options: &ReclaimOptions,
    urgency: Urgency,
) -> Option<Plan<K>> {
    let dense = pick_file(tree, busy, |place, file| {
        let output = || next_older(tree, place, file).unwrap_or(place);
        options.wants(file, tree).then(|| (output(), Reason::Tombstones))
    });
    let is_idle = urgency == Urgency::Eligible;
    dense.or_else(|| {
        pick_file(tree, busy, |place, file| {
            let is_wanted = is_idle && options.wants_elision(file);
            let stays = is_wanted && is_oldest(tree, place, &file.smallest, &file.largest);
            stays.then_some((place, Reason::Elision))
        })
    })
}

/// The plan for the oldest file that `choose` gives a place and a reason, the oldest run first.
pub(super) fn pick_file<K: Key>(
    tree: &Tree<K>,
    busy: &Busy<K>,
    choose: impl Fn(Place, &File<K>) -> Option<(Place, Reason)>,
) -> Option<Plan<K>> {
    tree.runs().rev().find_map(|(place, run)| {
        run.files().iter().filter(|file| !busy.has(file)).find_map(|file| {
            let (output, reason) = choose(place, file)?;
            debug_assert!(output >= place, "entries only move to older places");
            // Rewriting the file where it is would change nothing while a snapshot needs its entries.
            if output == place && file.newest > tree.horizon() {
                return None;
            }
            let sources = vec![Input { place, files: vec![file.clone()] }];
            Draft { reason, sources, output, motion: Motion::Rewrite }.plan(tree, busy)
        })
    })
}

/// The newest place below `place` with keys of `file`.
pub(super) fn next_older<K: Key>(tree: &Tree<K>, place: Place, file: &File<K>) -> Option<Place> {
    debug_assert!(tree.run(place).is_some(), "the file is in the tree");
    let mut older = tree.runs().skip_while(|(other, _)| *other <= place);
    let overlaps =
        |run: &Run<K>| !overlap::overlapping(run.files(), &file.smallest, &file.largest).is_empty();
    older.find(|(_, run)| overlaps(run)).map(|(other, _)| other)
}
