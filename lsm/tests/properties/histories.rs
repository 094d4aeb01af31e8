//! The properties of the strategies as they are.

use crate::history::{self, Shape};
use crate::presets::KINDS;

/// Seeds for each strategy.
const SEEDS: u64 = 150;

fn holds(shape: impl Fn(u64) -> Shape) {
    for kind in 0..KINDS {
        let shape = shape(kind);
        for seed in 0..SEEDS {
            assert_eq!(history::run(seed, &shape), Ok(()), "kind {kind}");
        }
    }
}

#[test]
fn one_compaction_at_a_time_keeps_every_property() {
    holds(Shape::plain);
}

#[test]
fn several_compactions_at_once_keep_every_property() {
    holds(|kind| Shape { in_flight: 4, ..Shape::plain(kind) });
}

#[test]
fn strategies_that_change_while_compactions_run_keep_every_property() {
    holds(Shape::switching);
}

#[test]
fn a_long_history_keeps_every_property() {
    for kind in 0..KINDS {
        let shape = Shape { steps: 2_000, ..Shape::switching(kind) };
        for seed in 0..2 {
            assert_eq!(history::run(seed, &shape), Ok(()), "kind {kind}");
        }
    }
}
