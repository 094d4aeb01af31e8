//! P9: write, read and space amplification of uniform overwrites, with real keys. The bands are those of the literature for the
//! shape of the tree; `kvbench simulate` has them for large trees.

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
const FLUSH_ENTRIES: u64 = 200;
const FLUSH_BYTES: u64 = ENTRY_BYTES * FLUSH_ENTRIES;
/// 64 flushes: two levels of fan-out 10, three tiers of 4.
const KEYS: u64 = 64 * FLUSH_ENTRIES;

/// More compactions than a sound strategy needs after a flush.
const ENOUGH: usize = 1_000;

struct Amplification {
    write: f64,
    /// Runs, on average after each flush and its compactions.
    read: f64,
    space: f64,
}

/// The amplification that is expected.
struct Band {
    /// Between these, times 0.7 and 1.4.
    write: (f64, f64),
    read: f64,
    space: f64,
}

/// Loads every key in order, overwrites each twice at random to reach a steady state, and measures during two more rounds.
///
/// A strategy that never rests gets `plans` compactions after each flush.
fn measure(strategy: &Boxed, plans: usize) -> Amplification {
    let mut world = World::new(7);
    let mut random = Random::new(9);
    let flush = |world: &mut World, operations: &[Operation]| {
        world.flush(operations, FLUSH_ENTRIES as usize);
        for _ in 0..plans {
            let plan = strategy.pick(&world.tree, &world.busy, Urgency::Mandatory);
            let Some(plan) = plan else { break };
            world.begin(plan);
            world.finish(0, &**strategy, |answer| answer);
        }
    };
    for from in (0..KEYS).step_by(FLUSH_ENTRIES as usize) {
        let put: Vec<_> =
            (from..from + FLUSH_ENTRIES).map(|key| Operation::put(key, ENTRY_BYTES)).collect();
        flush(&mut world, &put);
    }
    let live = KEYS * ENTRY_BYTES;
    let (mut space, mut read, mut samples, mut start) = (0.0, 0.0, 0.0, (0, 0));
    for round in 0..4 {
        if round == 2 {
            start = (world.flushed, world.compacted);
        }
        for _ in 0..KEYS / FLUSH_ENTRIES {
            let mut put = || Operation::put(random.below(KEYS), ENTRY_BYTES);
            let operations: Vec<_> = (0..FLUSH_ENTRIES).map(|_| put()).collect();
            flush(&mut world, &operations);
            if round >= 2 {
                space += world.tree.bytes() as f64 / live as f64;
                read += world.tree.runs().count() as f64;
                samples += 1.0;
            }
        }
    }
    let written = world.flushed + world.compacted - start.0 - start.1;
    let write = written as f64 / (2 * live) as f64;
    Amplification { write, read: read / samples, space: space / samples }
}

fn leveled() -> Boxed {
    let options = LeveledOptions {
        base_bytes: 4 * FLUSH_BYTES,
        file_bytes: FLUSH_BYTES,
        max_input_bytes: 25 * FLUSH_BYTES,
        ..LeveledOptions::default()
    };
    Box::new(Leveled::new(options).unwrap())
}

fn size_tiered() -> Boxed {
    let (small_bytes, file_bytes) = (FLUSH_BYTES * 3 / 4, FLUSH_BYTES);
    let options = SizeTieredOptions { small_bytes, file_bytes, ..SizeTieredOptions::default() };
    Box::new(SizeTiered::new(options).unwrap())
}

fn lazy_leveled() -> Boxed {
    let (flush_bytes, file_bytes) = (FLUSH_BYTES, FLUSH_BYTES);
    let options = LazyLeveledOptions { flush_bytes, file_bytes, ..LazyLeveledOptions::default() };
    Box::new(LazyLeveled::new(options).unwrap())
}

/// Whether the write amplification lies within 0.7 to 1.4 times the band, and the others below their bounds.
fn check(name: &str, measured: &Amplification, band: &Band) -> Result<(), String> {
    let Amplification { write, read, space } = *measured;
    println!("{name}: write {write:.2}, runs {read:.2}, space {space:.2}");
    let (low, high) = (0.7 * band.write.0, 1.4 * band.write.1);
    if write < low || write > high {
        return Err(format!("{name}: write {write:.2}, band {low:.2} to {high:.2}"));
    }
    if read > band.read {
        return Err(format!("{name}: {read:.2} runs, at most {:.2}", band.read));
    }
    if space > band.space {
        return Err(format!("{name}: space {space:.2}, bound {:.2}", band.space));
    }
    Ok(())
}

/// Flush; level 0 into a base of 6.4 flushes, with 4 of them; one level of fan-out 10 at 0.6 files for each of them.
const LEVELED_WRITE: f64 = 1.0 + (1.0 + 6.4 / 4.0) + (0.6 * 10.0 + 1.0);
/// Space: each byte of the levels above the last, and four runs in level 0. Runs: those four, and two levels.
const LEVELED: Band = Band {
    write: (LEVELED_WRITE, LEVELED_WRITE),
    read: 4.0 + 2.0,
    space: 1.0 + 1.0 / 9.0 + 4.0 / 64.0,
};
/// Flush, and one merge in each of three tiers, which have three runs each beside the four that are to be merged.
const SIZE_TIERED: Band = Band { write: (1.0 + 3.0, 1.0 + 3.0), read: 3.0 * 3.0 + 4.0, space: 4.0 };
/// Flush, two tiered levels, and the last one with half the fan-out to all of it. Three runs in each tiered level.
const LAZY_LEVELED: Band = Band {
    write: (1.0 + 2.0 + 2.0, 1.0 + 2.0 + 4.0),
    read: 3.0 * 2.0 + 1.0 + 4.0,
    space: 1.0 + 1.0 / 3.0 + 4.0 / 64.0,
};

#[test]
fn p9_uniform_overwrites_stay_within_the_bands() {
    let outcomes = [
        check("leveled", &measure(&leveled(), ENOUGH), &LEVELED),
        check("size-tiered", &measure(&size_tiered(), ENOUGH), &SIZE_TIERED),
        check("lazy-leveled", &measure(&lazy_leveled(), ENOUGH), &LAZY_LEVELED),
    ];
    for outcome in outcomes {
        assert_eq!(outcome, Ok(()));
    }
}

#[test]
fn p9_finds_a_strategy_that_takes_everything() {
    let next: Boxed = Box::new(Mistaken { inner: leveled(), mistake: Mistake::TakesEverything });
    let outcome = check("everything", &measure(&next, 2), &LEVELED);
    assert!(outcome.unwrap_err().contains("write"));
}

#[test]
fn p9_tells_the_strategies_apart() {
    let tiered = measure(&size_tiered(), ENOUGH);
    assert!(tiered.write < 0.7 * LEVELED_WRITE, "{:.2}", tiered.write);
    assert!(tiered.read > LEVELED.read && tiered.space > LEVELED.space);
    let leveled = measure(&leveled(), ENOUGH);
    assert!(check("leveled as tiered", &leveled, &SIZE_TIERED).unwrap_err().contains("write"));
}
