//! The behaviour that the real file system and the simulated one have in common.

use std::io::ErrorKind;
use std::path::Path;

use durable::{Access, EntryKind, Fs, LockMode, LogBackend, OsFs, SimFs, copy_whole, read_whole};
use kv::{Error, Result};

/// Runs `facts` in an empty directory of the real file system, with both ways to write logs, and of the simulated one.
fn on_every_disk(facts: fn(&dyn Fs, &Path)) {
    for backend in [LogBackend::Mapped, LogBackend::Written] {
        let dir = tempfile::tempdir().unwrap();
        facts(&OsFs::new(backend), dir.path());
    }
    let sim = SimFs::new();
    sim.create_dir(Path::new("/store")).unwrap();
    facts(&sim, Path::new("/store"));
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().io_kind().unwrap()
}

pub(crate) fn contents(fs: &dyn Fs, path: &Path) -> Vec<u8> {
    let file = fs.open(path).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_name_is_created_once() {
    on_every_disk(|fs, dir| {
        let path = dir.join("a");
        fs.create(&path).unwrap();
        assert_eq!(kind(fs.create(&path)), ErrorKind::AlreadyExists);
        assert_eq!(kind(fs.create_log(&path, 10)), ErrorKind::AlreadyExists);
        assert_eq!(kind(fs.create(&dir.join("missing/a"))), ErrorKind::NotFound);
        assert_eq!(kind(fs.create(&path.join("b"))), ErrorKind::NotADirectory);
    });
}

#[test]
fn the_directory_of_a_bare_file_name_can_be_synced() {
    let parent = Path::new("file").parent().unwrap();
    for backend in [LogBackend::Mapped, LogBackend::Written] {
        OsFs::new(backend).sync_dir(parent).unwrap();
    }
    SimFs::new().sync_dir(parent).unwrap();
}

#[test]
fn what_is_missing_is_not_found() {
    on_every_disk(|fs, dir| {
        let (a, b) = (dir.join("a"), dir.join("b"));
        assert_eq!(kind(fs.open(&a)), ErrorKind::NotFound);
        assert_eq!(kind(fs.open_writable(&a)), ErrorKind::NotFound);
        assert_eq!(kind(fs.list(&a)), ErrorKind::NotFound);
        assert_eq!(kind(fs.rename(&a, &b)), ErrorKind::NotFound);
        assert_eq!(kind(fs.remove(&a)), ErrorKind::NotFound);
        assert_eq!(kind(fs.link(&a, &b)), ErrorKind::NotFound);
        assert_eq!(kind(fs.sync_dir(&a)), ErrorKind::NotFound);
        assert_eq!(kind(fs.lock(&a.join("b"), LockMode::Shared)), ErrorKind::NotFound);
    });
}

#[test]
fn a_directory_is_not_a_file() {
    on_every_disk(|fs, dir| {
        let (sub, file) = (dir.join("sub"), dir.join("file"));
        fs.create_dir(&sub).unwrap();
        fs.create(&file).unwrap();
        assert_eq!(kind(fs.open(&sub)), ErrorKind::InvalidInput);
        assert_eq!(kind(fs.remove(&sub)), ErrorKind::InvalidInput);
        assert_eq!(kind(fs.rename(&file, &sub)), ErrorKind::IsADirectory);
        assert_eq!(kind(fs.link(&sub, &dir.join("b"))), ErrorKind::PermissionDenied);
        assert_eq!(kind(fs.list(&file)), ErrorKind::NotADirectory);
        assert!(fs.create_dir(&file).is_err());
        assert!(fs.create_dir(&file.join("below")).is_err());
    });
}

#[test]
fn directories_are_made_with_their_parents_and_again_without_effect() {
    on_every_disk(|fs, dir| {
        let deep = dir.join("x/y/z");
        fs.create_dir(&deep).unwrap();
        fs.create(&deep.join("file")).unwrap();
        fs.create_dir(&deep).unwrap();
        assert_eq!(fs.list(&deep).unwrap().len(), 1);
        assert_eq!(fs.list(&dir.join("x")).unwrap().len(), 1);
    });
}

#[test]
fn a_list_is_in_byte_order_and_of_one_directory() {
    on_every_disk(|fs, dir| {
        for name in ["b", "a", "a.b", "B", "10", "9"] {
            fs.create(&dir.join(name)).unwrap();
        }
        fs.create_dir(&dir.join("a-dir")).unwrap();
        fs.create(&dir.join("a-dir/inside")).unwrap();
        let entries = fs.list(dir).unwrap();
        let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["10", "9", "B", "a", "a-dir", "a.b", "b"]);
        assert_eq!(entries[3].kind, EntryKind::File);
        assert_eq!(entries[4].kind, EntryKind::Dir);
    });
}

#[test]
fn reads_fill_the_buffer_or_fail() {
    on_every_disk(|fs, dir| {
        let file = fs.create(&dir.join("a")).unwrap();
        assert!(file.is_empty().unwrap());
        file.write_at(2, b"cde").unwrap();
        let mut buf = [9; 4];
        file.read_at(1, &mut buf).unwrap();
        assert_eq!(&buf, b"\0cde");
        assert_eq!(kind(file.read_at(2, &mut buf)), ErrorKind::UnexpectedEof);
        assert_eq!(kind(file.read_at(100, &mut buf)), ErrorKind::UnexpectedEof);
        file.read_at(100, &mut []).unwrap();
        file.write_at(1000, b"").unwrap();
        assert_eq!(file.len().unwrap(), 5);
    });
}

#[test]
fn a_file_is_read_in_pieces_that_follow_each_other_and_an_error_ends_the_reading() {
    on_every_disk(|fs, dir| {
        let file = fs.create(&dir.join("a")).unwrap();
        let bytes: Vec<u8> = (0..(2 << 20) + 77).map(|at: usize| (at / 3) as u8).collect();
        file.write_at(0, &bytes).unwrap();
        let mut pieces = Vec::new();
        file.read_in_pieces(&mut |offset, piece| {
            assert_eq!(piece, &bytes[offset as usize..][..piece.len()]);
            pieces.push((offset, piece.len()));
            Ok(())
        })
        .unwrap();
        assert_eq!(pieces, [(0, 1 << 20), (1 << 20, 1 << 20), (2 << 20, 77)]);
        let mut seen = 0;
        let stopped = file.read_in_pieces(&mut |_, _| {
            seen += 1;
            Err(Error::Closed)
        });
        assert!(matches!(stopped, Err(Error::Closed)) && seen == 1);
        assert_eq!(copy_whole(&*file).unwrap(), bytes);
        assert_eq!(read_whole(&*file).unwrap().bytes(), bytes);
        let empty = fs.create(&dir.join("empty")).unwrap();
        empty.read_in_pieces(&mut |_, _| panic!("an empty file has no piece")).unwrap();
    });
}

#[test]
fn a_length_can_be_cut_and_grown_with_zeros() {
    on_every_disk(|fs, dir| {
        let file = fs.create(&dir.join("a")).unwrap();
        file.write_at(0, b"abc").unwrap();
        file.set_len(1).unwrap();
        file.set_len(3).unwrap();
        assert_eq!(file.map(Access::Random).unwrap().bytes(), b"a\0\0");
        file.set_len(0).unwrap();
        assert_eq!(file.map(Access::Random).unwrap().bytes(), b"");
    });
}

#[test]
fn a_file_opened_for_reading_cannot_be_changed() {
    on_every_disk(|fs, dir| {
        let path = dir.join("a");
        fs.create(&path).unwrap().write_at(0, b"1").unwrap();
        let file = fs.open(&path).unwrap();
        assert!(file.write_at(0, b"2").is_err());
        assert!(file.set_len(0).is_err());
        file.sync().unwrap();
        fs.open_writable(&path).unwrap().write_at(0, b"3").unwrap();
        assert_eq!(contents(fs, &path), b"3");
    });
}

#[test]
fn names_move_and_files_stay() {
    on_every_disk(|fs, dir| {
        let (a, b, c) = (dir.join("a"), dir.join("b"), dir.join("c"));
        let first = fs.create(&a).unwrap();
        first.write_at(0, b"1").unwrap();
        fs.create(&b).unwrap().write_at(0, b"2").unwrap();
        let second = fs.open(&b).unwrap();
        fs.rename(&a, &b).unwrap();
        assert_eq!(contents(fs, &b), b"1");
        assert_eq!(second.map(Access::Random).unwrap().bytes(), b"2");
        fs.link(&b, &c).unwrap();
        assert_eq!(kind(fs.link(&b, &c)), ErrorKind::AlreadyExists);
        first.write_at(0, b"3").unwrap();
        fs.remove(&b).unwrap();
        assert_eq!(contents(fs, &c), b"3");
        fs.remove(&c).unwrap();
        assert_eq!(first.len().unwrap(), 1);
        first.sync().unwrap();
        fs.sync_dir(dir).unwrap();
        assert!(fs.list(dir).unwrap().is_empty());
    });
}

#[test]
fn a_lock_keeps_others_out_until_it_is_dropped() {
    on_every_disk(|fs, dir| {
        let path = dir.join("LOCK");
        let locked = |mode| matches!(fs.lock(&path, mode), Err(Error::Locked { .. }));
        let held = fs.lock(&path, LockMode::Exclusive).unwrap();
        assert!(locked(LockMode::Exclusive));
        assert!(locked(LockMode::Shared));
        drop(held);
        let first = fs.lock(&path, LockMode::Shared).unwrap();
        let second = fs.lock(&path, LockMode::Shared).unwrap();
        drop(first);
        assert!(locked(LockMode::Exclusive));
        drop(second);
        assert!(!locked(LockMode::Exclusive));
        assert_eq!(fs.list(dir).unwrap()[0].name, "LOCK");
    });
}

#[test]
fn a_log_reads_what_was_appended_and_gives_back_the_rest() {
    on_every_disk(|fs, dir| {
        let path = dir.join("log");
        let log = fs.create_log(&path, 10_000).unwrap();
        log.reserve(5006).unwrap();
        assert!(fs.open(&path).unwrap().len().unwrap() >= 5006);
        log.append(0, b"hello ").unwrap();
        log.append(6, b"").unwrap();
        log.append(6, &[7; 5000]).unwrap();
        log.sync().unwrap();
        let mut seen = Vec::new();
        log.read(4, 4, &mut |bytes| seen.extend_from_slice(bytes)).unwrap();
        assert_eq!(seen, b"o \x07\x07");
        log.finish(5006).unwrap();
        log.sync().unwrap();
        log.read(5005, 1, &mut |bytes| assert_eq!(bytes, [7])).unwrap();
        let bytes = contents(fs, &path);
        assert_eq!(bytes.len(), 5006);
        assert!(bytes.starts_with(b"hello \x07"));
    });
}

#[test]
fn a_log_reader_may_use_the_disk() {
    on_every_disk(|fs, dir| {
        let log = fs.create_log(&dir.join("log"), 10).unwrap();
        log.reserve(8).unwrap();
        log.append(0, b"name").unwrap();
        let mut read = |bytes: &[u8]| {
            let name = std::str::from_utf8(bytes).unwrap();
            fs.create(&dir.join(name)).unwrap();
            log.append(4, b"more").unwrap();
        };
        log.read(0, 4, &mut read).unwrap();
        assert_eq!(fs.list(dir).unwrap().len(), 2);
    });
}

#[test]
fn an_append_that_leaves_a_gap_or_does_not_fit_is_a_mistake_of_the_caller() {
    on_every_disk(|fs, dir| {
        let log = fs.create_log(&dir.join("log"), 4).unwrap();
        log.reserve(4).unwrap();
        let append = |offset, bytes: &[u8]| {
            let attempt = std::panic::AssertUnwindSafe(|| log.append(offset, bytes));
            std::panic::catch_unwind(attempt).is_ok()
        };
        assert!(!append(1, b"a"));
        assert!(!append(0, b"abcde"));
        assert!(append(0, b"abcd"));
    });
}

#[test]
fn nothing_is_appended_where_a_log_gave_its_space_back() {
    on_every_disk(|fs, dir| {
        let log = fs.create_log(&dir.join("log"), 100_000).unwrap();
        log.reserve(100_000).unwrap();
        log.append(0, b"1").unwrap();
        log.finish(1).unwrap();
        let attempt = std::panic::AssertUnwindSafe(|| log.append(1, b"2"));
        assert!(std::panic::catch_unwind(attempt).is_err());
        log.read(0, 1, &mut |bytes| assert_eq!(bytes, b"1")).unwrap();
    });
}

#[test]
fn free_space_is_known() {
    on_every_disk(|fs, dir| assert!(fs.free_space(dir).unwrap() > 0));
}

#[test]
fn a_failed_rename_names_both_paths() {
    on_every_disk(|fs, dir| {
        fs.create_dir(&dir.join("sub")).unwrap();
        fs.create(&dir.join("file")).unwrap();
        let error = fs.rename(&dir.join("file"), &dir.join("sub")).unwrap_err().to_string();
        assert!(error.contains("file") && error.contains("sub"), "{error}");
        let error = fs.link(&dir.join("file"), &dir.join("missing/a")).unwrap_err().to_string();
        assert!(error.contains("missing/a"), "{error}");
    });
}
