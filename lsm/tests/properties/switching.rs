//! P8: a tree that one strategy has built is taken over by another without a rewrite of everything.

use lsm::compaction::{
    LazyLeveled, LazyLeveledOptions, Leveled, LeveledOptions, SizeTiered, SizeTieredOptions,
    Urgency,
};

use crate::oracle::Operation;
use crate::planted::{Mistake, Mistaken};
use crate::presets::Boxed;
use crate::random::Random;
use crate::world::World;

const ENTRY_BYTES: u64 = 100;
const FLUSH_ENTRIES: u64 = 100;
const FLUSH_BYTES: u64 = ENTRY_BYTES * FLUSH_ENTRIES;
const LEVELS: usize = 7;
const NAMES: [&str; 3] = ["leveled", "size-tiered", "lazy-leveled"];

fn strategy(name: &str) -> Boxed {
    match name {
        "leveled" => {
            let options = LeveledOptions {
                base_bytes: 4 * FLUSH_BYTES,
                file_bytes: FLUSH_BYTES,
                max_input_bytes: 25 * FLUSH_BYTES,
                ..LeveledOptions::default()
            };
            Box::new(Leveled::new(options).unwrap())
        }
        "size-tiered" => {
            let small_bytes = FLUSH_BYTES * 3 / 4;
            let file_bytes = FLUSH_BYTES;
            let options =
                SizeTieredOptions { small_bytes, file_bytes, ..SizeTieredOptions::default() };
            Box::new(SizeTiered::new(options).unwrap())
        }
        _ => {
            let (flush_bytes, file_bytes) = (FLUSH_BYTES, FLUSH_BYTES);
            let options =
                LazyLeveledOptions { flush_bytes, file_bytes, ..LazyLeveledOptions::default() };
            Box::new(LazyLeveled::new(options).unwrap())
        }
    }
}

/// Compacts until there is nothing to do, or until ten times the bytes of the tree are written.
fn rest(world: &mut World, strategy: &Boxed) {
    let limit = world.compacted + 10 * world.tree.bytes();
    while let Some(plan) = strategy.pick(&world.tree, &world.busy, Urgency::Mandatory) {
        world.begin(plan);
        world.finish(0, &**strategy, |answer| answer);
        if world.compacted > limit {
            return;
        }
    }
}

/// A tree of `flushes` flushes of uniform keys, at rest.
fn built_by(strategy: &Boxed, flushes: u64) -> World {
    let mut random = Random::new(flushes);
    let mut world = World::new(LEVELS);
    for _ in 0..flushes {
        let mut put = || Operation::put(random.below(10_000), ENTRY_BYTES);
        let operations: Vec<_> = (0..FLUSH_ENTRIES).map(|_| put()).collect();
        world.flush(&operations, FLUSH_ENTRIES as usize);
        rest(&mut world, strategy);
    }
    world
}

/// The share of the tree's bytes that is written until `next` has nothing more to do.
fn share_rewritten(mut world: World, next: &Boxed) -> f64 {
    let (bytes, before) = (world.tree.bytes(), world.compacted);
    rest(&mut world, next);
    assert_eq!(world.check(), Ok(()), "reads stay right");
    (world.compacted - before) as f64 / bytes as f64
}

/// The share of its bytes that a tree of `first` may rewrite before `next` is at rest. A size-tiered tree has two or three
/// runs near the size of its largest; leveled compaction brings each of them down to a tenth, in small plans.
fn bound(first: &str, next: &str) -> f64 {
    match (first, next) {
        (_, "size-tiered") | ("leveled", _) | ("lazy-leveled", "lazy-leveled") => 0.0,
        ("size-tiered", "leveled") => 2.0,
        // A rewrite of everything is 0.88, because it drops what was overwritten.
        ("lazy-leveled", "leveled") => 0.8,
        _ => 1.0,
    }
}

fn is_within(share: f64, bound: f64) -> bool {
    share == 0.0 || share < bound
}

#[test]
fn p8_another_strategy_takes_over_without_a_full_rewrite() {
    for first in NAMES {
        for next in NAMES {
            for flushes in [90, 150, 203] {
                let world = built_by(&strategy(first), flushes);
                let share = share_rewritten(world, &strategy(next));
                println!("{first} -> {next} after {flushes} flushes: {share:.2}");
                assert!(is_within(share, bound(first, next)), "{first} -> {next}: {share:.2}");
            }
        }
    }
}

#[test]
fn p8_finds_a_strategy_that_takes_everything() {
    let inner = strategy("leveled");
    let next: Boxed = Box::new(Mistaken { inner, mistake: Mistake::TakesEverything });
    let share = share_rewritten(built_by(&strategy("lazy-leveled"), 150), &next);
    assert!(!is_within(share, bound("lazy-leveled", "leveled")), "{share:.2}");
}
