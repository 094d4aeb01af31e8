//! A store that has filled its own disk: it opens, deletes and merges in the space that it has reserved, and takes puts
//! again when there is room.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bitcask::{Bitcask, Options};
use durable::{Env, Fault, Fs, Inject, Plan};
use kv::{Durability, Kv};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::world::{STORE, World};

const RESERVE: u64 = 64 << 10;

/// The simulated disk has room for so much.
const DISK: u64 = 400 << 10;

fn options(world: &World) -> Options {
    world.options().reserve_bytes(RESERVE)
}

fn small_disk() -> World {
    let world = World::new();
    world.disk.set_free_space(Some(DISK));
    world
}

fn is_full(error: &kv::Error) -> bool {
    error.io_kind() == Some(ErrorKind::StorageFull)
}

/// The bytes of all files.
fn used(world: &World) -> u64 {
    let len = |path: &PathBuf| world.disk.contents(path).unwrap().len() as u64;
    world.disk.files().iter().map(len).sum()
}

fn key(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

/// Puts keys in order until the disk is full. Returns how many went in.
fn fill(engine: &Bitcask, value: &[u8]) -> u32 {
    for number in 0.. {
        let written = engine.put(&key(number), value, Durability::Buffered);
        let Err(error) = written else { continue };
        assert!(is_full(&error), "{error}");
        return number;
    }
    unreachable!("a disk is finite")
}

/// Deletes all but each tenth key, synced; merges; and puts again.
fn delete_merge_and_put(engine: &Bitcask, keys: u32, value: &[u8]) {
    assert!(keys > 50, "{keys} keys filled the disk");
    for number in (0..keys).filter(|number| number % 10 != 0) {
        engine.delete(&key(number), Durability::Sync).unwrap();
    }
    engine.merge().unwrap();
    for number in 0..keys {
        let expected = (number % 10 == 0).then_some(value);
        assert_eq!(engine.get(&key(number)).unwrap().as_deref(), expected, "key {number}");
    }
    for number in 0..keys / 2 {
        engine.put(&key(number), value, Durability::Sync).unwrap();
    }
}

#[test]
fn a_handle_that_filled_the_disk_deletes_merges_and_puts_again() {
    let world = small_disk();
    let engine = Bitcask::open(STORE, options(&world)).unwrap();
    let keys = fill(&engine, &[7; 500]);
    delete_merge_and_put(&engine, keys, &[7; 500]);
    engine.close().unwrap();
    world.executor.run_all();
    let engine = Bitcask::open(STORE, options(&world)).unwrap();
    assert_eq!(engine.get(&key(0)).unwrap().as_deref(), Some(&[7; 500][..]));
    assert!(world.disk.files().iter().any(|path| path.ends_with("RESERVE")), "it is held again");
}

/// As after `kill -9`, and as after a power cut that keeps all or only what was synced.
#[test]
fn a_store_that_filled_the_disk_opens_after_a_crash_and_deletes() {
    for variant in ["strict/none", "strict/all", "journalled/none"] {
        let world = small_disk();
        let engine = Bitcask::open(STORE, options(&world)).unwrap();
        let keys = fill(&engine, &[7; 500]);
        engine.sync().unwrap();
        world.executor.forget();
        drop(engine);
        let disk = world.disk.crash(world.disk.ops(), &variant.parse().unwrap());
        let left = World::on(disk);
        left.disk.set_free_space(Some(0));
        let engine = Bitcask::open(STORE, options(&left)).unwrap();
        assert_eq!(engine.get(&key(keys - 1)).unwrap().as_deref(), Some(&[7; 500][..]));
        delete_merge_and_put(&engine, keys, &[7; 500]);
    }
}

/// The reserve is released in between, and made again after it.
#[test]
fn a_crash_at_any_point_of_deleting_on_a_full_disk_loses_nothing_synced() {
    let world = small_disk();
    let engine = Bitcask::open(STORE, options(&world)).unwrap();
    let keys = fill(&engine, &[7; 500]);
    engine.sync().unwrap();
    let from = world.disk.ops();
    for number in 0..60 {
        engine.delete(&key(number), Durability::Buffered).unwrap();
    }
    world.disk.set_free_space(Some(4 * RESERVE));
    engine.put(b"another", b"value", Durability::Sync).unwrap();
    let reserve_ops =
        (from..world.disk.ops()).filter(|&k| world.disk.op_name(k).contains("RESERVE"));
    assert!(reserve_ops.count() >= 4, "it was removed, written, synced and renamed");
    for point in from..=world.disk.ops() {
        for variant in ["all", "strict/none", "journalled/none", "names-only"] {
            let left = World::on(world.disk.crash(point, &variant.parse().unwrap()));
            left.disk.set_free_space(Some(DISK.saturating_sub(used(&left))));
            let engine = Bitcask::open(STORE, options(&left)).unwrap();
            for number in [60, keys / 2, keys - 1] {
                let value = engine.get(&key(number)).unwrap();
                assert_eq!(value.as_deref(), Some(&[7; 500][..]), "{point}, {variant}");
            }
            engine.delete(&key(60), Durability::Sync).unwrap();
        }
    }
}

/// While the reserve is released, puts leave the space to deletes.
#[test]
fn puts_do_not_take_the_space_that_deletes_need() {
    let world = small_disk();
    let engine = Bitcask::open(STORE, options(&world)).unwrap();
    let keys = fill(&engine, &[7; 500]);
    for number in 0..keys / 4 {
        engine.delete(&key(number), Durability::Buffered).unwrap();
        for value in [&[7; 500][..], &[]] {
            let refused = engine.put(b"another", value, Durability::Buffered);
            if let Err(error) = refused {
                assert!(is_full(&error), "{error}");
            }
        }
    }
    engine.merge().unwrap();
    engine.put(b"another", &[7; 500], Durability::Sync).unwrap();
}

#[test]
fn a_full_disk_poisons_nothing_and_loses_nothing() {
    let world = small_disk();
    let engine = Bitcask::open(STORE, options(&world)).unwrap();
    let keys = fill(&engine, &[7; 500]);
    world.executor.run_all();
    engine.sync().unwrap();
    for number in 0..keys {
        assert_eq!(engine.get(&key(number)).unwrap().as_deref(), Some(&[7; 500][..]));
    }
    world.disk.set_free_space(Some(1 << 20));
    engine.put(&key(keys), &[7; 500], Durability::Sync).unwrap();
}

/// On a copy-on-write file system, the write to space that the log owns may find the disk full.
#[test]
fn an_append_that_finds_no_space_refuses_its_batch_and_the_next_one_succeeds() {
    for fault in [Fault::NoSpace, Fault::Fills] {
        let world = World::new();
        let inject = Inject::over_sim(world.disk.clone(), Plan::none());
        let mut options = world.options();
        options.env.fs = Arc::new(inject.clone());
        let engine = Bitcask::open(STORE, options).unwrap();
        engine.put(&key(1), b"one", Durability::Sync).unwrap();
        for durability in [Durability::Buffered, Durability::Sync] {
            // The space is reserved, and then the batch is written.
            inject.arm(Plan::once(inject.calls() + 1, fault.clone()));
            let refused = engine.put(&key(2), b"refused", durability).unwrap_err();
            assert!(is_full(&refused) && refused.to_string().contains(".data"), "{refused}");
            assert_eq!(engine.get(&key(2)).unwrap(), None);
            engine.sync().expect("a full disk poisons nothing");
            engine.put(&key(3), b"three", durability).unwrap();
        }
        engine.close().unwrap();
        drop(engine);
        world.executor.run_all();
        let engine = world.open().unwrap();
        let found = [1, 2, 3].map(|number| engine.get(&key(number)).unwrap());
        assert_eq!(found.map(|value| value.is_some()), [true, false, true], "{fault:?}");
    }
}

/// How many data files are on the disk, how many hint files without a data file, and how many data files the store knows,
/// after a merge whose call `call` found no space. `None`: the merge makes fewer calls.
fn files_after_a_refused_merge(call: usize) -> Option<(usize, usize, usize)> {
    let world = World::new();
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let mut options = world.options();
    options.env.fs = Arc::new(inject.clone());
    let engine = Bitcask::open(STORE, options).unwrap();
    for number in 0..60 {
        engine.put(&key(number % 20), &[7; 100], Durability::Buffered).unwrap();
    }
    let at = inject.calls() + call;
    inject.arm(Plan::once(at, Fault::NoSpace));
    drop(engine.merge());
    if inject.calls() <= at {
        return None;
    }
    world.executor.run_all();
    // A sync or a change of names that fails leaves the disk unknown, and poisons.
    let is_poisoned = engine.sync().is_err();
    let known = engine.statistics().data_files as usize;
    let files = world.disk.files();
    let is_hint = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "hint");
    let has_no_data = |hint: &&PathBuf| !files.contains(&hint.with_extension("data"));
    let stray_hints = files.iter().filter(is_hint).filter(has_no_data).count();
    let on_disk = (world.data_files().len(), stray_hints, known);
    Some(if is_poisoned { (known, 0, known) } else { on_disk })
}

/// Among the calls is the edit that names the outputs of the merge.
#[test]
fn a_merge_without_space_removes_its_outputs_at_once() {
    let refusals: Vec<_> = (0..).map_while(files_after_a_refused_merge).collect();
    assert!(refusals.len() > 100, "a merge makes {} calls", refusals.len());
    for (call, (on_disk, stray_hints, known)) in refusals.into_iter().enumerate() {
        assert!(on_disk <= known + 1, "one may be prepared: {on_disk}, {known} after call {call}");
        assert_eq!(stray_hints, 0, "hint files without a data file after call {call}");
    }
}

/// Opens and closes the store so many times, and checks that key 0 is there.
fn open_and_close(world: &World, times: u32, value: &[u8]) {
    for time in 0..times {
        let engine = Bitcask::open(STORE, options(world));
        let engine = engine.unwrap_or_else(|error| panic!("opening {time}: {error}"));
        assert_eq!(engine.get(&key(0)).unwrap().as_deref(), Some(value));
        world.executor.run_all();
        engine.close().unwrap_or_else(|error| panic!("close {time}: {error}"));
        drop(engine);
        world.executor.run_all();
    }
}

#[test]
fn a_store_that_filled_the_disk_with_puts_opens_and_closes_again_and_again() {
    for len in [0, 100, 500, 1_500] {
        for disk in (DISK..DISK + 4_096).step_by(256) {
            let world = World::new();
            world.disk.set_free_space(Some(disk));
            let engine = Bitcask::open(STORE, options(&world)).unwrap();
            let value = vec![7; len];
            fill(&engine, &value);
            world.executor.run_all();
            engine.close().unwrap_or_else(|error| panic!("{disk}, {len}: {error}"));
            drop(engine);
            open_and_close(&world, 20, &value);
        }
    }
}

/// In an order in which no file is nearly dead before the space for tombstones is used up.
#[test]
fn deletes_in_any_order_leave_the_space_that_openings_merges_and_closes_need() {
    for disk in (DISK..DISK + 4_096).step_by(512) {
        let world = World::new();
        world.disk.set_free_space(Some(disk));
        let engine = Bitcask::open(STORE, options(&world)).unwrap();
        let keys = fill(&engine, &[7; 20]);
        let mut deleted = 0;
        let shuffled = (0..).map(|n: u32| n.wrapping_mul(2_654_435_761) % keys);
        for number in shuffled.filter(|&number| number > 0) {
            match engine.delete(&key(number), Durability::Buffered) {
                Ok(_) => deleted += 1,
                Err(error) => {
                    assert!(is_full(&error), "{error}");
                    break;
                }
            }
        }
        assert!(deleted > 50, "the reserve served {deleted} deletes");
        drop(engine);
        world.executor.run_all();
        let engine = Bitcask::open(STORE, options(&world)).unwrap();
        if let Err(error) = engine.merge() {
            assert!(is_full(&error), "{error}");
        }
        world.executor.run_all();
        engine.close().unwrap();
        drop(engine);
        open_and_close(&world, 3, &[7; 20]);
    }
}

#[test]
fn a_reserve_that_no_disk_has_room_for_is_named_in_the_error_of_a_put() {
    let world = small_disk();
    for bytes in [1 << 63, u64::MAX] {
        let mut options = world.options();
        options.reserve_bytes = Some(bytes);
        let engine = Bitcask::open(STORE, options).unwrap();
        let refused = engine.put(b"a", b"1", Durability::Buffered).unwrap_err();
        assert!(is_full(&refused), "{refused}");
        assert!(refused.to_string().contains("a disk reserve of"), "{refused}");
        engine.close().unwrap();
    }
}

fn len_of_reserve(world: &World) -> Option<usize> {
    let path = world.disk.files().into_iter().find(|path| path.ends_with("RESERVE"));
    path.map(|path| world.disk.contents(&path).unwrap().len())
}

/// Fills a disk until the reserve is released.
fn release_the_reserve(world: &World, engine: &Bitcask) {
    (0..20).for_each(|number| drop(engine.put(&key(number), &[1; 100], Durability::Buffered)));
    world.disk.set_free_space(Some(0));
    for number in (0..200).take_while(|_| len_of_reserve(world).is_some()) {
        engine.delete(&key(number), Durability::Sync).unwrap();
    }
    assert_eq!(len_of_reserve(world), None, "it was released");
}

/// The operations that `act` does to the disk.
fn changes(world: &World, act: impl FnOnce()) -> Vec<String> {
    let ops = world.disk.ops();
    act();
    (ops..world.disk.ops()).map(|op| world.disk.op_name(op)).collect()
}

#[test]
fn a_put_through_a_closed_handle_changes_nothing_on_the_disk() {
    let world = World::new();
    let engine = Bitcask::open(STORE, options(&world).merge(None)).unwrap();
    release_the_reserve(&world, &engine);
    engine.close().unwrap();
    world.disk.set_free_space(None);
    assert_eq!(len_of_reserve(&world), None, "closing does not make it");
    let other = Bitcask::open(STORE, options(&world).merge(None).reserve_bytes(0)).unwrap();
    let done = changes(&world, || {
        let refused = engine.put(b"a", b"1", Durability::Buffered);
        assert!(matches!(refused, Err(kv::Error::Closed)), "{refused:?}");
    });
    assert!(done.is_empty(), "a closed handle did {done:?}");
    drop(other);
}

#[test]
fn a_put_through_a_closed_handle_leaves_the_reserve_of_the_next_writer_alone() {
    let world = World::new();
    let engine = Bitcask::open(STORE, options(&world).merge(None)).unwrap();
    release_the_reserve(&world, &engine);
    engine.close().unwrap();
    world.disk.set_free_space(None);
    let larger = 2 * RESERVE;
    let other = Bitcask::open(STORE, options(&world).reserve_bytes(larger)).unwrap();
    other.put(b"a", b"1", Durability::Sync).unwrap();
    let refused = engine.put(b"a", b"1", Durability::Buffered);
    assert!(matches!(refused, Err(kv::Error::Closed)), "{refused:?}");
    assert_eq!(len_of_reserve(&world), Some(larger as usize), "of the writer with the lock");
}

#[test]
fn a_put_through_a_poisoned_handle_changes_nothing_on_the_disk() {
    let world = World::new();
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let mut options = options(&world).merge(None);
    options.env.fs = Arc::new(inject.clone());
    let engine = Bitcask::open(STORE, options).unwrap();
    release_the_reserve(&world, &engine);
    let is_poisoned = (0..20).any(|call| {
        inject.arm(Plan::once(inject.calls() + call, Fault::Eio));
        drop(engine.delete(&key(1), Durability::Sync));
        inject.arm(Plan::none());
        matches!(engine.sync(), Err(kv::Error::Poisoned { .. }))
    });
    assert!(is_poisoned, "one of the calls is the sync of the log");
    world.disk.set_free_space(None);
    let done = changes(&world, || {
        let refused = engine.put(b"a", b"1", Durability::Buffered);
        assert!(matches!(refused, Err(kv::Error::Poisoned { .. })), "{refused:?}");
    });
    assert!(done.is_empty(), "a poisoned handle did {done:?}");
}

#[test]
fn a_store_with_small_files_reserves_nothing_unless_told_to() {
    let world = World::new();
    world.open().unwrap();
    assert!(world.disk.files().iter().all(|path| !path.ends_with("RESERVE")));
}

/// The same on a real file system that the store fills alone.
#[test]
fn a_store_that_filled_a_small_real_disk_deletes_and_opens_again() {
    let Some(disk) = SmallDisk::mount() else {
        println!("skipped: this process may not mount a file system");
        return;
    };
    let open = || {
        let options = Options::in_env(Env::os(1)).data_file_bytes(1 << 20).reserve_bytes(512 << 10);
        Bitcask::open(disk.path().join("store"), options).unwrap()
    };
    let engine = open();
    let keys = fill(&engine, &[7; 4000]);
    drop(engine);
    let engine = open();
    assert_eq!(engine.get(&key(keys - 1)).unwrap().as_deref(), Some(&[7; 4000][..]));
    delete_merge_and_put(&engine, keys, &[7; 4000]);
    engine.close().unwrap();
    let free = durable::OsFs::default().free_space(disk.path()).unwrap();
    assert!(free > 0, "the merge gave space back");
}

/// A file system of 8 MiB in memory.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None`: this process may not mount one.
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        // A system call and no program: a forked process would hold the lock files of other tests for a moment.
        mount("none", dir.path(), "tmpfs", MountFlags::empty(), c"size=8m").ok()?;
        Some(Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(self.path(), UnmountFlags::empty()).ok();
    }
}
