//! Readers of damaged stores.

use std::path::{Path, PathBuf};

use durable::{Fault, Inject, Plan};
use kv::{Error, KeyRange, Kv};
use lsm::Lsm;

use super::{read, read_through};
use crate::world::{STORE, World, entries, fill, filled};

/// A store with tables and logs, whose process died.
fn store() -> World {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..8, 1);
    engine.flush().unwrap();
    fill(&engine, 4..12, 2);
    engine.sync().unwrap();
    world.executor.run_all();
    drop(engine);
    world
}

fn expected() -> Vec<(Vec<u8>, Vec<u8>)> {
    [filled(0..4, 1), filled(4..12, 2)].concat()
}

#[test]
fn of_a_store_with_a_changed_byte_a_reader_shows_nothing_wrong() {
    let world = store();
    let mut refused = 0;
    for (path, bytes) in world.disk.all_contents() {
        for at in (0..bytes.len()).step_by(if bytes.len() > 2_000 { 37 } else { 5 }) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x55;
            world.disk.set_contents(&path, damaged);
            let what = format!("byte {at} of {}", path.display());
            match Lsm::open_read_only(STORE, world.options()) {
                Err(error) => {
                    let is_named =
                        error.is_corruption() || matches!(error, Error::InvalidArgument(_));
                    assert!(is_named, "{what}: {error}");
                    refused += 1;
                }
                Ok(reader) => check_reads(&reader, &what),
            }
        }
        world.disk.set_contents(&path, bytes);
    }
    assert!(refused > 100, "{refused}");
    assert_eq!(entries(&read(&world)), expected());
}

/// Every entry that is shown is right, and only an error that names a file ends the walk.
fn check_reads(reader: &lsm::Reader, what: &str) {
    let mut cursor = reader.scan(KeyRange::all()).unwrap();
    let mut expected = expected().into_iter();
    loop {
        let own = |(key, value): (&[u8], &[u8])| (key.to_vec(), value.to_vec());
        let found = cursor.next().map(|found| found.then(|| cursor.entry().map(own)));
        match found {
            Ok(Some(Ok(entry))) => assert_eq!(Some(entry), expected.next(), "{what}"),
            Ok(None) => return assert_eq!(expected.next(), None, "{what}"),
            Ok(Some(Err(error))) | Err(error) => {
                assert!(error.is_corruption() && error.to_string().contains(STORE), "{what}");
                return;
            }
        }
    }
}

#[test]
fn a_missing_file_is_damage_that_is_named_and_a_refresh_keeps_what_it_had() {
    let world = store();
    let reader = read(&world);
    let is_file = |path: &PathBuf| path.extension().is_some_and(|e| e == "log" || e == "table");
    for path in world.disk.files().into_iter().filter(is_file) {
        let bytes = world.disk.contents(&path).unwrap();
        world.disk.delete(&path);
        let refused = Lsm::open_read_only(STORE, world.options()).unwrap_err();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(refused.is_corruption() && refused.to_string().contains(name), "{refused}");
        // The reader has the table open. A log is missed when it is looked at.
        drop(reader.refresh());
        assert_eq!(entries(&reader), expected());
        world.disk.set_contents(&path, bytes);
    }
}

#[test]
fn a_manifest_that_has_lost_its_last_edit_is_damage() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..1, 1);
    let is_manifest = |path: &PathBuf| path.to_string_lossy().contains("MANIFEST");
    let manifest = world.disk.files().into_iter().find(is_manifest).unwrap();
    let before = world.disk.contents(&manifest).unwrap();
    fill(&engine, 1..20, 1);
    assert_eq!(entries(&read(&world)), filled(0..20, 1));
    world.disk.set_contents(&manifest, before);
    let damaged = Lsm::open_read_only(STORE, world.options()).unwrap_err();
    assert!(damaged.to_string().contains("the manifest never gave out its number"), "{damaged}");
}

#[test]
fn a_call_that_fails_fails_the_opening_or_the_refresh_and_changes_nothing() {
    for fault in [Fault::Eio, Fault::TooManyFiles, Fault::NoMemory] {
        let mut at = 0;
        loop {
            let world = store();
            let inject = Inject::over_sim(world.disk.clone(), Plan::once(at, fault.clone()));
            let opened = read_through(&world, &inject);
            let is_over = inject.calls() <= at;
            if let Ok(reader) = opened {
                assert_eq!(entries(&reader), expected(), "{fault:?}@{at}");
            } else {
                assert_eq!(inject.injected(), 1, "{fault:?}@{at}");
            }
            inject.arm(Plan::none());
            let reader = read_through(&world, &inject).unwrap();
            let engine = world.open().unwrap();
            fill(&engine, 12..14, 2);
            let begun = inject.calls();
            inject.arm(Plan::once(begun + at, fault.clone()));
            let refreshed = reader.refresh();
            let is_over = is_over && inject.calls() <= begun + at;
            inject.arm(Plan::none());
            let shown = if refreshed.is_ok() { entries(&engine) } else { expected() };
            assert_eq!(entries(&reader), shown, "{fault:?}@{at}");
            reader.refresh().unwrap();
            assert_eq!(entries(&reader), entries(&engine));
            if is_over {
                break;
            }
            at += 1;
        }
    }
}

#[test]
fn damage_inside_a_table_shows_when_it_is_read() {
    let world = store();
    let name = world.files("table").remove(0);
    world.damage(&name);
    let reader = read(&world);
    let found = reader.verify().unwrap_err();
    assert!(found.is_corruption() && found.to_string().contains(&name), "{found}");
    let path = Path::new(STORE).join(&name);
    assert!(world.disk.contents(&path).is_some());
}
