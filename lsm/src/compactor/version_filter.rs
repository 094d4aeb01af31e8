//! Which versions of a key the outputs of a compaction get. Pure.

use super::tree::UserKey;
use crate::compaction::DropGuard;
use crate::history::History;
use crate::internal_key::Kind;
use crate::steps::{Step, Steps};

/// Judges the versions of the inputs, key by key, the newest version of a key first.
#[derive(Clone, Debug)]
pub(super) struct VersionFilter {
    history: History,
    guard: DropGuard<UserKey>,
    steps: Steps,
    /// The key of the last version, unless `newer` is `None`.
    user: UserKey,
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
    /// No reader needs it, because of a newer one.
    Hidden,
    /// It is a tombstone with nothing left to hide.
    Spent,
}

impl VersionFilter {
    pub(super) fn new(history: History, guard: DropGuard<UserKey>, steps: Steps) -> Self {
        Self { history, guard, steps, user: UserKey::new(), newer: None, has_kept: false }
    }

    /// The fate of version `sequence` of `user`.
    pub(super) fn judge(&mut self, user: &[u8], sequence: u64, kind: Kind) -> Fate {
        let newer = self.newer.replace(sequence).filter(|_| user == self.user);
        if let Some(newer) = newer {
            // Also if the newer one was not kept: then one that is newer still hides both.
            let is_hidden = self.history.hides(newer, sequence);
            if self.steps.check(Step::KeepSeenVersions, is_hidden) {
                return Fate::Hidden;
            }
        } else {
            // The newest version of the next key.
            self.user.clear();
            self.user.extend_from_slice(user);
            self.has_kept = false;
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

    /// The key of the last version.
    pub(super) fn user(&self) -> &UserKey {
        &self.user
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compaction::{Busy, File, Leveled, LeveledOptions, Plan, Strategy, Tree, Urgency};

    /// Two overlapping runs with the keys `a` to `z`, and the plan that merges them.
    fn plan(horizon: u64) -> (Plan<UserKey>, Tree<UserKey>) {
        let mut tree = Tree::new(3);
        for id in 1..=2 {
            let mut file = File::new(id, (b"a".to_vec(), b"z".to_vec()), 10, 100);
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
