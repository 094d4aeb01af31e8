//! The lock file is removed, or the directory is, while a writer has the store open. Another writer gets in then; no write
//! may be acknowledged as synced that the other one does not find.

use std::path::Path;
use std::sync::Arc;

use bitcask::{Bitcask, Options};
use durable::{Env, Fs, OsFs, SimFs};
use kv::{Durability, Error, Kv};

use crate::world::{STORE, World};

fn on_real_disk(dir: &Path) -> kv::Result<Bitcask> {
    Bitcask::open(dir, Options::in_env(Env::os(1)).data_file_bytes(1 << 20))
}

/// `first` has lost its lock to `second`. Its next synced write fails and poisons it, and the second has all that the
/// first acknowledged.
fn expect_first_writer_poisoned(first: &Bitcask, second: &Bitcask, dir: &Path) {
    let refused = first.put(b"late", b"value", Durability::Sync).unwrap_err();
    let Error::Io { path, .. } = &refused else { panic!("{refused}") };
    assert!(path.starts_with(dir), "{refused}");
    assert!(refused.to_string().contains("while"), "{refused}");
    for refused in [first.put(b"later", b"value", Durability::Buffered).map(drop), first.sync()] {
        assert!(matches!(refused, Err(Error::Poisoned { .. })), "{refused:?}");
    }
    assert_eq!(first.get(b"early").unwrap().as_deref(), Some(&b"value"[..]), "reads go on");
    assert_eq!(second.get(b"early").unwrap().as_deref(), Some(&b"value"[..]));
    assert_eq!(second.get(b"late").unwrap(), None, "nobody was told that it is there");
    second.put(b"late", b"of the second", Durability::Sync).unwrap();
}

#[test]
fn a_writer_whose_lock_file_was_removed_acknowledges_no_synced_write_beside_another() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("store");
    let first = on_real_disk(&path).unwrap();
    first.put(b"early", b"value", Durability::Sync).unwrap();
    assert!(matches!(on_real_disk(&path), Err(Error::Locked { .. })));
    OsFs::default().remove(&path.join("LOCK")).unwrap();
    let second = on_real_disk(&path).unwrap();
    expect_first_writer_poisoned(&first, &second, &path);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "somebody removes the directory")]
fn a_writer_whose_directory_was_replaced_acknowledges_no_synced_write() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("store");
    let first = on_real_disk(&path).unwrap();
    first.put(b"early", b"value", Durability::Sync).unwrap();
    std::fs::remove_dir_all(&path).unwrap();
    let second = on_real_disk(&path).unwrap();
    second.put(b"early", b"value", Durability::Sync).unwrap();
    expect_first_writer_poisoned(&first, &second, &path);
}

#[test]
fn a_writer_whose_lock_file_was_removed_fails_on_the_simulated_disk_too() {
    let world = World::new();
    let first = world.open().unwrap();
    first.put(b"early", b"value", Durability::Sync).unwrap();
    world.disk.delete(&Path::new(STORE).join("LOCK"));
    let second = world.open().unwrap();
    expect_first_writer_poisoned(&first, &second, Path::new(STORE));
    assert!(matches!(world.open(), Err(Error::Locked { .. })), "the second has the lock");
}

/// Buffered writes wait for no sync, so they learn of it with the next sync.
#[test]
fn a_sync_after_the_lock_file_was_removed_fails() {
    let world = World::new();
    let engine = world.open().unwrap();
    engine.put(b"early", b"value", Durability::Buffered).unwrap();
    world.disk.delete(&Path::new(STORE).join("LOCK"));
    engine.put(b"late", b"value", Durability::Buffered).unwrap();
    assert!(matches!(engine.sync(), Err(Error::Io { .. })));
    assert!(matches!(engine.sync(), Err(Error::Poisoned { .. })));
}

/// The lock belongs to the file: an unsynced name that a crash takes, or a second file of that name, is another lock.
#[test]
fn a_lock_is_held_on_the_file_and_not_on_its_name() {
    let disk: Arc<dyn Fs> = Arc::new(SimFs::new());
    disk.create_dir(Path::new(STORE)).unwrap();
    let path = Path::new(STORE).join("LOCK");
    let lock = || disk.lock(&path, durable::LockMode::Exclusive);
    let first = lock().unwrap();
    first.check().unwrap();
    disk.remove(&path).unwrap();
    assert!(first.check().is_err());
    let second = lock().unwrap();
    drop(first);
    second.check().unwrap();
    assert!(matches!(lock(), Err(Error::Locked { .. })));
    drop(second);
    lock().unwrap();
}
