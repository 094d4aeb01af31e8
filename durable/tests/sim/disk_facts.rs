//! What a running simulated disk shows, records and refuses.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use durable::{Access, Fs, SimFs, SyncFailure};

fn disk_with(path: &str, bytes: &[u8]) -> SimFs {
    let fs = SimFs::new();
    fs.set_contents(Path::new(path), bytes.to_vec());
    fs
}

#[test]
fn every_mutating_operation_is_recorded_under_its_name() {
    let fs = SimFs::new();
    let path = Path::new("store/000001.data");
    fs.create_dir(Path::new("store")).unwrap();
    let log = fs.create_log(path, 4096).unwrap();
    log.append(0, &[1; 64]).unwrap();
    log.append(64, &[2; 144]).unwrap();
    log.read(0, 64, &mut |_| ()).unwrap();
    log.finish(208).unwrap();
    log.sync().unwrap();
    fs.sync_dir(Path::new("store")).unwrap();
    fs.link(path, Path::new("store/a")).unwrap();
    fs.rename(Path::new("store/a"), Path::new("store/b")).unwrap();
    fs.remove(path).unwrap();
    drop(fs.lock(Path::new("store/LOCK"), durable::LockMode::Exclusive).unwrap());
    let names: Vec<String> = (0..fs.ops()).map(|k| fs.op_name(k)).collect();
    let expected = [
        "create-dir store",
        "sync-dir ",
        "create store/000001.data",
        "allocate store/000001.data 4096",
        "append store/000001.data 0+64",
        "append store/000001.data 64+144",
        "finish store/000001.data 208",
        "sync store/000001.data",
        "sync-dir store",
        "link store/000001.data store/a",
        "rename store/a store/b",
        "remove store/000001.data",
        "create store/LOCK",
    ];
    assert_eq!(names, expected);
}

#[test]
fn an_unlinked_file_is_readable_through_its_handle() {
    let fs = disk_with("a", b"bytes");
    let file = fs.open(Path::new("a")).unwrap();
    fs.remove(Path::new("a")).unwrap();
    let mut buf = [0; 5];
    file.read_at(0, &mut buf).unwrap();
    assert_eq!(&buf, b"bytes");
    assert!(fs.files().is_empty());
}

#[test]
fn a_file_that_is_renamed_over_lives_on_in_its_handles() {
    let fs = disk_with("old", b"old");
    fs.set_contents(Path::new("new"), b"new".to_vec());
    let old = fs.open_writable(Path::new("old")).unwrap();
    fs.rename(Path::new("new"), Path::new("old")).unwrap();
    old.write_at(0, b"OLD").unwrap();
    assert_eq!(old.map(Access::Random).unwrap().bytes(), b"OLD");
    assert_eq!(fs.contents(Path::new("old")).unwrap(), b"new");
    assert_eq!(fs.files(), [PathBuf::from("old")]);
}

#[test]
fn two_links_are_one_file() {
    let fs = disk_with("a", b"1");
    fs.link(Path::new("a"), Path::new("b")).unwrap();
    fs.open_writable(Path::new("b")).unwrap().write_at(0, b"2").unwrap();
    assert_eq!(fs.contents(Path::new("a")).unwrap(), b"2");
    // POSIX: renaming one name of a file over another does nothing.
    fs.rename(Path::new("a"), Path::new("b")).unwrap();
    assert_eq!(fs.files().len(), 2);
}

#[test]
fn a_mapping_does_not_follow_later_writes() {
    let fs = disk_with("a", b"1");
    let file = fs.open_writable(Path::new("a")).unwrap();
    let mapped = file.map(Access::Random).unwrap();
    file.write_at(0, b"2").unwrap();
    assert_eq!(mapped.bytes(), b"1");
}

#[test]
fn a_full_disk_refuses_growth_until_space_comes_back() {
    let fs = disk_with("a", &[0; 100]);
    fs.set_free_space(Some(50));
    let file = fs.open_writable(Path::new("a")).unwrap();
    file.write_at(0, &[1; 100]).unwrap();
    let refused = file.write_at(90, &[1; 61]).unwrap_err();
    assert_eq!(refused.io_kind(), Some(ErrorKind::StorageFull));
    file.set_len(150).unwrap();
    assert_eq!(fs.free_space(Path::new("")).unwrap(), 0);
    let refused = fs.create(Path::new("b")).unwrap_err();
    assert_eq!(refused.io_kind(), Some(ErrorKind::StorageFull));
    fs.remove(Path::new("a")).unwrap();
    assert_eq!(fs.free_space(Path::new("")).unwrap(), 150);
    let refused = fs.create_log(Path::new("b"), 151).unwrap_err();
    assert_eq!(refused.io_kind(), Some(ErrorKind::StorageFull));
    fs.set_free_space(None);
    fs.create_log(Path::new("c"), 1 << 20).unwrap();
}

/// As POSIX says of `write`: the bytes for which there is space are written, and the next attempt writes none.
#[test]
fn a_write_that_finds_too_little_space_leaves_the_part_that_fits() {
    for (offset, free, left) in [(0, 0, 4), (0, 3, 7), (2, 3, 7), (4, 3, 7), (6, 3, 7), (9, 3, 4)] {
        let fs = disk_with("a", &[0; 4]);
        fs.set_free_space(Some(free));
        let file = fs.open_writable(Path::new("a")).unwrap();
        let refused = file.write_at(offset, &[1; 20]).unwrap_err();
        assert_eq!(refused.io_kind(), Some(ErrorKind::StorageFull));
        let bytes = fs.contents(Path::new("a")).unwrap();
        let mut expected = vec![0; left];
        expected[left.min(offset as usize)..].fill(1);
        assert_eq!(bytes, expected, "at {offset} with {free} bytes free");
        assert_eq!(
            fs.crash(fs.ops(), &"none".parse().unwrap()).contents(Path::new("a")).unwrap(),
            [0; 4]
        );
    }
}

#[test]
#[should_panic(expected = "fit into the capacity")]
fn nothing_is_appended_where_the_space_was_given_back() {
    let log = SimFs::new().create_log(Path::new("log"), 100).unwrap();
    log.append(0, b"1").unwrap();
    log.finish(1).unwrap();
    drop(log.append(1, b"2"));
}

#[test]
fn a_failed_sync_does_to_the_page_cache_what_was_chosen() {
    for (mode, cached, durable) in [
        (SyncFailure::KeepsNew, b"new", b"old"),
        (SyncFailure::Reverts, b"old", b"old"),
        (SyncFailure::StaysDirty, b"new", b"new"),
        (SyncFailure::KeepsPart, b"new", b"nld"),
    ] {
        let fs = disk_with("a", b"old");
        fs.set_sync_failure(mode);
        let file = fs.open_writable(Path::new("a")).unwrap();
        file.write_at(0, b"new").unwrap();
        fs.fail_sync(Path::new("a"));
        assert_eq!(fs.contents(Path::new("a")).unwrap(), cached, "{mode:?}");
        file.sync().unwrap();
        let image = fs.crash(fs.ops(), &"none".parse().unwrap());
        assert_eq!(image.contents(Path::new("a")).unwrap(), durable, "{mode:?}");
        let image = fs.duplicate();
        assert_eq!(image.contents(Path::new("a")).unwrap(), cached, "{mode:?}");
    }
}

#[test]
fn a_failed_sync_of_many_pages_may_persist_every_second_one_and_forget_the_others() {
    let fs = disk_with("a", &[0; 4 * 4096]);
    fs.set_sync_failure(SyncFailure::KeepsPart);
    let file = fs.open_writable(Path::new("a")).unwrap();
    file.write_at(0, &[1; 4 * 4096]).unwrap();
    fs.fail_sync(Path::new("a"));
    file.sync().unwrap();
    let image = fs.crash(fs.ops(), &"none".parse().unwrap());
    let bytes = image.contents(Path::new("a")).unwrap();
    let pages: Vec<u8> = bytes.chunks(4096).map(|page| page[4095]).collect();
    assert_eq!(pages, [1, 0, 1, 0]);
    assert_eq!(fs.contents(Path::new("a")).unwrap(), [1; 4 * 4096], "the cache shows all of it");
    assert_eq!(fs.restarted().contents(Path::new("a")).unwrap(), [1; 4 * 4096]);
}

#[test]
fn damage_is_durable_at_once_and_not_recorded() {
    let fs = SimFs::new();
    let path = Path::new("dir/a");
    fs.set_contents(path, b"1".to_vec());
    assert_eq!(fs.ops(), 0);
    fs.open_writable(path).unwrap().write_at(0, b"2").unwrap();
    fs.set_contents(path, b"3".to_vec());
    fs.set_contents(Path::new("dir/junk"), Vec::new());
    assert_eq!(fs.ops(), 1);
    let none = "none".parse().unwrap();
    assert_eq!(fs.crash(0, &none).contents(path).unwrap(), b"1");
    let image = fs.crash(1, &none);
    assert_eq!(image.contents(path).unwrap(), b"3");
    assert_eq!(image.files(), [path, Path::new("dir/junk")]);
    fs.delete(path);
    assert_eq!(fs.crash(1, &none).contents(path), None);
}

#[test]
fn dots_and_doubled_separators_do_not_make_another_file() {
    let fs = SimFs::new();
    fs.create_dir(Path::new("./store/")).unwrap();
    fs.create(Path::new("store//./a")).unwrap();
    assert_eq!(fs.contents(Path::new("./store/a")).unwrap(), b"");
}
