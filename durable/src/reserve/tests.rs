#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::Path;
use std::sync::Arc;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::file::PIECE_BYTES;
use super::*;
use crate::fs::Fs;
use crate::publish::create_afresh;
use crate::store_dir::OpenMode;
use crate::{Entry, Fault, Inject, OsFs, Plan, SimFs};

const STORE: StoreId = StoreId([5; 16]);
const DIR: &str = "store";
const BYTES: u64 = 3 * PIECE_BYTES as u64 / 2;

fn open_in(fs: &Arc<dyn Fs>, dir: &Path, bytes: u64) -> DiskReserve {
    let dir = StoreDir::open(Arc::clone(fs), dir, OpenMode::Create).unwrap();
    DiskReserve::open(&dir, STORE, bytes).unwrap()
}

fn open(disk: &SimFs) -> DiskReserve {
    open_in(&(Arc::new(disk.clone()) as _), Path::new(DIR), BYTES)
}

fn names(disk: &SimFs) -> Vec<String> {
    let entries = disk.list(Path::new(DIR)).unwrap();
    entries.into_iter().map(|Entry { name, .. }| name).filter(|name| name != "LOCK").collect()
}

/// Writes until the disk is full. Returns how many bytes went in.
fn fill(fs: &dyn Fs, path: &Path, piece: usize) -> u64 {
    let file = create_afresh(fs, path).unwrap();
    let mut offset = 0;
    loop {
        match file.write_at(offset, &vec![7; piece]) {
            Ok(()) => offset += piece as u64,
            Err(error) if is_disk_full(&error) => return offset,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_new_store_makes_its_reserve_and_the_next_opening_finds_it() {
    let disk = SimFs::new();
    let reserve = open(&disk);
    assert!(reserve.is_released());
    assert_eq!(names(&disk), [""; 0]);
    reserve.ensure().unwrap();
    assert!(!reserve.is_released());
    assert_eq!(names(&disk), ["RESERVE"]);
    let bytes = disk.contents(&Path::new(DIR).join("RESERVE")).unwrap();
    assert_eq!(bytes.len() as u64, BYTES);
    let ops = disk.ops();
    reserve.ensure().unwrap();
    drop(reserve);
    assert!(!open(&disk).is_released());
    assert_eq!(disk.ops(), ops, "nothing is written while it is held");
}

#[test]
fn an_operation_that_finds_the_disk_full_runs_again_in_the_space_of_the_reserve() {
    let disk = SimFs::new();
    let reserve = open(&disk);
    reserve.ensure().unwrap();
    disk.set_free_space(Some(0));
    let path = Path::new(DIR).join("file");
    let mut runs = 0;
    let mut write = || {
        runs += 1;
        create_afresh(&disk, &path)?.write_at(0, &vec![1; BYTES as usize])
    };
    reserve.retry(&mut write).unwrap();
    assert_eq!(runs, 2);
    assert!(reserve.is_released());
    assert_eq!(names(&disk), ["file"]);
    let again = reserve.retry(|| disk.create(&Path::new(DIR).join("other")).map(drop));
    assert!(is_disk_full(&again.unwrap_err()), "there is nothing left to give");
}

#[test]
fn other_errors_do_not_touch_the_reserve() {
    let disk = SimFs::new();
    let reserve = open(&disk);
    reserve.ensure().unwrap();
    for kind in [ErrorKind::NotFound, ErrorKind::OutOfMemory] {
        let failed: Result<()> = reserve.retry(|| Err(Error::io("open", "x", kind.into())));
        assert_eq!(failed.unwrap_err().io_kind(), Some(kind));
        assert!(!reserve.is_released());
    }
}

#[test]
fn a_released_reserve_is_made_again_only_when_there_is_room_for_twice_its_size() {
    let disk = SimFs::new();
    let reserve = open(&disk);
    reserve.ensure().unwrap();
    assert!(reserve.release().unwrap());
    assert!(!reserve.release().unwrap());
    for free in [0, BYTES, 2 * BYTES - 1] {
        disk.set_free_space(Some(free));
        assert!(is_disk_full(&reserve.ensure().unwrap_err()), "{free} bytes are free");
        assert_eq!(names(&disk), [""; 0]);
    }
    disk.set_free_space(Some(2 * BYTES));
    reserve.ensure().unwrap();
    assert_eq!(names(&disk), ["RESERVE"]);
}

#[test]
fn a_crash_at_any_point_leaves_a_whole_reserve_or_none() {
    let disk = SimFs::new();
    let reserve = open(&disk);
    reserve.ensure().unwrap();
    reserve.release().unwrap();
    reserve.ensure().unwrap();
    let mut states = 0;
    let mut sweep = disk.sweep();
    while sweep.next_point().is_some() {
        for variant in sweep.all_variants(6) {
            let left = sweep.image(&variant);
            let reserve = open(&left);
            let is_there = names(&left) == ["RESERVE"];
            assert_eq!(reserve.is_released(), !is_there, "{variant}");
            assert!(is_there || names(&left).is_empty(), "{variant}: {:?}", names(&left));
            reserve.ensure().unwrap();
            assert_eq!(names(&left), ["RESERVE"], "{variant}");
            assert!(!open_after(reserve, &left).is_released());
            states += 1;
        }
    }
    assert!(states > 100, "{states}");
}

fn open_after(before: DiskReserve, disk: &SimFs) -> DiskReserve {
    drop(before);
    open(disk)
}

#[test]
fn a_failure_at_any_call_leaves_no_unfinished_file_and_passes() {
    for at in 0.. {
        let disk = SimFs::new();
        disk.create_dir(Path::new(DIR)).unwrap();
        let plan = Plan { at, fault: Fault::NoSpace, sticky: false };
        let inject = Arc::new(Inject::over_sim(disk.clone(), plan));
        let fs: Arc<dyn Fs> = Arc::clone(&inject) as _;
        let Ok(dir) = StoreDir::open(fs, Path::new(DIR), OpenMode::Write) else { continue };
        let Ok(reserve) = DiskReserve::open(&dir, STORE, BYTES) else { continue };
        let made = reserve.ensure();
        assert_eq!(reserve.is_released(), made.is_err());
        assert!(!names(&disk).contains(&"RESERVE.tmp".to_string()), "call {at}");
        reserve.ensure().unwrap();
        assert_eq!(names(&disk), ["RESERVE"]);
        if made.is_ok() && inject.calls() <= at {
            return;
        }
    }
}

#[test]
fn a_file_of_another_program_stays_and_the_store_has_no_reserve() {
    for bytes in [Vec::new(), b"notes".to_vec(), vec![0; BYTES as usize]] {
        let disk = SimFs::new();
        disk.create_dir(Path::new(DIR)).unwrap();
        let path = Path::new(DIR).join("RESERVE");
        disk.set_contents(&path, bytes.clone());
        let reserve = open(&disk);
        reserve.ensure().unwrap();
        assert!(!reserve.release().unwrap());
        assert_eq!(disk.contents(&path).unwrap(), bytes);
    }
}

#[test]
fn the_reserve_of_another_store_is_a_foreign_file() {
    let disk = SimFs::new();
    open(&disk).ensure().unwrap();
    let dir = StoreDir::open(Arc::new(disk.clone()), Path::new(DIR), OpenMode::Write).unwrap();
    let other = DiskReserve::open(&dir, StoreId([6; 16]), BYTES).unwrap();
    assert!(!other.release().unwrap());
    assert_eq!(names(&disk), ["RESERVE"]);
}

#[test]
fn another_size_replaces_the_reserve_and_too_small_a_size_removes_it() {
    let disk = SimFs::new();
    open(&disk).ensure().unwrap();
    let fs: Arc<dyn Fs> = Arc::new(disk.clone());
    let larger = open_in(&fs, Path::new(DIR), BYTES * 2);
    assert!(larger.is_released());
    larger.ensure().unwrap();
    drop(larger);
    let none = open_in(&fs, Path::new(DIR), LEAST_BYTES - 1);
    none.ensure().unwrap();
    assert_eq!((none.bytes(), none.is_released()), (0, false));
    assert_eq!(names(&disk), [""; 0]);
}

/// A file system of 1 MiB in memory. `None`: this process may not mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        // A system call and no program: a forked process would hold the lock files of other tests for a moment.
        mount("none", dir.path(), "tmpfs", MountFlags::empty(), c"size=1m").ok()?;
        Some(Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(self.0.path(), UnmountFlags::empty()).ok();
    }
}

#[test]
fn the_reserve_takes_real_space_and_gives_it_back() {
    let Some(disk) = SmallDisk::mount() else {
        println!("skipped: this process may not mount a file system");
        return;
    };
    let fs: Arc<dyn Fs> = Arc::new(OsFs::default());
    let dir = disk.0.path().join(DIR);
    let reserve = open_in(&fs, &dir, 256 << 10);
    let free = || fs.free_space(&dir).unwrap();
    let before = free();
    reserve.ensure().unwrap();
    assert!(before - free() >= 256 << 10);
    fill(&*fs, &dir.join("filler"), 4096);
    assert_eq!(free(), 0);
    let write = || create_afresh(&*fs, &dir.join("file"))?.write_at(0, &vec![1; 200 << 10]);
    assert!(is_disk_full(&write().unwrap_err()));
    reserve.retry(write).unwrap();
    assert!(is_disk_full(&reserve.ensure().unwrap_err()));
    fs.remove(&dir.join("filler")).unwrap();
    reserve.ensure().unwrap();
    drop(reserve);
    assert!(!open_in(&fs, &dir, 256 << 10).is_released());
}

/// Two operations find the disk full at once. The one that comes second finds the reserve released, by the other: the space
/// is there, and it is told that the disk is full.
#[test]
fn an_operation_whose_reserve_another_has_just_released_is_tried_again() {
    let disk = SimFs::new();
    let reserve = open(&disk);
    reserve.ensure().unwrap();
    let mut runs = 0;
    let result = reserve.retry(|| {
        runs += 1;
        if runs > 1 {
            return Ok(());
        }
        // This one has met the full disk; before it can release the reserve, another one does.
        assert!(reserve.release().unwrap());
        Err(Error::io("write", "file", ErrorKind::StorageFull.into()))
    });
    assert!(result.is_ok(), "{result:?} after {runs} run");
}

/// A file of another program that gets the name while the store is open.
#[test]
fn a_foreign_file_that_appears_later_stays() {
    let disk = SimFs::new();
    let reserve = open(&disk);
    let path = Path::new(DIR).join("RESERVE");
    disk.create(&path).unwrap().write_at(0, b"somebody's notes").unwrap();
    drop(reserve.ensure());
    assert_eq!(disk.contents(&path).unwrap(), b"somebody's notes");
}

#[test]
fn a_reserve_that_no_disk_has_room_for_is_refused() {
    let disk = SimFs::new();
    disk.set_free_space(Some(1 << 20));
    for bytes in [1 << 63, u64::MAX] {
        let reserve = open_in(&(Arc::new(disk.clone()) as _), Path::new(DIR), bytes);
        let calls = disk.ops();
        assert!(reserve.ensure().is_err_and(|error| is_disk_full(&error)));
        assert_eq!(disk.ops(), calls, "nothing was written");
    }
}

/// Somebody who needs room removes the file by hand. The store goes on believing that it holds it.
#[test]
fn a_reserve_that_somebody_has_removed_counts_as_released() {
    let disk = SimFs::new();
    let reserve = open(&disk);
    reserve.ensure().unwrap();
    disk.remove(&Path::new(DIR).join("RESERVE")).unwrap();
    let full = || Err::<(), _>(Error::io("write", "file", ErrorKind::StorageFull.into()));
    drop(reserve.retry(full));
    assert!(reserve.is_released(), "nothing is held");
    reserve.ensure().unwrap();
    assert_eq!(names(&disk), ["RESERVE"], "and it is made again when there is room");
}

mod loans;
