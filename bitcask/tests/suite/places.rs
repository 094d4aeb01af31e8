//! The directory of a store on the real disk, and what others do to it.
#![expect(clippy::disallowed_methods, reason = "somebody else's hands on the directory")]

use std::path::Path;

use bitcask::{Bitcask, Options};
use kv::{Durability, Kv};

fn open(path: &Path) -> kv::Result<Bitcask> {
    Bitcask::open(path, Options::new().data_file_bytes(1024))
}

fn fill(engine: &Bitcask) -> kv::Result<()> {
    for number in 0..50_u8 {
        engine.put(&[number], &[number; 200], Durability::Sync)?;
    }
    Ok(())
}

/// A user found this: files went by a path that had come to mean another directory.
#[test]
fn a_store_that_was_moved_away_writes_nothing_into_the_one_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = (dir.path().join("here"), dir.path().join("there"));
    let old = open(&here).unwrap();
    fill(&old).unwrap();
    std::fs::rename(&here, &there).unwrap();
    let new = open(&here).unwrap();
    // What it says depends on which step the background work was in.
    fill(&old).unwrap_err();
    assert!(old.close().is_err());
    fill(&new).unwrap();
    new.close().unwrap();
    drop((old, new));
    assert_eq!(open(&here).unwrap().statistics().keys, 50);
    assert_eq!(open(&there).unwrap().statistics().keys, 50);
}

#[test]
fn a_store_opened_through_a_link_stays_where_it_is_when_the_link_goes_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    for store in [&first, &second] {
        open(store).unwrap().close().unwrap();
    }
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&first, &link).unwrap();
    let engine = open(&link).unwrap();
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&second, &link).unwrap();
    fill(&engine).unwrap();
    engine.close().unwrap();
    assert_eq!(open(&first).unwrap().statistics().keys, 50);
    assert_eq!(open(&second).unwrap().statistics().keys, 0);
}

#[test]
fn something_else_under_the_name_of_the_next_file_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let engine = open(&store).unwrap();
    for number in 0..3 {
        std::os::unix::fs::symlink("nowhere", store.join(format!("{number:06}.data"))).unwrap();
    }
    fill(&engine).unwrap();
    engine.close().unwrap();
    assert_eq!(open(&store).unwrap().statistics().keys, 50);
    assert!(std::fs::symlink_metadata(store.join("000001.data")).unwrap().is_symlink());
}
