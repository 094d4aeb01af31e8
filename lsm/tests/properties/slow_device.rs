//! Leveled compaction on a device that is slower than its writers: the stop at 125 % keeps the levels near their targets.

use lsm::compaction::{Leveled, LeveledOptions, Urgency};

use crate::oracle::Operation;
use crate::presets::Boxed;
use crate::random::Random;
use crate::world::World;

const ENTRY_BYTES: u64 = 100;
const FLUSH_ENTRIES: u64 = 100;
const FLUSH_BYTES: u64 = ENTRY_BYTES * FLUSH_ENTRIES;
const KEYS: u64 = 64 * FLUSH_ENTRIES;
/// So many flushes for each compaction.
const FLUSHES_PER_PLAN: usize = 2;

fn leveled(stop_percent: u64) -> Boxed {
    let options = LeveledOptions {
        base_bytes: 8 * FLUSH_BYTES,
        file_bytes: FLUSH_BYTES,
        max_input_bytes: 25 * FLUSH_BYTES,
        l0_soft_runs: 6,
        stop_percent,
        ..LeveledOptions::default()
    };
    Box::new(Leveled::new(options).unwrap())
}

fn compact(world: &mut World, strategy: &Boxed, plans: usize) {
    for _ in 0..plans {
        let plan = strategy.pick(&world.tree, &world.busy, Urgency::Mandatory);
        let Some(plan) = plan else { return };
        world.begin(plan);
        world.finish(0, &**strategy, |answer| answer);
    }
}

/// The largest score of a level below 0 while level 0 is crowded all the time.
fn largest_score(stop_percent: u64) -> f64 {
    let strategy = leveled(stop_percent);
    let mut world = World::new(4);
    for from in (0..KEYS).step_by(FLUSH_ENTRIES as usize) {
        let put = (from..from + FLUSH_ENTRIES).map(|key| Operation::put(key, ENTRY_BYTES));
        world.flush(&put.collect::<Vec<_>>(), FLUSH_ENTRIES as usize);
        compact(&mut world, &strategy, usize::MAX);
    }
    let mut random = Random::new(1);
    let mut largest = 0.0;
    for number in 0..400 {
        let mut put = || Operation::put(random.below(KEYS), ENTRY_BYTES);
        let operations: Vec<_> = (0..FLUSH_ENTRIES).map(|_| put()).collect();
        world.flush(&operations, FLUSH_ENTRIES as usize);
        compact(&mut world, &strategy, usize::from(number % FLUSHES_PER_PLAN == 0));
        let scores = strategy.scores(&world.tree);
        largest = scores[1..].iter().fold(largest, |most: f64, score| most.max(score.value));
    }
    assert_eq!(world.check(), Ok(()));
    largest
}

#[test]
fn levels_stay_near_their_targets_only_with_a_stop() {
    let (with, without) = (largest_score(125), largest_score(u64::MAX));
    println!("largest score: {with:.2} with a stop at 125 %, {without:.2} without");
    assert!(with < 4.0 && without > 2.0 * with, "{with:.2} with, {without:.2} without");
}
