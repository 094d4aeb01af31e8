//! Which versions of a key, and which range tombstones, the outputs of a compaction get. Pure.

use crate::boundary::Boundary;
use crate::compaction::{DropGuard, RangeTombstone};
use crate::history::History;
use crate::internal_key::Kind;
use crate::range_tombstones::{Fragment, Fragments};
use crate::steps::{Step, Steps};

/// Judges the versions of the inputs, key by key, the newest version of a key first.
#[derive(Clone, Debug)]
pub(super) struct VersionFilter {
    history: History,
    guard: DropGuard<Boundary>,
    steps: Steps,
    /// The range tombstones of the inputs, also those that the outputs do not get.
    ranges: Fragments,
    /// The key of the last version, unless `newer` is `None`.
    user: Boundary,
    /// The number of the last version.
    newer: Option<u64>,
    /// A version of the key was kept.
    has_kept: bool,
}

/// What becomes of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is kept.
    Kept {
        /// It is the first one of its key that is kept.
        begins_key: bool,
    },
    /// No reader needs it, because of a newer one, or a newer range tombstone.
    Hidden,
    /// It is a tombstone with nothing left to hide.
    Spent,
}

impl VersionFilter {
    pub(super) fn new(history: History, guard: DropGuard<Boundary>, steps: Steps) -> Self {
        let (ranges, user) = (Fragments::default(), Boundary::End);
        Self { history, guard, steps, ranges, user, newer: None, has_kept: false }
    }

    /// The range tombstones of an input without those that hide no version from a reader, because newer ones of the same keys
    /// do. The others hide the same versions without them.
    pub(super) fn without_hidden(&self, ranges: &Fragments) -> Fragments {
        ranges.retained(|fragment| self.seen_numbers(fragment).collect())
    }

    /// The numbers of the range tombstones that no newer one of the fragment hides.
    fn seen_numbers(&self, fragment: &Fragment) -> impl Iterator<Item = u64> {
        let mut newer = None;
        let is_seen = move |number: &u64| {
            let newer = newer.replace(*number);
            newer.is_none_or(|newer| !self.history.hides(newer, *number))
        };
        fragment.numbers().iter().copied().filter(is_seen)
    }

    /// Judges range tombstones, before the first version. Returns those that the outputs get, and how many go.
    ///
    /// One that hides no version from a reader goes, because newer ones of the same keys do; so does one with nothing left to
    /// hide.
    pub(super) fn judge_ranges(&mut self, ranges: Fragments) -> (Fragments, u64) {
        debug_assert!(self.newer.is_none(), "before the first version");
        let kept = ranges.retained(|fragment| self.kept_numbers(fragment));
        let dropped = ranges.numbers().saturating_sub(kept.numbers()) as u64;
        self.ranges = ranges;
        (kept, dropped)
    }

    fn kept_numbers(&self, fragment: &Fragment) -> Vec<u64> {
        let (smallest, largest) =
            (fragment.range.first().to_owned(), fragment.range.last().to_owned());
        let mut range = RangeTombstone { smallest, largest, sequence: 0 };
        let is_kept = |number: &u64| {
            range.sequence = *number;
            let is_spent = self.guard.may_drop_range(&range);
            !self.steps.check(Step::GuardRangeTombstone, is_spent)
        };
        self.seen_numbers(fragment).filter(is_kept).collect()
    }

    /// Whether a range tombstone hides version `sequence` of `user` from every reader.
    #[cold]
    fn is_covered(&self, user: &[u8], sequence: u64) -> bool {
        let covering = self.ranges.at(user).and_then(|range| range.oldest_above(sequence));
        covering.is_some_and(|covering| self.history.hides(covering, sequence))
    }

    /// The fate of version `sequence` of `user`.
    pub(super) fn judge(&mut self, user: &[u8], sequence: u64, kind: Kind) -> Fate {
        let newer = self.newer.replace(sequence).filter(|_| self.user.key() == Some(user));
        if let Some(newer) = newer {
            // Also if the newer one was not kept: then one that is newer still hides both.
            let is_hidden = self.history.hides(newer, sequence);
            if self.steps.check(Step::KeepSeenVersions, is_hidden) {
                return Fate::Hidden;
            }
        } else {
            // The newest version of the next key.
            self.user.set(user);
            self.has_kept = false;
        }
        if !self.ranges.is_empty() && self.is_covered(user, sequence) {
            return Fate::Hidden;
        }
        // All older versions of the key in the inputs are hidden, because no reader is below the horizon.
        if kind == Kind::Tombstone {
            let is_spent = self.guard.may_drop(&self.user, sequence);
            if self.steps.check(Step::GuardTombstone, is_spent) {
                return Fate::Spent;
            }
        }
        let begins_key = !self.has_kept;
        self.has_kept = true;
        Fate::Kept { begins_key }
    }

    /// Whether an entry with this end has expired for every reader. Then it is a tombstone with the same number.
    pub(super) fn has_expired(&self, end: u64) -> bool {
        self.steps.check(Step::KeepUnexpired, end <= self.history.expired_up_to())
    }

    /// The key of the last version.
    pub(super) fn user(&self) -> &Boundary {
        &self.user
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compaction::{
        Busy, File, Leveled, LeveledOptions, Place, Plan, Rank, Strategy, Tree, Urgency,
    };
    use crate::range_tombstones::DeletedRange;

    /// Two overlapping runs with the keys `a` to `z`, and the plan that merges them.
    fn plan(horizon: u64) -> (Plan<Boundary>, Tree<Boundary>) {
        let mut tree = Tree::new(3);
        for id in 1..=2 {
            let keys = (Boundary::at(b"a".to_vec()), Boundary::at(b"z".to_vec()));
            let mut file = File::new(id, keys, 10, 100);
            file.tombstones = 2;
            file.newest = 9;
            tree.flush(vec![file]);
        }
        tree.set_horizon(horizon);
        let options = LeveledOptions { l0_runs: 2, l0_soft_runs: 2, ..LeveledOptions::default() };
        let strategy = Leveled::new(options).unwrap();
        let plan = strategy.pick(&tree, &Busy::default(), Urgency::Mandatory).unwrap();
        (plan, tree)
    }

    fn fates(history: History, versions: &[(&[u8], u64, Kind)]) -> Vec<Fate> {
        let (plan, tree) = plan(history.horizon());
        let mut filter =
            VersionFilter::new(history, DropGuard::new(&plan, &tree), Steps::default());
        versions.iter().map(|(user, sequence, kind)| filter.judge(user, *sequence, *kind)).collect()
    }

    const FIRST: Fate = Fate::Kept { begins_key: true };
    const LATER: Fate = Fate::Kept { begins_key: false };

    #[test]
    fn without_pins_the_newest_version_of_a_key_stays_and_a_tombstone_goes() {
        let history = History::new([].into_iter(), 9);
        let versions: [(&[u8], u64, Kind); 5] = [
            (b"a", 7, Kind::Put),
            (b"a", 3, Kind::Put),
            (b"b", 8, Kind::Tombstone),
            (b"b", 2, Kind::Put),
            (b"c", 1, Kind::Put),
        ];
        assert_eq!(
            fates(history, &versions),
            [FIRST, Fate::Hidden, Fate::Spent, Fate::Hidden, FIRST]
        );
    }

    #[test]
    fn a_pin_keeps_one_version_of_each_key_and_the_tombstones_above_it() {
        let history = History::new([4].into_iter(), 9);
        let versions: [(&[u8], u64, Kind); 6] = [
            (b"a", 8, Kind::Put),
            (b"a", 6, Kind::Put),
            (b"a", 3, Kind::Put),
            (b"a", 2, Kind::Put),
            (b"b", 7, Kind::Tombstone),
            (b"c", 4, Kind::Tombstone),
        ];
        let expected = [FIRST, Fate::Hidden, LATER, Fate::Hidden, FIRST, Fate::Spent];
        assert_eq!(fates(history, &versions), expected);
    }

    fn range(start: &[u8], end: Option<&[u8]>) -> DeletedRange {
        DeletedRange { start: start.to_vec(), end: end.map(<[u8]>::to_vec) }
    }

    /// A filter for inputs with range tombstones at 4 and 7 from `b` on, and the one at 7 up to `e`.
    fn filter_with_ranges(pinned: &[u64], is_last: bool) -> (VersionFilter, Fragments, u64) {
        let history = History::new(pinned.iter().copied(), 9);
        let (mut plan, mut tree) = plan(history.horizon());
        if !is_last {
            let keys = (Boundary::at(b"c".to_vec()), Boundary::at(b"z".to_vec()));
            tree.load(2, vec![File::new(3, keys, 10, 100)]);
        }
        (plan.smallest, plan.largest) = (Boundary::at(b"a".to_vec()), Boundary::End);
        plan.output = Place { level: 1, rank: Rank(0) };
        let guard = DropGuard::new(&plan, &tree);
        let mut filter = VersionFilter::new(history, guard, Steps::default());
        let ranges = Fragments::of(vec![range(b"b", None)], 4);
        let ranges = ranges.union(&Fragments::of(vec![range(b"b", Some(b"e"))], 7));
        let (kept, dropped) = filter.judge_ranges(ranges);
        (filter, kept, dropped)
    }

    fn numbers(fragments: &Fragments) -> Vec<Vec<u64>> {
        fragments.iter().map(|fragment| fragment.numbers().to_vec()).collect()
    }

    #[test]
    fn a_range_tombstone_hides_older_versions_and_goes_if_nothing_older_is_left() {
        let (mut filter, kept, dropped) = filter_with_ranges(&[], true);
        assert!(kept.is_empty() && dropped == 3);
        assert_eq!(filter.judge(b"a", 3, Kind::Put), FIRST, "before the range");
        assert_eq!(filter.judge(b"b", 8, Kind::Put), FIRST, "later than the range tombstones");
        assert_eq!(filter.judge(b"b", 7, Kind::Put), Fate::Hidden, "by the version at 8");
        assert_eq!(filter.judge(b"c", 7, Kind::Put), FIRST, "of the same batch");
        assert_eq!(filter.judge(b"d", 6, Kind::Put), Fate::Hidden);
        assert_eq!(filter.judge(b"e", 6, Kind::Put), FIRST, "behind the end");
        assert_eq!(filter.judge(b"f", 3, Kind::Put), Fate::Hidden);
    }

    #[test]
    fn a_range_tombstone_stays_above_older_files_and_hides_older_ones_of_its_kind() {
        let (_, kept, dropped) = filter_with_ranges(&[], false);
        assert_eq!((numbers(&kept), dropped), (vec![vec![7], vec![4]], 1));
    }

    #[test]
    fn range_tombstones_that_newer_ones_hide_go_before_inputs_are_united() {
        let (filter, ..) = filter_with_ranges(&[5], false);
        let every = (1..=9).map(|number| Fragments::of(vec![range(b"b", None)], number));
        let every = every.reduce(|all, next| all.union(&next)).unwrap();
        assert_eq!(numbers(&filter.without_hidden(&every)), [vec![9, 5]], "for the pin and now");
    }

    #[test]
    fn a_pin_keeps_the_versions_and_range_tombstones_that_it_sees() {
        let (mut filter, kept, _) = filter_with_ranges(&[5], true);
        assert_eq!(numbers(&kept), [vec![7]], "the one at 4 has nothing left to hide");
        assert_eq!(filter.judge(b"d", 5, Kind::Put), FIRST, "the pin is in between");
        assert_eq!(filter.judge(b"d", 3, Kind::Put), Fate::Hidden);
        let (_, kept, _) = filter_with_ranges(&[5], false);
        assert_eq!(numbers(&kept), [vec![7, 4], vec![4]], "the pin sees the older one");
        let (mut filter, kept, _) = filter_with_ranges(&[2], true);
        assert_eq!(numbers(&kept), [vec![7], vec![4]], "for the pin nothing is deleted");
        assert_eq!(filter.judge(b"f", 3, Kind::Put), Fate::Hidden, "it does not see this one");
        assert_eq!(filter.judge(b"g", 2, Kind::Put), FIRST);
    }

    #[test]
    fn versions_that_are_not_visible_yet_hide_nothing() {
        let history = History::new([].into_iter(), 5);
        let versions: [(&[u8], u64, Kind); 4] = [
            (b"a", 8, Kind::Tombstone),
            (b"a", 6, Kind::Put),
            (b"a", 5, Kind::Put),
            (b"a", 4, Kind::Put),
        ];
        assert_eq!(fates(history, &versions), [FIRST, LATER, LATER, Fate::Hidden]);
    }
}
