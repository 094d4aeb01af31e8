//! What is in the directory, and when.

use bitcask::{Bitcask, Options, ReadMode};
use kv::{Durability, Error, Kv, WriteBatch};

use crate::world::{STORE, World, entries, key};

fn fill(engine: &dyn Kv, keys: std::ops::Range<u32>) {
    crate::world::fill(engine, keys, 7);
}

#[test]
fn a_closed_store_opens_from_hints_alone() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..100);
    engine.delete(&key(7), Durability::Buffered).unwrap();
    world.executor.run_all();
    let before = entries(&engine);
    assert_eq!(before.len(), 99);
    engine.close().unwrap();
    let names: Vec<String> = world.disk.files().iter().map(|p| p.display().to_string()).collect();
    assert!(names.iter().any(|name| name == "store/000000.hint"), "{names:?}");

    let engine = world.open().unwrap();
    assert_eq!(engine.statistics().files_scanned_at_open, 0);
    assert_eq!(entries(&engine), before);
    assert_eq!(engine.get(&key(7)).unwrap(), None);
    let verification = engine.verify().unwrap();
    assert_eq!(verification.keys, 99);
    assert_eq!(verification.records, 101);
    assert_eq!(verification.data_files, verification.hint_files);
}

/// A user found this: values are read lazily, so a walk over the keys read no record of a file that was being written.
#[test]
fn verify_reads_the_records_of_a_file_that_is_being_written() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..2);
    assert_eq!(engine.verify().unwrap().keys, 2);
    let path = std::path::Path::new(STORE).join("000000.data");
    let mut bytes = world.disk.contents(&path).unwrap();
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    bytes[end] ^= 1;
    world.disk.set_contents(&path, bytes);
    assert!(engine.verify().unwrap_err().is_corruption());
}

#[test]
fn a_dropped_store_has_lost_nothing() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..50);
    let before = entries(&engine);
    drop(engine);
    let engine = world.open().unwrap();
    assert_eq!(entries(&engine), before);
    assert_eq!(engine.newest_sequence().0, 50);
    fill(&engine, 50..60);
    assert_eq!(engine.newest_sequence().0, 60);
}

#[test]
fn without_hints_the_same_keydir_comes_from_the_data() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..40);
    let before = entries(&engine);
    engine.close().unwrap();
    for path in world.disk.files() {
        if path.extension().is_some_and(|extension| extension == "hint") {
            world.disk.delete(&path);
        }
    }
    let engine = world.open().unwrap();
    assert!(engine.statistics().files_scanned_at_open > 0);
    assert_eq!(entries(&engine), before);
    engine.close().unwrap();
    let engine = world.open().unwrap();
    assert_eq!(engine.statistics().files_scanned_at_open, 0, "the hints were written anew");
}

#[test]
fn a_batch_larger_than_a_data_file_gets_one_of_its_own() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..12);
    let mut batch = WriteBatch::new();
    for number in 0..100 {
        batch.put(&key(number), &[1; 100]);
    }
    engine.write(&batch, Durability::Sync).unwrap();
    fill(&engine, 100..120);
    let before = entries(&engine);
    drop(engine);
    assert_eq!(entries(&world.open().unwrap()), before);
}

#[test]
fn a_second_opener_is_refused_until_the_first_has_closed() {
    let world = World::new();
    let engine = world.open().unwrap();
    assert!(matches!(world.open(), Err(Error::Locked { .. })));
    engine.close().unwrap();
    assert!(matches!(engine.get(b"a"), Err(Error::Closed)));
    world.open().unwrap();
}

#[test]
fn a_store_that_is_not_there_is_created_only_on_request() {
    let world = World::new();
    let refused = Bitcask::open(STORE, world.options().create(false)).unwrap_err();
    assert_eq!(refused.io_kind(), Some(std::io::ErrorKind::NotFound), "{refused}");
}

#[test]
fn the_real_disk_does_the_same_with_both_ways_of_reading() {
    let dir = tempfile::tempdir().unwrap();
    for read in [ReadMode::Mapped, ReadMode::Positional] {
        let path = dir.path().join(format!("{read:?}"));
        let options = || Options::new().read(read).data_file_bytes(4096);
        let engine = Bitcask::open(&path, options()).unwrap();
        fill(&engine, 0..300);
        engine.put(b"synced", b"value", Durability::Sync).unwrap();
        let before = entries(&engine);
        engine.close().unwrap();
        let engine = Bitcask::open(&path, options()).unwrap();
        assert_eq!(entries(&engine), before);
        assert_eq!(engine.get(b"synced").unwrap().as_deref(), Some(&b"value"[..]));
        engine.verify().unwrap();
        engine.close().unwrap();
    }
}

#[test]
fn any_damage_to_any_hint_yields_the_identical_keydir() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..14);
    engine.delete(&key(3), Durability::Buffered).unwrap();
    fill(&engine, 5..8);
    let before = entries(&engine);
    engine.close().unwrap();
    let is_hint = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "hint");
    for path in world.disk.files().into_iter().filter(is_hint) {
        let whole = world.disk.contents(&path).unwrap();
        let flipped = (0..whole.len()).map(|at| {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            damaged
        });
        let cut = (0..whole.len()).map(|len| whole[..len].to_vec());
        let longer = [[&whole[..], b"x"].concat()];
        for damaged in flipped.chain(cut).chain(longer) {
            let copy = World::on(world.disk.duplicate());
            copy.disk.set_contents(&path, damaged);
            let engine = copy.open().unwrap();
            assert_eq!(engine.statistics().files_scanned_at_open, 1);
            assert_eq!(entries(&engine), before);
            assert_eq!(engine.newest_sequence().0, 18);
        }
    }
}

#[test]
fn a_write_through_a_closed_handle_changes_nothing_on_the_disk() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..5);
    engine.close().unwrap();
    let ops = world.disk.ops();
    for durability in [Durability::Buffered, Durability::Sync] {
        let put = engine.put(b"a", b"1", durability);
        assert!(matches!(put, Err(Error::Closed)), "{put:?}");
        let deleted = engine.delete(b"a", durability);
        assert!(matches!(deleted, Err(Error::Closed)), "{deleted:?}");
    }
    assert!(matches!(engine.sync(), Err(Error::Closed)));
    assert_eq!(world.disk.ops(), ops);
}
