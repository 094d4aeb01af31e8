//! Names in the store's directory that are not the store's: they are left alone, and block nothing.
#![expect(clippy::disallowed_methods, reason = "somebody else's hands on the directory")]

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use bitcask::{Bitcask, Options};
use kv::{Durability, Kv};
use rustix::fs::{CWD, FileType, Mode, mknodat};

const KEYS: u8 = 50;

fn open(path: &Path) -> kv::Result<Bitcask> {
    // The smallest size of a reserve; by default such small data files have none.
    Bitcask::open(path, Options::new().data_file_bytes(1024).reserve_bytes(4 << 10))
}

fn fill(engine: &Bitcask) {
    for number in 0..KEYS {
        engine.put(&[number], &[number; 200], Durability::Buffered).unwrap();
    }
}

/// Puts something under `name` that is not a file of the store.
type Stray = fn(&Path);

const STRAYS: [(&str, Stray); 5] = [
    ("a directory", |path| std::fs::create_dir(path).unwrap()),
    ("a link to nowhere", |path| symlink("nowhere", path).unwrap()),
    ("a link to a file", |path| {
        let target = path.with_file_name("somebody's notes");
        std::fs::write(&target, "notes").unwrap();
        symlink(target, path).unwrap();
    }),
    ("a pipe", |path| {
        // Not with a program: a child that is being started holds the locks of the other tests for a moment.
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0).unwrap();
    }),
    ("a socket", |path| drop(UnixListener::bind(path).unwrap())),
];

/// The kind of what is called `path`, without following a link.
fn kind(path: &Path) -> std::fs::FileType {
    std::fs::symlink_metadata(path).unwrap().file_type()
}

/// Runs three openings of a store around `names`: creation, an opening after a drop, an opening after a close.
fn goes_on_beside(names: &[&str]) {
    for (what, make) in STRAYS {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = names.iter().map(|name| dir.path().join(name)).collect();
        for path in paths.iter().filter(|path| !path.is_symlink()) {
            make(path);
        }
        let kinds: Vec<_> = paths.iter().map(|path| kind(path)).collect();
        fill(&open(dir.path()).unwrap_or_else(|error| panic!("{what}: {error}")));
        let dropped = std::time::Instant::now();
        let engine = loop {
            match open(dir.path()) {
                // Background work of the handle that was dropped ends.
                Err(kv::Error::Locked { .. }) if dropped.elapsed().as_secs() < 10 => {}
                opened => break opened.unwrap_or_else(|error| panic!("{what}: {error}")),
            }
        };
        assert_eq!(engine.statistics().keys, u64::from(KEYS), "{what}");
        fill(&engine);
        engine.close().unwrap_or_else(|error| panic!("{what}: {error}"));
        let engine = open(dir.path()).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(engine.statistics().keys, u64::from(KEYS), "{what}");
        engine.verify().unwrap();
        engine.close().unwrap();
        assert_eq!(paths.iter().map(|path| kind(path)).collect::<Vec<_>>(), kinds, "{what}");
    }
}

#[test]
fn names_of_data_files_that_are_not_files_are_skipped() {
    goes_on_beside(&["000000.data", "000001.data", "000007.data", "000030.data"]);
}

#[test]
fn names_of_hints_that_are_not_files_cost_the_hint_only() {
    goes_on_beside(&["000000.hint", "000003.hint", "000005.hint.tmp", "000011.hint"]);
}

#[test]
fn names_of_the_manifest_that_are_not_files_are_skipped() {
    goes_on_beside(&["MANIFEST-000001", "MANIFEST-000002", "MANIFEST-000005"]);
    goes_on_beside(&["CURRENT.tmp"]);
}

/// `RESERVE.tmp` blocked every put: the reserve could not be made under that name, and puts wait for the reserve.
#[test]
fn names_of_the_disk_reserve_that_are_not_files_are_skipped() {
    goes_on_beside(&["RESERVE.tmp"]);
    goes_on_beside(&["RESERVE.tmp", "RESERVE.1.tmp"]);
    goes_on_beside(&["RESERVE"]);
}

#[test]
fn a_file_with_the_greatest_id_blocks_no_put() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path()).unwrap();
    fill(&engine);
    engine.close().unwrap();
    std::fs::write(dir.path().join("281474976710655.data"), "").unwrap();
    let engine = open(dir.path()).unwrap();
    fill(&engine);
    engine.close().unwrap();
    assert_eq!(open(dir.path()).unwrap().statistics().keys, u64::from(KEYS));
}

#[test]
fn a_name_beyond_the_greatest_id_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["281474976710656.data", "18446744073709551615.data", "18446744073709551615.hint"];
    for name in names {
        std::fs::write(dir.path().join(name), "").unwrap();
    }
    let engine = open(dir.path()).unwrap();
    fill(&engine);
    engine.close().unwrap();
    assert_eq!(open(dir.path()).unwrap().statistics().keys, u64::from(KEYS));
    assert!(names.iter().all(|name| dir.path().join(name).exists()));
}

#[test]
fn a_foreign_file_with_the_name_of_a_data_file_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path()).unwrap();
    fill(&engine);
    engine.close().unwrap();
    let other = tempfile::tempdir().unwrap();
    let engine = open(other.path()).unwrap();
    fill(&engine);
    engine.close().unwrap();
    let foreign: [(&str, Vec<u8>); 3] = [
        ("000100.data", b"somebody's numbers".to_vec()),
        ("000101.data", [&[0; 5000][..], b"somebody's numbers"].concat()),
        ("000102.data", std::fs::read(other.path().join("000000.data")).unwrap()),
    ];
    for (name, bytes) in &foreign {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    // Past the foreign names.
    for _ in 0..12 {
        let engine = open(dir.path()).unwrap();
        fill(&engine);
        engine.close().unwrap();
    }
    assert_eq!(open(dir.path()).unwrap().statistics().keys, u64::from(KEYS));
    for (name, bytes) in &foreign {
        assert_eq!(&std::fs::read(dir.path().join(name)).unwrap(), bytes, "{name}");
    }
}

#[test]
fn what_a_crash_leaves_of_a_file_that_was_begun_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).unwrap().close().unwrap();
    let left: [(&str, &[u8]); 3] =
        [("000000.data", b""), ("000001.data", &[0; 300]), ("000002.data", b"KVSEGM01\0\0\0\0")];
    for (name, bytes) in left {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    open(dir.path()).unwrap().close().unwrap();
    for (name, _) in left {
        assert!(!dir.path().join(name).exists(), "{name}");
    }
}
