//! P7 where it is easiest to break: a file grows byte by byte over every limit, below a level 0 that is full.

use lsm::compaction::{Busy, File, Level, Strategy, Tree, Urgency};

use crate::presets;
use crate::random::Random;

fn file(id: u64, bytes: u64) -> File<u64> {
    File { newest: id, ..File::new(id, (0, 9), 10, bytes) }
}

/// Six runs in level 0, and one file of `bytes` in `level`.
fn tree(level: usize, bytes: u64) -> Tree<u64> {
    let mut tree = Tree::new(presets::LEVELS);
    tree.load(level, vec![file(100, bytes)]);
    for id in 0..6 {
        tree.flush(vec![file(id, 1_500)]);
    }
    tree
}

fn largest_jump(strategy: &dyn Strategy<u64>, level: usize) -> f64 {
    let sizes = (50..60_000).step_by(50);
    let jump = |bytes: u64| {
        let (before, after) = (tree(level, bytes), tree(level, bytes + 50));
        let jump = strategy.debt(&after).abs_diff(strategy.debt(&before));
        jump as f64 / (50 * strategy.debt_factor(&after)) as f64
    };
    sizes.map(jump).fold(0.0, f64::max)
}

#[test]
fn p7_a_growing_file_changes_the_debt_little_by_little() {
    for seed in 0..5 {
        for kind in 0..presets::KINDS {
            let strategy = presets::strategy(kind, &mut Random::new(seed));
            for level in [1, presets::LEVELS - 1] {
                let jump = largest_jump(&*strategy, level);
                // Divisions of targets are rounded down, once a level.
                assert!(jump < 1.2, "kind {kind}, seed {seed}, level {level}: {jump}");
            }
        }
    }
}

#[test]
fn a_level_with_two_runs_is_joined_into_one() {
    let strategy = presets::strategy(0, &mut Random::new(3));
    let last = presets::LEVELS - 1;
    let mut tree = Tree::new(presets::LEVELS);
    let older = tree.load(last, vec![file(1, 500)]);
    tree.load(last, vec![file(2, 500)]);
    let busy = Busy::default();
    let plan = strategy.pick(&tree, &busy, Urgency::Mandatory).unwrap();
    assert_eq!((plan.output, plan.files().count()), (older, 2));
    plan.install(&mut tree, vec![file(3, 500)]);
    assert_eq!(tree.levels().iter().map(Level::bytes).sum::<u64>(), 500);
}
