//! Repairs of stores without damage, as crashes leave them; and crashes during a repair.

use durable::SimFs;
use kv::{Durability, Error, Kv, UnixMillis, WriteBatch};
use lsm::{Lsm, Options};

use super::{Entries, REPAIRED, expected, options, range, repair, store};
use crate::compactions::Numbers;
use crate::world::{STORE, World, entries, key, strategies};

/// Random writes of all kinds, flushes and compactions.
fn churn(world: &World, options: Options, numbers: &mut Numbers, rounds: u32) {
    let engine = Lsm::open(STORE, options).expect("the disk works");
    for round in 0..rounds {
        let (number, mut batch) = (numbers.below(40) as u32, WriteBatch::new());
        match numbers.below(12) {
            0 | 1 => batch.delete(&key(number)),
            2 => batch.delete_range(range(number..number + numbers.below(6) as u32)),
            3 => batch.put_expiring(&key(number), &[3; 30], UnixMillis(numbers.below(5) * 1000)),
            _ => batch.put(&key(number), &round.to_le_bytes().repeat(1 + number as usize % 9)),
        };
        batch.put(&key(100 + number), b"in the same batch");
        let durability =
            if numbers.below(5) == 0 { Durability::Sync } else { Durability::Buffered };
        engine.write(&batch, durability).expect("the disk works");
        if numbers.below(15) == 0 {
            engine.flush().expect("the disk works");
        }
        world.clock.advance(std::time::Duration::from_millis(numbers.below(60)));
        for _ in 0..numbers.below(4) {
            let _ran: bool = world.executor.step();
        }
    }
    if numbers.below(4) == 0 {
        engine.close().expect("the disk works");
    }
    drop(engine);
    world.executor.run_all();
}

/// What an opening of the store finds, and its newest batch.
fn opened(disk: &SimFs) -> (Entries, u64) {
    let world = World::on(disk.duplicate());
    let engine = Lsm::open(STORE, world.options().create(false)).expect("it is not damaged");
    (entries(&engine).into_iter().collect(), engine.newest_sequence().0)
}

#[test]
fn the_repair_of_a_store_without_damage_has_what_an_opening_finds_after_a_crash_as_well() {
    let (mut crashes, mut stores) = (0, 0);
    for seed in 0..12 {
        let (world, mut numbers) = (World::new(), Numbers(seed * 7919 + 1));
        let strategy = strategies()[seed as usize % 3];
        let small = world.compacting(strategy).memtable_bytes(600).table_bytes(300);
        churn(&world, small, &mut numbers, 40);
        let mut sweep = world.disk.sweep();
        while let Some(point) = sweep.next_point() {
            if numbers.below(12) != 0 && point != world.disk.ops() {
                continue;
            }
            let variants = sweep.all_variants(1);
            let variant = &variants[numbers.below(variants.len() as u64) as usize];
            let left = World::on(sweep.image(variant));
            crashes += 1;
            let Ok((repair, found)) = repair(&left) else {
                let missing = Lsm::open(STORE, left.options().create(false)).is_err();
                assert!(missing, "seed {seed}, {point}: only a store that opens is repaired");
                continue;
            };
            stores += 1;
            assert!(repair.losses.is_empty(), "seed {seed}, {point}, {variant}: {repair:?}");
            let expected = opened(&left.disk);
            assert_eq!((found, repair.newest.0), expected, "seed {seed}, {point}, {variant}");
        }
    }
    assert!(stores > 200 && stores < crashes, "{stores} of {crashes}");
}

/// The store of [`store`], and the beginning of a repair: the number of the operation.
fn before_repair() -> (World, usize) {
    let world = store();
    let begun = world.disk.ops();
    (world, begun)
}

#[test]
fn a_crash_at_any_point_of_a_repair_leaves_a_directory_that_the_next_repair_takes() {
    let (world, begun) = before_repair();
    repair(&world).expect("the disk works");
    let (mut refused, mut whole) = (0, 0);
    let mut sweep = world.disk.sweep();
    while let Some(point) = sweep.next_point() {
        if point < begun {
            continue;
        }
        for variant in sweep.all_variants(2) {
            let what = format!("after {point} with {variant}");
            let left = World::on(sweep.image(&variant));
            match Lsm::open(REPAIRED, options(&left).create(false)) {
                Ok(engine) => {
                    engine.verify().expect("it is whole");
                    let found: Entries = entries(&engine).into_iter().collect();
                    assert_eq!(found, expected(), "{what}");
                    drop(engine);
                    whole += 1;
                }
                Err(error) => {
                    let is_unfinished = matches!(error, Error::InvalidArgument(_));
                    let is_missing = error.io_kind() == Some(std::io::ErrorKind::NotFound);
                    assert!(is_unfinished || is_missing, "{what}: {error}");
                    let (repair, found) = repair(&left).unwrap_or_else(|e| panic!("{what}: {e}"));
                    assert_eq!((found, repair.losses.len()), (expected(), 0), "{what}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 50 && whole > 0, "{refused} refused, {whole} whole");
}
