//! A level far over its target takes nothing from above until it is smaller: single cases, by hand.

use lsm::compaction::{Busy, File, Leveled, LeveledOptions, Plan, Reason, Strategy, Tree, Urgency};

const LAST: usize = 4;

/// The last level has 16,000 bytes, so level 3 has a target of 4,000, and level 2, the base, one of 1,000.
const LAST_BYTES: u64 = 16_000;

fn leveled() -> Leveled {
    let options = LeveledOptions {
        l0_runs: 2,
        l0_soft_runs: 2,
        base_bytes: 1_000,
        fan_out: 4,
        stop_percent: 125,
        file_bytes: 100,
        max_input_bytes: 100_000,
        ..LeveledOptions::default()
    };
    Leveled::new(options).unwrap()
}

/// Files of 50 bytes with 50 keys each, side by side.
fn files(first_id: u64, first_key: u64, bytes: u64) -> Vec<File<u64>> {
    let ends = |at: u64| (first_key + at * 50, first_key + at * 50 + 49);
    (0..bytes / 50).map(|at| File::new(first_id + at, ends(at), 10, 50)).collect()
}

/// The last level, so many bytes in levels 3 and 2, which have no common key, and so many runs in level 0.
fn tree(level_3: u64, level_2: u64, l0_runs: u64) -> Tree<u64> {
    let mut tree = Tree::new(LAST + 1);
    tree.load(LAST, files(10_000, 0, LAST_BYTES));
    tree.load(3, files(20_000, 0, level_3));
    tree.load(2, files(30_000, 10_000, level_2));
    for run in 0..l0_runs {
        tree.flush(files(40_000 + 1_000 * run, 0, 100));
    }
    tree
}

fn from_and_to(plan: &Plan<u64>) -> (usize, usize) {
    (plan.inputs[0].place.level, plan.output.level)
}

fn pick(tree: &Tree<u64>, busy: &Busy<u64>) -> Option<Plan<u64>> {
    leveled().pick(tree, busy, Urgency::Mandatory)
}

#[test]
fn a_crowded_level_0_waits_while_the_base_has_125_percent_of_its_target() {
    // Level 0 has more than its soft limit of runs, so it would go before deeper levels.
    for (base_bytes, expected) in [(1_200, (0, 2)), (1_250, (2, 3))] {
        let tree = tree(3_000, base_bytes, 3);
        assert_eq!(leveled().is_stopped(&tree, 2), base_bytes == 1_250);
        let plan = pick(&tree, &Busy::default()).unwrap();
        assert_eq!(from_and_to(&plan), expected, "{base_bytes}");
    }
}

#[test]
fn a_level_over_its_target_waits_while_the_next_one_has_125_percent_of_its_own() {
    for (level_3, expected) in [(4_950, Some((2, 3))), (5_000, None)] {
        let tree = tree(level_3, 1_300, 1);
        let mut busy = Busy::default();
        // All of level 3 that can go down is in flight.
        while let Some(plan) = pick(&tree, &busy).filter(|plan| from_and_to(plan) == (3, LAST)) {
            busy.begin(&plan);
        }
        assert!(!busy.is_idle(), "level 3 is over its target");
        assert_eq!(pick(&tree, &busy).map(|plan| from_and_to(&plan)), expected, "{level_3}");
    }
}

#[test]
fn runs_of_level_0_become_one_while_a_stopped_base_is_busy() {
    let tree = tree(3_000, 1_300, 3);
    let mut busy = Busy::default();
    let plans = std::iter::from_fn(|| {
        let plan = pick(&tree, &busy)?;
        busy.begin(&plan);
        Some((from_and_to(&plan), plan.reason))
    });
    let plans: Vec<_> = plans.collect();
    let (last, drains) = plans.split_last().unwrap();
    assert!(!drains.is_empty() && drains.iter().all(|(levels, _)| *levels == (2, 3)), "{plans:?}");
    assert_eq!(*last, ((0, 0), Reason::IntraL0), "{plans:?}");
}

#[test]
fn the_last_level_and_levels_above_the_base_are_never_stopped() {
    let mut tree = tree(3_000, 1_000, 2);
    tree.load(1, files(50_000, 0, 3_000));
    let stopped: Vec<bool> = (0..=LAST).map(|level| leveled().is_stopped(&tree, level)).collect();
    assert_eq!(stopped, [false; LAST + 1]);
    let strict = LeveledOptions { stop_percent: 100, ..LeveledOptions::default() };
    assert!(!Leveled::new(strict).unwrap().is_stopped(&tree, LAST), "it is at its target");
}

#[test]
fn the_base_always_has_room_for_one_compaction_of_level_0() {
    let options = LeveledOptions { l0_runs: 8, ..LeveledOptions::default() };
    let small = |file_bytes| {
        let (base_bytes, fan_out) = (1_000, 4);
        let options = LeveledOptions { base_bytes, fan_out, file_bytes, ..options };
        Leveled::new(LeveledOptions { max_input_bytes: 100_000, ..options }).unwrap()
    };
    let mut tree = Tree::new(LAST + 1);
    tree.load(LAST, files(10_000, 0, LAST_BYTES + 600));
    tree.load(1, files(20_000, 0, 350));
    // The targets are 4,150, 1,037 and 259 bytes: the base is level 1.
    assert!(small(10).is_stopped(&tree, 1), "8 files have 80 bytes");
    assert!(!small(100).is_stopped(&tree, 1), "8 files have 800 bytes");
}
