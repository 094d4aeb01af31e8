//! Which files are rewritten for the sake of their tombstones, and which are left alone: single cases, by hand.

use lsm::compaction::{
    Action, Busy, DropGuard, Expiry, File, Leveled, LeveledOptions, Plan, Reason, ReclaimOptions,
    Reclaimable, SizeTiered, SizeTieredOptions, Strategy, Tree, Urgency,
};

fn leveled() -> Leveled {
    let (base_bytes, file_bytes, max_input_bytes) = (400, 100, 2_500);
    let options =
        LeveledOptions { base_bytes, file_bytes, max_input_bytes, ..LeveledOptions::default() };
    Leveled::new(options).unwrap()
}

fn file(id: u64, keys: (u64, u64), tombstones: u64) -> File<u64> {
    File { tombstones, newest: id, ..File::new(id, keys, 10, 100) }
}

fn pick(tree: &Tree<u64>) -> Option<Plan<u64>> {
    leveled().pick(tree, &Busy::default(), Urgency::Mandatory)
}

/// Four runs in level 0 without a common key; the first has some tombstones.
fn four_runs(tree: &mut Tree<u64>) {
    for id in 1..=4 {
        tree.flush(vec![file(id, (id * 100, id * 100 + 50), u64::from(id == 1))]);
    }
}

#[test]
fn files_without_common_keys_move_unless_tombstones_can_go() {
    let mut empty = Tree::new(4);
    four_runs(&mut empty);
    assert!(!pick(&empty).unwrap().is_move(), "nothing is older than the tombstone");
    let mut above_older = Tree::new(4);
    // Level 3 is large enough for level 2 to be the base.
    above_older.load(3, (0..9).map(|id| file(50 + id, (id * 80, id * 80 + 79), 0)).collect());
    four_runs(&mut above_older);
    let plan = pick(&above_older).unwrap();
    assert_eq!(plan.output.level, 2);
    assert!(plan.is_move(), "the tombstone is needed");
    assert_eq!((plan.input_bytes(), plan.write_bytes()), (400, 0));
}

#[test]
fn a_dense_file_is_rewritten_once_no_snapshot_needs_its_tombstones() {
    let mut tree = Tree::new(4);
    let place = tree.load(3, vec![file(7, (0, 100), 9)]);
    tree.set_horizon(6);
    assert_eq!(pick(&tree), None, "a snapshot is older than the tombstones");
    tree.set_horizon(7);
    let plan = pick(&tree).unwrap();
    let facts = (plan.reason, plan.output, plan.action);
    assert_eq!(facts, (Reason::Tombstones, place, Action::Rewrite));
    assert_eq!((plan.input_bytes(), plan.write_bytes()), (100, 100));
}

#[test]
fn a_dense_file_goes_into_the_next_older_run_with_its_keys() {
    let mut tree = Tree::new(4);
    let oldest = tree.load(3, vec![file(1, (0, 100), 0)]);
    tree.load(2, vec![file(2, (200, 300), 0)]);
    tree.load(1, vec![file(3, (50, 60), 9)]);
    let tiered = SizeTiered::new(SizeTieredOptions::default()).unwrap();
    let plan = tiered.pick(&tree, &Busy::default(), Urgency::Mandatory).unwrap();
    assert_eq!((plan.reason, plan.output), (Reason::Tombstones, oldest));
    assert!(plan.has_input(1) && plan.has_input(3) && !plan.has_input(2));
}

#[test]
fn a_file_is_dense_from_the_stated_share_of_tombstones_on() {
    for (tombstones, is_dense) in [(4, false), (5, true)] {
        let mut tree = Tree::new(4);
        tree.load(3, vec![file(7, (0, 100), tombstones)]);
        let reason = pick(&tree).map(|plan| plan.reason);
        assert_eq!(reason, is_dense.then_some(Reason::Tombstones), "{tombstones} of 10");
    }
}

#[test]
fn a_tombstone_of_the_stated_age_is_compacted_away() {
    let reclaim = ReclaimOptions { max_age: Some(5), ..ReclaimOptions::default() };
    let options = LeveledOptions { reclaim, ..LeveledOptions::default() };
    let strategy = Leveled::new(options).unwrap();
    let mut tree = Tree::new(4);
    tree.load(3, vec![file(6, (0, 100), 0), file(7, (101, 200), 1)]);
    for (now, is_due) in [(4, false), (5, true)] {
        tree.set_now(now);
        let plan = strategy.pick(&tree, &Busy::default(), Urgency::Mandatory);
        let files = plan.map(|plan| plan.files().map(|file| file.id).collect::<Vec<_>>());
        assert_eq!(files, is_due.then(|| vec![7]), "at {now}");
    }
}

#[test]
fn of_files_with_equal_overlaps_the_one_with_dead_entries_goes_down_first() {
    let expiry = Some(Expiry { entries: 4, earliest: 1, latest: 1 });
    let reclaimable = Reclaimable { expiry, ..Reclaimable::default() };
    let expired = File { reclaimable, ..file(2, (80, 159), 0) };
    for second in [file(2, (80, 159), 4), expired] {
        let mut tree = Tree::new(4);
        tree.set_expiry_horizon(1);
        tree.load(3, (0..9).map(|id| file(50 + id, (id * 80, id * 80 + 79), 0)).collect());
        tree.load(2, vec![file(1, (0, 79), 0), second]);
        let plan = pick(&tree).unwrap();
        assert_eq!((plan.reason, plan.output.level), (Reason::Size, 3));
        assert!(plan.has_input(2) && !plan.has_input(1), "{plan:?}");
    }
}

#[test]
fn a_tombstone_goes_if_the_oldest_snapshot_sees_it() {
    let mut tree = Tree::new(4);
    tree.load(3, vec![file(7, (0, 100), 9)]);
    tree.set_horizon(7);
    let guard = DropGuard::new(&pick(&tree).unwrap(), &tree);
    assert!(guard.may_drop(&50, 7) && !guard.may_drop(&50, 8));
}

#[test]
#[should_panic(expected = "101 is a key of the plan")]
fn a_guard_is_not_asked_about_keys_outside_its_plan() {
    let mut tree = Tree::new(4);
    tree.load(3, vec![file(7, (0, 100), 9)]);
    DropGuard::new(&pick(&tree).unwrap(), &tree).may_drop(&101, 0);
}
