//! Merges that the user asks for, and that the disk has no room for at once.

use bitcask::{Bitcask, MergeOptions, ReadMode};
use kv::{Durability, Kv};

use crate::world::{FIRST_RECORD, STORE, World, entries, fill};

/// A store that merges nothing by itself, with 50 keys that each of 10 rounds has overwritten: most files are dead.
fn with_dead_files() -> (World, Bitcask) {
    let world = World::new();
    let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
    (0..10).for_each(|round| fill(&engine, 0..50, round));
    world.executor.run_all();
    (world, engine)
}

/// A store that merges nothing by itself. A quarter of each of the first files is live, and all of the others.
fn with_live_files() -> (World, Bitcask) {
    let world = World::new();
    let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
    fill(&engine, 0..140, 1);
    let overwritten = (0..140).filter(|number| number % 4 > 0);
    overwritten.for_each(|number| fill(&engine, number..number + 1, 2));
    world.executor.run_all();
    (world, engine)
}

/// A merge looks at the free space before it begins its first output.
#[test]
fn a_merge_without_room_for_all_copies_writes_nothing() {
    let (world, engine) = with_live_files();
    // Enough for the first output, and not for all.
    world.disk.set_free_space(Some(8_000));
    let merge = || assert!(engine.merge().unwrap_err().is_out_of_resources());
    // Ends the active file.
    merge();
    let ops = world.disk.ops();
    merge();
    assert_eq!(world.disk.ops(), ops);
}

#[test]
fn without_space_a_merge_changes_nothing_and_is_tried_again() {
    let (world, engine) = with_live_files();
    let before = entries(&engine);
    world.disk.set_free_space(Some(100));
    let failed = engine.merge().unwrap_err();
    assert!(failed.is_out_of_resources(), "{failed}");
    assert_eq!(entries(&engine), before);
    assert_eq!(engine.statistics().merges, 0);
    world.disk.set_free_space(None);
    engine.merge().unwrap();
    assert_eq!(entries(&engine), before);
    assert_eq!(engine.statistics().merges, 1);
}

/// Dead files need no room, and leave room for the others.
#[test]
fn without_background_merging_a_merge_that_lacks_room_begins_with_the_dead_files() {
    let (world, engine) = with_dead_files();
    let before = entries(&engine);
    world.disk.set_free_space(Some(8_000));
    engine.merge().unwrap();
    let stats = engine.statistics();
    assert!(stats.merges > 1 && stats.files_unlinked > 20, "{stats:?}");
    assert_eq!(entries(&engine), before);
    engine.close().unwrap();
    drop(engine);
    world.disk.set_free_space(None);
    assert_eq!(entries(&world.open().unwrap()), before);
}

/// The disk has no room for the file that wastes something. The small files fit, and one of them is damaged.
#[test]
fn a_merge_in_parts_returns_the_damage_of_an_input() {
    let world = World::new();
    let options = || {
        let options = world.options().data_file_bytes(256 << 10).read(ReadMode::Positional);
        options.reserve_bytes(0).merge(None)
    };
    let engine = Bitcask::open(STORE, options()).unwrap();
    // The first file wastes a tenth of itself.
    fill(&engine, 0..500, 1);
    fill(&engine, 0..50, 2);
    engine.close().unwrap();
    drop(engine);
    for number in 0..MergeOptions::default().small_files as u32 {
        let engine = Bitcask::open(STORE, options()).unwrap();
        fill(&engine, 1_000 + number..1_001 + number, 1);
        engine.close().unwrap();
    }
    let engine = Bitcask::open(STORE, options()).unwrap();
    let damaged = *world.data_files().last().unwrap();
    let path = world.data_path(damaged);
    let mut bytes = world.disk.contents(&path).unwrap();
    bytes.truncate(FIRST_RECORD);
    world.disk.set_contents(&path, bytes);
    world.disk.set_free_space(Some(32 << 10));

    let failed = engine.merge().unwrap_err();
    assert!(failed.is_corruption(), "{failed}");
    assert!(failed.to_string().contains(path.file_name().unwrap().to_str().unwrap()), "{failed}");
    world.disk.set_free_space(None);
    engine.put(b"later", b"1", Durability::Buffered).unwrap();
}
