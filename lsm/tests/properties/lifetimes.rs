//! Data that live for a time only, in a steady state with real keys: the space that they take stays bounded, and files that
//! are dead as a whole cost no writing.

use lsm::compaction::{
    LazyLeveled, LazyLeveledOptions, Leveled, LeveledOptions, ReclaimOptions, SizeTiered,
    SizeTieredOptions, Urgency,
};

use crate::oracle::Operation;
use crate::presets::Boxed;
use crate::random::Random;
use crate::world::World;

const ENTRY_BYTES: u64 = 100;
const FLUSH_ENTRIES: u64 = 100;
const FLUSH_BYTES: u64 = ENTRY_BYTES * FLUSH_ENTRIES;
/// Entries live for so many flushes.
const LIFETIME: u64 = 64;
const FLUSHES: u64 = 6 * LIFETIME;

fn strategies(dense_percent: u64) -> [(&'static str, Boxed); 3] {
    let reclaim = ReclaimOptions { dense_percent, ..ReclaimOptions::default() };
    let (file_bytes, flush_bytes) = (FLUSH_BYTES, FLUSH_BYTES);
    let leveled = LeveledOptions {
        base_bytes: 4 * FLUSH_BYTES,
        max_input_bytes: 25 * FLUSH_BYTES,
        file_bytes,
        reclaim,
        ..LeveledOptions::default()
    };
    let small_bytes = FLUSH_BYTES * 3 / 4;
    let tiered =
        SizeTieredOptions { small_bytes, file_bytes, reclaim, ..SizeTieredOptions::default() };
    let lazy =
        LazyLeveledOptions { flush_bytes, file_bytes, reclaim, ..LazyLeveledOptions::default() };
    [
        ("leveled", Box::new(Leveled::new(leveled).unwrap())),
        ("size-tiered", Box::new(SizeTiered::new(tiered).unwrap())),
        ("lazy-leveled", Box::new(LazyLeveled::new(lazy).unwrap())),
    ]
}

/// Bytes written for each byte flushed, and the most bytes in the tree for each live byte, after the first lifetimes.
fn measure(strategy: &Boxed, mut memtable: impl FnMut(u64) -> Vec<Operation>) -> (f64, f64) {
    let mut world = World::new(5);
    world.splits_at_ranges = true;
    let mut most = 0;
    for number in 0..FLUSHES {
        world.flush(&memtable(number), FLUSH_ENTRIES as usize);
        let mut plans = 0;
        while let Some(plan) = strategy.pick(&world.tree, &world.busy, Urgency::Mandatory) {
            world.begin(plan);
            world.finish(0, &**strategy, |answer| answer);
            plans += 1;
            assert!(plans < 1_000, "compactions come to an end");
        }
        if number % 16 == 0 {
            assert_eq!(world.check(), Ok(()));
        }
        if number > 3 * LIFETIME {
            most = most.max(world.tree.bytes());
        }
    }
    let write = (world.flushed + world.compacted) as f64 / world.flushed as f64;
    (write, most as f64 / (LIFETIME * FLUSH_BYTES) as f64)
}

fn expiring(key: u64, number: u64) -> Operation {
    // The clock of the world counts flushes.
    Operation::Put { key, bytes: ENTRY_BYTES, expires: Some(number + LIFETIME) }
}

/// Keys that rise with time, as those of events.
fn events(number: u64) -> Vec<Operation> {
    let first = number * FLUSH_ENTRIES;
    (first..first + FLUSH_ENTRIES).map(|key| expiring(key, number)).collect()
}

/// Keys all over the key space.
fn sessions(random: &mut Random, number: u64) -> Vec<Operation> {
    (0..FLUSH_ENTRIES).map(|_| expiring(random.below(1_000_000), number)).collect()
}

/// Keys that rise with time; those of the oldest memtable are deleted as a range.
fn queue(number: u64) -> Vec<Operation> {
    let first = number * FLUSH_ENTRIES;
    let mut operations: Vec<_> =
        (first..first + FLUSH_ENTRIES).map(|key| Operation::put(key, ENTRY_BYTES)).collect();
    if let Some(oldest) = number.checked_sub(LIFETIME) {
        let smallest = oldest * FLUSH_ENTRIES;
        let largest = smallest + FLUSH_ENTRIES - 1;
        operations.push(Operation::DeleteRange { smallest, largest });
    }
    operations
}

#[test]
fn events_that_expire_are_written_once_and_go_without_being_read() {
    for (name, strategy) in strategies(50) {
        let (write, space) = measure(&strategy, events);
        println!("{name}: write {write:.3}, space {space:.3}");
        assert!(write < 1.001 && space < 1.02, "{name}: write {write:.3}, space {space:.3}");
    }
}

#[test]
fn sessions_that_expire_take_a_bounded_multiple_of_the_live_space() {
    for (name, strategy) in strategies(50) {
        let mut random = Random::new(3);
        let (write, space) = measure(&strategy, |number| sessions(&mut random, number));
        println!("{name}: write {write:.2}, space {space:.2}");
        assert!(space < 2.2, "{name}: space {space:.2}");
    }
}

#[test]
fn sessions_that_expire_take_more_space_with_a_higher_limit_of_dead_entries() {
    let [low, high] = [50, 100].map(|dense_percent| {
        let [_, (_, tiered), _] = strategies(dense_percent);
        let mut random = Random::new(3);
        measure(&tiered, |number| sessions(&mut random, number)).1
    });
    assert!(low < high, "{low:.2} with 50 %, {high:.2} with 100 %");
}

#[test]
fn entries_of_a_queue_are_written_once_and_go_with_their_range_tombstone_without_being_read() {
    for (name, strategy) in strategies(50) {
        let (write, space) = measure(&strategy, queue);
        println!("{name}: write {write:.3}, space {space:.3}");
        assert!(write < 1.001 && space < 1.02, "{name}: write {write:.3}, space {space:.3}");
    }
}
