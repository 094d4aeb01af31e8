//! A process that has run out of file descriptors, on the real disk. The limit is one of the process, so the test has a
//! process of its own, and lowers the limit first.
#![cfg(all(unix, not(shuttle)))]
#![expect(clippy::disallowed_methods, reason = "a test opens files itself")]

use std::fs::File;

use bitcask::{Bitcask, Options};
use kv::{Durability, Kv};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Opens files until there are no descriptors, and gives `free` back.
fn exhaust(free: usize) -> Vec<File> {
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    assert!(files.len() > free, "the process had descriptors");
    files.truncate(files.len() - free);
    files
}

#[test]
fn a_process_without_descriptors_for_a_while_poisons_nothing() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(256), maximum }).unwrap();
    let mut refused = 0;
    for free in 0..8 {
        let dir = tempfile::tempdir().unwrap();
        let options = Options::new().data_file_bytes(4096).reserve_bytes(0);
        let engine = Bitcask::open(dir.path().join("store"), options).unwrap();
        engine.put(b"first", b"1", Durability::Sync).unwrap();
        let held = exhaust(free);
        for number in 0..200_u32 {
            let put = engine.put(&number.to_be_bytes(), &[1; 100], Durability::Buffered);
            if let Err(error) = put {
                assert!(error.is_out_of_resources(), "with {free} descriptors: {error}");
                refused += 1;
            }
        }
        drop(held);
        let later = engine.put(b"later", b"1", Durability::Sync);
        assert!(later.is_ok(), "after {free} descriptors: {later:?}");
    }
    assert!(refused > 0, "some puts needed a descriptor that was not there");
}
