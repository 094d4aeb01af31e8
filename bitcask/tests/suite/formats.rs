//! Stores of older formats open, go on and merge.

use std::path::Path;

use bitcask::{Bitcask, Options};
use durable::SimFs;
use kv::{Durability, Kv};

use crate::world::{STORE, World, entries, fill, key};

/// A store of state format 3 as an older build left it when it died: data file 5 is the output of a merge, in segment
/// format 1; 3, 4 and 6 were sealed from the log, in segment format 2; 7 and 8 are not sealed.
fn format_3() -> World {
    let fixture = include_str!("../golden/store-3.hex");
    World::on(SimFs::from_fixture(Path::new(STORE), fixture).unwrap())
}

/// What was written: round 1 to 5 of the keys, 100 bytes each. Keys 0 and 1 were deleted.
fn written() -> Vec<(Vec<u8>, Vec<u8>)> {
    let round = |number| {
        if number < 6 {
            3
        } else if number < 14 {
            4
        } else {
            5
        }
    };
    (2..18).map(|number| (key(number).to_vec(), vec![round(number); 100])).collect()
}

fn options(world: &World) -> Options {
    world.options().data_file_bytes(1).merge(None).reserve_bytes(0)
}

/// The magics of the data files, in the order of their ids.
fn magics(world: &World) -> Vec<String> {
    let path = |id| Path::new(STORE).join(format!("{id:06}.data"));
    let magic = |id| String::from_utf8(world.disk.contents(&path(id)).unwrap()[..8].to_vec());
    world.data_files().into_iter().map(|id| magic(id).unwrap()).collect()
}

#[test]
fn a_store_of_the_formats_before_is_read_without_a_change() {
    let world = format_3();
    let ops = world.disk.ops();
    let reader = Bitcask::open_read_only(STORE, options(&world)).unwrap();
    assert_eq!(entries(&reader), written());
    drop(reader);
    assert_eq!(world.disk.ops(), ops, "nothing was written");
}

#[test]
fn a_store_of_the_formats_before_opens_goes_on_and_merges() {
    let world = format_3();
    assert_eq!(magics(&world).iter().filter(|magic| *magic == "KVSEGM01").count(), 1);
    assert!(magics(&world).iter().all(|magic| magic < &"KVSEGM03".to_owned()));
    let engine = Bitcask::open(STORE, options(&world)).unwrap();
    assert_eq!(entries(&engine), written());
    assert_eq!(engine.get(&key(1)).unwrap(), None);
    engine.verify().unwrap();

    fill(&engine, 0..20, 6);
    engine.put(&key(0), b"", Durability::Sync).unwrap();
    world.executor.run_all();
    let mixed = magics(&world);
    assert!(mixed.iter().any(|magic| magic == "KVSEGM04"), "{mixed:?}");
    engine.verify().unwrap();
    let before = entries(&engine);
    engine.close().unwrap();

    // Reopened, old and new formats lie side by side. A merge rewrites what it reads.
    let engine = Bitcask::open(STORE, options(&world)).unwrap();
    assert_eq!(entries(&engine), before);
    engine.merge().unwrap();
    world.executor.run_all();
    assert_eq!(entries(&engine), before);
    engine.verify().unwrap();
    engine.close().unwrap();
    let merged = magics(&world);
    assert!(merged.iter().any(|magic| magic == "KVSEGM03"), "{merged:?}");
    assert!(merged.iter().all(|magic| magic != "KVSEGM01"), "the merge took it: {merged:?}");
    for (id, magic) in world.data_files().into_iter().zip(&merged) {
        assert!(id <= 8 || magic == "KVSEGM03" || magic == "KVSEGM04", "{id}: {merged:?}");
    }
    assert_eq!(entries(&Bitcask::open(STORE, options(&world)).unwrap()), before);
}

#[test]
fn every_crash_while_a_store_of_the_formats_before_is_migrated_loses_nothing() {
    let world = format_3();
    let start = world.disk.ops();
    let engine = Bitcask::open(STORE, options(&world)).unwrap();
    engine.close().unwrap();
    let mut sweep = world.disk.sweep();
    let mut images = 0;
    while let Some(point) = sweep.next_point() {
        if point < start {
            continue;
        }
        for variant in sweep.all_variants(4) {
            let image = World::on(sweep.image(&variant));
            let engine = Bitcask::open(STORE, options(&image))
                .unwrap_or_else(|error| panic!("point {point}, {variant}: {error}"));
            assert_eq!(entries(&engine), written(), "point {point}, {variant}");
            images += 1;
        }
    }
    assert!(images > 100, "{images}");
}

/// Both records have the same key, length and offset, and each has a right sum in its own file.
#[test]
fn the_record_of_another_file_at_the_same_offset_is_corruption_and_no_value() {
    let world = World::new();
    let options = || options(&world);
    // Each opening begins a file, and key 0 is the first one in it.
    for round in 1..4 {
        let engine = Bitcask::open(STORE, options()).unwrap();
        fill(&engine, 0..2, round);
        engine.close().unwrap();
    }
    let path = |id| Path::new(STORE).join(format!("{id:06}.data"));
    let ids = world.data_files();
    let newest = ids[ids.len() - 1];
    let older = world.disk.contents(&path(ids[0])).unwrap();
    let mut mixed = world.disk.contents(&path(newest)).unwrap();
    let record = 2048..2048 + 128;
    assert_ne!(older[record.clone()], mixed[record.clone()], "the records have other values");
    mixed[record.clone()].copy_from_slice(&older[record]);
    world.disk.set_contents(&path(newest), mixed);

    for read in [bitcask::ReadMode::Mapped, bitcask::ReadMode::Positional] {
        let engine = Bitcask::open(STORE, options().read(read)).unwrap();
        assert_eq!(engine.statistics().files_scanned_at_open, 0, "the hints count");
        let refused = engine.get(&key(0)).unwrap_err();
        let kv::Error::Corruption { path: named, offset, .. } = &refused else {
            panic!("{refused}")
        };
        assert_eq!((named, *offset), (&path(newest), 2048));
        assert_eq!(engine.get(&key(1)).unwrap().unwrap(), [3; 100][..]);
        engine.verify().unwrap_err();
        assert!(engine.merge().is_err() || engine.get(&key(0)).is_err(), "no merge copies it");
    }
}
