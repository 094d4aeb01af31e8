//! Which files go without being read, and which are rewritten for space: single cases, by hand.

use lsm::compaction::{
    Action, Busy, DropGuard, Expiry, File, Plan, RangeTombstone, Reason, Reclaimable, SizeTiered,
    SizeTieredOptions, Strategy, Tree, Urgency, pick_files, pick_range,
};

const LAST: usize = 3;

fn file(id: u64, keys: (u64, u64), reclaimable: Reclaimable<u64>) -> File<u64> {
    let tombstones = reclaimable.range_tombstones.len() as u64;
    File { newest: id, tombstones, reclaimable, ..File::new(id, keys, 10, 100) }
}

fn plain(id: u64, keys: (u64, u64)) -> File<u64> {
    file(id, keys, Reclaimable::default())
}

fn range(smallest: u64, largest: u64, sequence: u64) -> Reclaimable<u64> {
    let range_tombstones = vec![RangeTombstone { smallest, largest, sequence }];
    Reclaimable { range_tombstones, ..Reclaimable::default() }
}

fn expiring(entries: u64, earliest: u64, latest: u64) -> Reclaimable<u64> {
    let expiry = Some(Expiry { entries, earliest, latest });
    Reclaimable { expiry, ..Reclaimable::default() }
}

fn pick(tree: &Tree<u64>, urgency: Urgency) -> Option<Plan<u64>> {
    // Fewer than four runs: there is nothing to do for their sizes.
    SizeTiered::new(SizeTieredOptions::default()).unwrap().pick(tree, &Busy::default(), urgency)
}

/// The action of the next necessary plan, and its files.
fn picked(tree: &Tree<u64>) -> Option<(Action, Vec<u64>)> {
    pick(tree, Urgency::Mandatory)
        .map(|plan| (plan.action, plan.files().map(|file| file.id).collect()))
}

#[test]
fn a_file_whose_keys_a_newer_range_tombstone_deletes_is_dropped() {
    let mut tree = Tree::new(LAST + 1);
    let place = tree.load(LAST, vec![plain(1, (10, 20)), plain(2, (30, 40))]);
    tree.load(2, vec![file(7, (0, 20), range(10, 20, 7))]);
    let plan = pick(&tree, Urgency::Mandatory).unwrap();
    assert_eq!((plan.reason, plan.action, plan.output), (Reason::Obsolete, Action::Drop, place));
    assert_eq!((plan.input_bytes(), plan.write_bytes()), (100, 0));
    plan.install(&mut tree, Vec::new());
    assert_eq!(tree.bytes(), 200);
    assert_eq!(picked(&tree), None, "file 2 has other keys");
}

#[test]
fn a_file_stays_if_a_key_an_entry_or_a_snapshot_is_outside_the_range_tombstone() {
    let below = |smallest, largest, sequence| {
        let mut tree = Tree::new(LAST + 1);
        tree.load(LAST, vec![plain(5, (10, 20))]);
        tree.load(2, vec![file(9, (0, 30), range(smallest, largest, sequence))]);
        tree
    };
    assert_eq!(picked(&below(10, 20, 6)), Some((Action::Drop, vec![5])));
    assert_eq!(picked(&below(11, 20, 6)), None, "the first key is outside");
    assert_eq!(picked(&below(10, 19, 6)), None, "the last key is outside");
    assert_eq!(picked(&below(10, 20, 5)), None, "the newest entry is as new");
    let mut seen = below(10, 20, 6);
    seen.set_horizon(5);
    assert_eq!(picked(&seen), None, "a snapshot sees the file");
    seen.set_horizon(6);
    assert_eq!(
        picked(&seen),
        Some((Action::Drop, vec![5])),
        "the snapshot sees the range tombstone"
    );
}

#[test]
fn a_file_of_expired_entries_is_dropped_unless_something_older_lies_below_it() {
    for (below, expected) in [((200, 300), Action::Drop), ((50, 60), Action::Rewrite)] {
        let mut tree = Tree::new(LAST + 1);
        tree.load(LAST, vec![plain(1, below)]);
        tree.load(2, vec![file(7, (0, 100), expiring(10, 3, 5))]);
        tree.set_now(9);
        tree.set_expiry_horizon(2);
        assert_eq!(picked(&tree), None, "a snapshot has time 2");
        tree.set_expiry_horizon(5);
        assert_eq!(picked(&tree).unwrap().0, expected, "{below:?}");
    }
}

#[test]
fn tombstones_that_a_snapshot_needs_go_down_but_not_away() {
    let mut tree = Tree::new(LAST + 1);
    let oldest = tree.load(LAST, vec![plain(1, (50, 60))]);
    tree.load(2, vec![File { tombstones: 9, ..plain(7, (0, 100)) }]);
    tree.set_horizon(6);
    let plan = pick(&tree, Urgency::Mandatory).unwrap();
    assert_eq!((plan.reason, plan.output), (Reason::Tombstones, oldest));
    assert!(!DropGuard::new(&plan, &tree).may_drop(&50, 7));
    plan.install(&mut tree, vec![File { tombstones: 9, ..plain(8, (0, 100)) }]);
    assert_eq!(picked(&tree), None);
}

#[test]
fn a_file_with_an_entry_that_never_expires_is_not_dropped() {
    let mut tree = Tree::new(LAST + 1);
    tree.load(LAST, vec![file(7, (0, 100), expiring(9, 3, 5))]);
    tree.set_expiry_horizon(5);
    assert_eq!(picked(&tree), Some((Action::Rewrite, vec![7])));
}

#[test]
fn a_file_is_not_dropped_while_a_snapshot_is_older_than_its_tombstones() {
    let mut tree = Tree::new(LAST + 1);
    tree.load(LAST, vec![File { tombstones: 10, ..plain(7, (0, 100)) }]);
    tree.set_horizon(6);
    assert_eq!(picked(&tree), None);
    tree.set_horizon(7);
    assert_eq!(picked(&tree), Some((Action::Drop, vec![7])));
}

#[test]
fn the_expired_entries_between_two_moments_are_estimated_evenly() {
    let expiry = Expiry { entries: 100, earliest: 1_000, latest: 2_000 };
    let expired = [999, 1_000, 1_001, 1_500, 1_999, 2_000, u64::MAX].map(|t| expiry.expired(t));
    assert_eq!(expired, [0, 1, 1, 50, 99, 100, 100]);
}

#[test]
fn a_file_with_dense_blocks_is_compacted_from_the_stated_share_on() {
    for (dense_bytes, expected) in [(9, None), (10, Some((Action::Rewrite, vec![7])))] {
        let reclaimable = Reclaimable { dense_bytes, ..Reclaimable::default() };
        let dense = File { tombstones: 1, ..file(7, (0, 100), reclaimable) };
        let mut tree = Tree::new(LAST + 1);
        tree.load(LAST, vec![dense]);
        assert_eq!(picked(&tree), expected, "{dense_bytes} of 100 bytes");
    }
}

#[test]
fn an_idle_device_rewrites_oldest_files_with_hidden_entries_or_range_tombstones() {
    let hidden = |hidden| Reclaimable { hidden, ..Reclaimable::default() };
    let cases = [(hidden(0), false), (hidden(1), true), (range(5, 6, 7), true)];
    for (reclaimable, is_due) in cases {
        let mut tree = Tree::new(LAST + 1);
        let place = tree.load(LAST, vec![file(7, (0, 100), reclaimable)]);
        assert_eq!(pick(&tree, Urgency::Mandatory), None, "it can wait");
        let plan = pick(&tree, Urgency::Eligible).map(|plan| (plan.reason, plan.output));
        assert_eq!(plan, is_due.then_some((Reason::Elision, place)));
        tree.set_horizon(6);
        assert_eq!(pick(&tree, Urgency::Eligible), None, "a snapshot needs the entries");
    }
}

#[test]
fn an_idle_device_leaves_tombstones_above_older_entries_alone() {
    let mut tree = Tree::new(LAST + 1);
    tree.load(LAST, vec![plain(1, (50, 60)), plain(2, (200, 1_000))]);
    tree.load(2, vec![file(7, (55, 100), range(70, 80, 7))]);
    // File 1 has a key of file 7, though none of the range tombstone.
    assert_eq!(pick(&tree, Urgency::Eligible), None);
}

#[test]
fn files_and_ranges_that_a_caller_names_join_the_next_older_run_with_their_keys() {
    let mut tree = Tree::new(LAST + 1);
    let oldest = tree.load(LAST, vec![plain(1, (0, 50)), plain(2, (60, 100))]);
    tree.load(2, vec![plain(7, (10, 20)), plain(8, (70, 80))]);
    let busy = Busy::default();
    let facts = |plan: Plan<u64>| {
        assert_eq!(plan.output, oldest);
        (plan.reason, plan.files().map(|file| file.id).collect::<Vec<_>>())
    };
    let files = |ids: &[u64]| pick_files(&tree, &busy, &ids.iter().copied().collect()).map(facts);
    assert_eq!(files(&[7]), Some((Reason::Reads, vec![7, 1])));
    assert_eq!(files(&[8, 9]), Some((Reason::Reads, vec![8, 2])));
    assert_eq!((files(&[1, 2]), files(&[])), (None, None), "they have nothing to remove");
    let range =
        |smallest, largest| pick_range(&tree, &busy, (&smallest, &largest), &|_| true).map(facts);
    assert_eq!(range(20, 20), Some((Reason::Range, vec![7, 1])));
    assert_eq!(range(80, 90), Some((Reason::Range, vec![8, 2])));
    assert_eq!((range(21, 69), range(81, 200)), (None, None), "one run has the keys");
    let without_7 = pick_range(&tree, &busy, (&0, &100), &|file| file.id != 7).map(facts);
    assert_eq!(without_7, Some((Reason::Range, vec![8, 2])), "the caller does not mean it");
}

#[test]
fn a_range_tombstone_goes_once_nothing_older_has_one_of_its_keys() {
    let mut tree = Tree::new(LAST + 1);
    tree.load(LAST, vec![plain(1, (20, 30)), plain(2, (60, 70))]);
    let new = tree.load(2, vec![file(7, (0, 100), range(0, 100, 7))]);
    let inputs = vec![(new, vec![file(7, (0, 100), range(0, 100, 7))])];
    let plan = crate::plans::plan(inputs, new);
    tree.set_horizon(7);
    let guard = DropGuard::new(&plan, &tree);
    let may_drop = |smallest, largest, sequence| {
        guard.may_drop_range(&RangeTombstone { smallest, largest, sequence })
    };
    assert!(may_drop(31, 59, 7) && may_drop(0, 19, 7) && may_drop(71, 100, 7));
    assert!(!may_drop(30, 59, 7) && !may_drop(31, 60, 7) && !may_drop(0, 100, 7));
    assert!(!may_drop(31, 59, 8), "a snapshot is older");
}
