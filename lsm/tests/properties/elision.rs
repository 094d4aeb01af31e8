//! Which files are rewritten for the sake of their tombstones, and which are left alone: single cases, by hand.

use lsm::compaction::{
    Busy, File, Leveled, LeveledOptions, Plan, Reason, SizeTiered, SizeTieredOptions, Strategy,
    Tree, Urgency,
};

fn leveled() -> Leveled {
    let (base_bytes, file_bytes, max_input_bytes) = (400, 100, 2_500);
    let options =
        LeveledOptions { base_bytes, file_bytes, max_input_bytes, ..LeveledOptions::default() };
    Leveled::new(options).unwrap()
}

fn file(id: u64, keys: (u64, u64), tombstones: u64) -> File<u64> {
    let (smallest, largest) = keys;
    File { id, bytes: 100, smallest, largest, entries: 10, tombstones, newest: id, created: 0 }
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
    assert!(!pick(&empty).unwrap().is_move, "nothing is older than the tombstone");
    let mut above_older = Tree::new(4);
    // Level 3 is large enough for level 2 to be the base.
    above_older.load(3, (0..9).map(|id| file(50 + id, (id * 80, id * 80 + 79), 0)).collect());
    four_runs(&mut above_older);
    let plan = pick(&above_older).unwrap();
    assert_eq!(plan.output.level, 2);
    assert!(plan.is_move, "the tombstone is needed");
}

#[test]
fn a_dense_file_is_rewritten_once_no_snapshot_needs_its_tombstones() {
    let mut tree = Tree::new(4);
    let place = tree.load(3, vec![file(7, (0, 100), 9)]);
    tree.set_horizon(6);
    assert_eq!(pick(&tree), None, "a snapshot is older than the tombstones");
    tree.set_horizon(7);
    let plan = pick(&tree).unwrap();
    assert_eq!((plan.reason, plan.output, plan.is_move), (Reason::Tombstones, place, false));
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
