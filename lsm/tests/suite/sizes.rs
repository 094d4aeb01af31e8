//! The size of a range of keys, from indexes alone.

use std::ops::Bound;

use kv::{Durability, KeyRange, Kv, WriteBatch};
use lsm::{BuildOptions, Compression, Lsm, Options};

use crate::compactions::Numbers;
use crate::world::{STORE, World, entries, key, leveled, strategies};

const BLOCK_BYTES: u64 = 300;
/// The longest value. A block ends behind the entry with which it reaches its size.
const MOST_VALUE: u64 = 200;
/// What an entry takes besides its value, at least and at most: a key of 4 bytes that is shortened, a suffix of 8, lengths, and
/// its share of the block's own fields.
const ENTRY_OVERHEAD: (u64, u64) = (0, 40);

fn options(world: &World) -> Options {
    let table = BuildOptions {
        block_bytes: BLOCK_BYTES as usize,
        index_block_bytes: 100,
        compression: Compression::None,
        ..BuildOptions::default()
    };
    world.options().memtable_bytes(6_000).table_bytes(4_000).table(table)
}

/// Puts keys so that each is in one run once, and returns how long each value is.
fn filled(engine: &Lsm, numbers: &mut Numbers, keys: u32) -> Vec<u64> {
    let lens: Vec<u64> = (0..keys).map(|_| numbers.below(MOST_VALUE)).collect();
    let mut order: Vec<usize> = (0..keys as usize).collect();
    for at in (1..order.len()).rev() {
        order.swap(at, numbers.below(at as u64 + 1) as usize);
    }
    for number in order {
        let value = vec![7; lens[number] as usize];
        engine.put(&key(number as u32), &value, Durability::Buffered).expect("the disk works");
    }
    engine.flush().expect("the disk works");
    lens
}

#[test]
fn the_size_of_a_range_is_that_of_its_entries_and_at_most_two_blocks_a_run_more() {
    for (seed, strategy) in strategies().into_iter().enumerate() {
        let (world, mut numbers) = (World::new(), Numbers(seed as u64 * 7919 + 1));
        let engine = Lsm::open(STORE, options(&world).strategy(strategy)).unwrap();
        let lens = filled(&engine, &mut numbers, 600);
        if seed == 1 {
            engine.compact_range(&KeyRange::new(&key(100)[..]..&key(300)[..])).unwrap();
        }
        let runs = engine.statistics().runs;
        assert!(runs > 3, "{runs} runs");
        for _ in 0..400 {
            let (one, other) = (numbers.below(650) as u32, numbers.below(650) as u32);
            let (start, end) = (one.min(other), one.max(other));
            let range = KeyRange::new(&key(start)[..]..&key(end)[..]);
            let size = engine.approximate_size(&range).unwrap();
            let inside = &lens[(start as usize).min(600)..(end as usize).min(600)];
            let (values, count) = (inside.iter().sum::<u64>(), inside.len() as u64);
            let least = values + count * ENTRY_OVERHEAD.0;
            let blocks = 2 * runs * (BLOCK_BYTES + MOST_VALUE + ENTRY_OVERHEAD.1);
            let most = values + count * ENTRY_OVERHEAD.1 + blocks;
            assert!((least..=most).contains(&size), "{start}..{end}: {least}..={most}, {size}");
        }
    }
}

#[test]
fn the_size_of_all_keys_is_a_little_less_than_the_tables_and_memtables_do_not_count() {
    let world = World::new();
    let engine = Lsm::open(STORE, options(&world)).unwrap();
    assert_eq!(engine.approximate_size(&KeyRange::all()).unwrap(), 0);
    engine.put(b"key", &[1; 1000], Durability::Sync).unwrap();
    assert_eq!(engine.approximate_size(&KeyRange::all()).unwrap(), 0, "it is in a memtable");
    filled(&engine, &mut Numbers(5), 600);
    let (size, tables) =
        (engine.approximate_size(&KeyRange::all()).unwrap(), engine.statistics().table_bytes);
    assert!(size < tables && size > tables * 3 / 4, "{size} of {tables}");
}

#[test]
fn sizes_are_known_without_a_look_at_a_data_block_and_after_a_range_deletion_until_it_is_compacted()
{
    let world = World::new();
    let engine = Lsm::open(STORE, options(&world).strategy(leveled())).unwrap();
    filled(&engine, &mut Numbers(9), 300);
    let all = engine.approximate_size(&KeyRange::all()).unwrap();
    let mut batch = WriteBatch::new();
    batch.delete_range(KeyRange::all());
    engine.write(&batch, Durability::Buffered).unwrap();
    engine.flush().unwrap();
    assert_eq!(entries(&engine), []);
    assert_eq!(engine.approximate_size(&KeyRange::all()).unwrap(), all);
    engine.close().unwrap();
    drop(engine);
    for name in world.files("table") {
        world.damage(&name);
    }
    let engine = Lsm::open(STORE, options(&world)).unwrap();
    assert_eq!(engine.approximate_size(&KeyRange::all()).unwrap(), all);
    drop(engine);
}

#[test]
fn the_size_of_an_inverted_range_is_refused_and_that_of_an_empty_one_is_a_few_blocks_at_most() {
    let world = World::new();
    let engine = Lsm::open(STORE, options(&world)).unwrap();
    filled(&engine, &mut Numbers(3), 100);
    let inverted = KeyRange::new(&key(9)[..]..&key(3)[..]);
    assert!(matches!(engine.approximate_size(&inverted), Err(kv::Error::InvalidArgument(_))));
    let at = key(50);
    let empty = KeyRange::new((Bound::Included(&at[..]), Bound::Excluded(&at[..])));
    let most = 2 * engine.statistics().runs * (BLOCK_BYTES + MOST_VALUE + ENTRY_OVERHEAD.1);
    assert!(engine.approximate_size(&empty).unwrap() <= most);
    let behind = KeyRange::new(&key(1000)[..]..);
    assert_eq!(engine.approximate_size(&behind).unwrap(), 0);
    engine.close().unwrap();
    assert!(matches!(engine.approximate_size(&behind), Err(kv::Error::Closed)));
}
