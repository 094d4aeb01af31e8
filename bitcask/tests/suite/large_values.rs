//! Large values: their checksum is verified on the first touch, and by everything that reads whole files.

use bitcask::{Bitcask, ReadMode};
use durable::Fs as _;
use kv::{Durability, KeyRange, Kv, Snapshots as _};
use std::path::Path;

use crate::world::{STORE, World, key};

/// A sealed file with one value of 9,000 bytes at `key(1)`, and its hint.
fn sealed_store(world: &World) {
    let engine = Bitcask::open(STORE, world.options().data_file_bytes(1 << 20)).unwrap();
    engine.put(&key(1), &[7; 9_000], Durability::Buffered).unwrap();
    engine.put(&key(2), &[8; 100], Durability::Buffered).unwrap();
    engine.close().unwrap();
}

/// Flips one bit in the middle of the large value.
fn damage(world: &World) {
    let file = world.disk.open_writable(Path::new("store/000000.data")).unwrap();
    let mut byte = [0];
    file.read_at(5_000, &mut byte).unwrap();
    file.write_at(5_000, &[byte[0] ^ 1]).unwrap();
}

#[test]
fn a_damaged_large_value_is_found_on_the_first_touch_in_every_handle() {
    for read in [ReadMode::Mapped, ReadMode::Positional] {
        let world = World::new();
        sealed_store(&world);
        damage(&world);
        for _ in 0..2 {
            let engine = Bitcask::open(STORE, world.options().read(read)).unwrap();
            let snapshot = engine.snapshot().unwrap();
            for _ in 0..2 {
                assert!(engine.get(&key(1)).unwrap_err().is_corruption(), "{read:?}");
                assert!(snapshot.get(&key(1)).unwrap_err().is_corruption(), "{read:?}");
                let mut cursor = engine.scan(KeyRange::all()).unwrap();
                assert!(cursor.next().unwrap());
                assert!(cursor.value().unwrap_err().is_corruption(), "{read:?}");
            }
            assert_eq!(engine.get(&key(2)).unwrap().unwrap()[..], [8; 100]);
            engine.close().unwrap();
            let reader = Bitcask::open_read_only(STORE, world.options().read(read)).unwrap();
            assert!(reader.get(&key(1)).unwrap_err().is_corruption(), "{read:?}");
        }
    }
}

#[test]
fn verify_finds_damage_that_comes_after_the_first_touch() {
    for read in [ReadMode::Mapped, ReadMode::Positional] {
        let world = World::new();
        sealed_store(&world);
        let engine = Bitcask::open(STORE, world.options().read(read)).unwrap();
        assert_eq!(engine.get(&key(1)).unwrap().unwrap()[..], [7; 9_000]);
        engine.verify().unwrap();
        damage(&world);
        assert!(engine.verify().unwrap_err().is_corruption(), "{read:?}");
    }
}

/// A merge reads its inputs anew, so damage does not spread into its output.
#[test]
fn a_merge_refuses_to_copy_a_large_value_that_was_damaged_after_its_first_touch() {
    let world = World::new();
    sealed_store(&world);
    let engine = Bitcask::open(STORE, world.options()).unwrap();
    assert_eq!(engine.get(&key(1)).unwrap().unwrap()[..], [7; 9_000]);
    engine.put(&key(2), &[9; 100], Durability::Buffered).unwrap();
    damage(&world);
    assert!(engine.merge().unwrap_err().is_corruption());
}
