//! A directory that becomes a store once all its files are there.

use std::path::Path;
use std::sync::Arc;

use durable::manifest::Manifest;
use durable::new_store::NewStore;
use durable::store_dir::{OpenMode, StoreDir};
use durable::{Fs, SimFs, copy_whole};
use kv::{Error, Result};

use crate::basics::{ID, STORE};
use crate::toy::{TOY_FILES, Toy};

/// A disk with a file outside of the store.
fn disk() -> SimFs {
    let disk = SimFs::new();
    disk.create_dir(Path::new("/source")).unwrap();
    disk.set_contents(Path::new("/source/file"), b"source".to_vec());
    disk
}

/// Makes a store that has the source as its file 7, or fails behind that.
fn make(disk: &SimFs, fails: bool) -> Result<()> {
    let fs: Arc<dyn Fs> = Arc::new(disk.clone());
    NewStore::make::<Toy, _>(&fs, Path::new(STORE), |new| {
        new.link_or_copy(Path::new("/source/file"), &TOY_FILES.name(7))?;
        if fails {
            return Err(Error::Unsupported("the rest"));
        }
        let state = Toy { files: [(7, 6)].into(), ..Toy::default() };
        new.create_manifest(ID, state)
    })
}

/// The files of the store, whose content is checked.
fn read(disk: &SimFs) -> Result<Vec<u64>> {
    let dir = StoreDir::open(Arc::new(disk.clone()), Path::new(STORE), OpenMode::Read)?;
    Manifest::<Toy>::check_exists(&dir)?;
    let state = Manifest::<Toy>::read(&dir)?.into_state();
    for &file in state.files.keys() {
        let bytes = copy_whole(&*dir.fs().open(&dir.file(&TOY_FILES.name(file)))?)?;
        assert_eq!(bytes, b"source");
    }
    Ok(state.files.into_keys().collect())
}

fn names(disk: &SimFs) -> Vec<String> {
    let entries = disk.list(Path::new(STORE)).unwrap_or_default();
    entries.into_iter().map(|entry| entry.name).filter(|name| name != "LOCK").collect()
}

#[test]
fn an_attempt_that_fails_leaves_nothing_and_the_next_one_succeeds() {
    let disk = disk();
    assert!(matches!(make(&disk, true), Err(Error::Unsupported("the rest"))));
    assert_eq!(names(&disk), Vec::<String>::new());
    make(&disk, false).unwrap();
    assert_eq!(read(&disk).unwrap(), [7]);
    assert_eq!(names(&disk), ["000007.toy", "CURRENT", "MANIFEST-000001"]);
    let taken = make(&disk, false).unwrap_err();
    assert_eq!(taken.io_kind(), Some(std::io::ErrorKind::AlreadyExists), "{taken}");
}

#[test]
fn a_crash_at_any_point_leaves_a_whole_store_or_a_directory_that_is_refused_and_made_anew() {
    let disk = disk();
    let begun = disk.ops();
    make(&disk, false).unwrap();
    let mut crashes = disk.sweep();
    while let Some(point) = crashes.next_point() {
        if point < begun {
            continue;
        }
        for variant in crashes.all_variants(4) {
            let left = crashes.image(&variant);
            let what = format!("after {point} with {variant}: {:?}", names(&left));
            if let Err(refused) = read(&left) {
                assert!(point < disk.ops() && !refused.is_corruption(), "{what}: {refused}");
                make(&left, false).unwrap_or_else(|error| panic!("{what}: {error}"));
                crash_again(&left, &what);
            }
            assert_eq!(read(&left).unwrap(), [7], "{what}");
        }
    }
}

/// Crashes an attempt that began beside the rest of another one.
fn crash_again(disk: &SimFs, what: &str) {
    let mut crashes = disk.sweep();
    while let Some(point) = crashes.next_point() {
        for variant in crashes.all_variants(1) {
            match read(&crashes.image(&variant)) {
                Ok(files) => assert_eq!(files, [7]),
                Err(refused) => {
                    assert!(!refused.is_corruption(), "{what}, {point} {variant}: {refused}");
                }
            }
        }
    }
}

#[test]
fn a_directory_of_others_gets_no_file() {
    let disk = disk();
    let fs: Arc<dyn Fs> = Arc::new(disk.clone());
    let refused = NewStore::make::<Toy, _>(&fs, Path::new("/source"), |_| Ok(())).unwrap_err();
    assert_eq!(refused.io_kind(), Some(std::io::ErrorKind::AlreadyExists), "{refused}");
    let entries = disk.list(Path::new("/source")).unwrap();
    assert!(entries.iter().map(|entry| &entry.name).eq(["file"]), "{entries:?}");
}

#[test]
fn files_of_others_beside_an_unfinished_store_are_neither_removed_nor_taken() {
    let disk = disk();
    disk.create_dir(Path::new(STORE)).unwrap();
    for name in ["UNFINISHED", "000003.toy", "notes"] {
        disk.set_contents(&Path::new(STORE).join(name), b"text".to_vec());
    }
    let before = names(&disk);
    assert!(make(&disk, false).unwrap_err().to_string().contains("notes"));
    assert_eq!(names(&disk), before);
    disk.delete(&Path::new(STORE).join("notes"));
    make(&disk, false).unwrap();
    assert_eq!(read(&disk).unwrap(), [7]);
}
