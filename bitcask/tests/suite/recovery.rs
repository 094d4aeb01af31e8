//! The order of recovery's steps, and what it holds against the manifest.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bitcask::Bitcask;
use durable::log::{Segment, SegmentHeader, SegmentIdentity, SegmentLayout, StoreId};
use durable::{Fs, Inject, OpKind, Plan, SimFs};
use kv::{Durability, Error, Kv};

use crate::world::{STORE, World, entries, fill, key};

/// Keys and their values, in order.
type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// The disks that a process leaves that is killed just before it syncs the manifest in a merge: the edit is in the page
/// cache, where the next process reads it, and not on the disk.
fn killed_before_a_manifest_sync() -> (Vec<SimFs>, Entries) {
    let world = World::new();
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let options = world.options();
    let env = durable::Env { fs: Arc::new(inject.clone()), ..options.env.clone() };
    let engine = Bitcask::open(STORE, bitcask::Options::in_env(env).data_file_bytes(2048)).unwrap();
    fill(&engine, 0..30, 1);
    fill(&engine, 0..20, 2);
    engine.sync().unwrap();
    let expected = entries(&engine);
    let left = Arc::new(Mutex::new(Vec::new()));
    let (disk, disks) = (world.disk.clone(), Arc::clone(&left));
    inject.on_call(Arc::new(move |call| {
        if call.kind == OpKind::SyncFile && call.path.to_string_lossy().contains("MANIFEST") {
            disks.lock().unwrap().push(disk.restarted());
        }
    }));
    engine.merge().unwrap();
    drop(engine);
    let disks = std::mem::take(&mut *left.lock().unwrap());
    (disks, expected)
}

/// An input of the merge is an orphan for the process that reads the edit, and counts again when a power cut takes the
/// edit back.
#[test]
fn a_power_cut_during_recovery_does_not_lose_the_inputs_of_an_edit_that_was_not_durable() {
    let (disks, expected) = killed_before_a_manifest_sync();
    assert!(disks.len() > 3, "a merge makes several edits");
    let mut images = 0;
    for disk in disks {
        let world = World::on(disk);
        assert_eq!(entries(&world.open().unwrap()), expected);
        let mut sweep = world.disk.sweep();
        while let Some(point) = sweep.next_point() {
            for variant in sweep.all_variants(2) {
                let image = World::on(sweep.image(&variant));
                let engine =
                    image.open().unwrap_or_else(|error| panic!("{point}, {variant}: {error}"));
                assert_eq!(entries(&engine), expected, "{point}, {variant}");
                images += 1;
            }
        }
    }
    assert!(images > 500, "{images}");
}

fn manifest_path(disk: &SimFs) -> PathBuf {
    let is_manifest = |path: &PathBuf| path.to_string_lossy().contains("MANIFEST");
    disk.files().into_iter().find(is_manifest).unwrap()
}

/// Where each record of the manifest starts, and where the last one ends.
fn record_bounds(manifest: &[u8]) -> Vec<usize> {
    let mut bounds = vec![64];
    while let Some(len) = manifest.get(bounds[bounds.len() - 1] + 4..).filter(|b| b.len() > 4) {
        let len = u32::from_le_bytes([len[0], len[1], len[2], len[3]]) as usize;
        bounds.push((bounds[bounds.len() - 1] + 24 + len).next_multiple_of(8));
    }
    bounds
}

/// The next data file was begun and has no records yet. Its header knows of the edit before its own.
#[test]
fn a_manifest_that_lost_edits_which_the_header_of_an_empty_file_knows_is_refused() {
    let world = World::new();
    let engine = world.open().unwrap();
    // Begin 0, begin 1 ahead of need, seal 0, begin 2 ahead of need.
    for number in 0..24 {
        fill(&engine, number..number + 1, 1);
        world.executor.run_all();
    }
    drop(engine);
    let path = manifest_path(&world.disk);
    let manifest = world.disk.contents(&path).unwrap();
    let bounds = record_bounds(&manifest);
    assert!(bounds.len() > 3, "a snapshot and two edits: {bounds:?}");
    // Without the last edit the prepared file is an ordinary orphan; without the one before, it proves a loss.
    for (lost, is_refused) in [(0, false), (1, false), (2, true)] {
        let copy = World::on(world.disk.duplicate());
        copy.disk.set_contents(&path, manifest[..bounds[bounds.len() - 1 - lost]].to_vec());
        match (copy.open(), is_refused) {
            (Ok(_), false) => {}
            (Err(error), true) => {
                assert!(error.is_corruption() && error.to_string().contains("MANIFEST"), "{error}");
            }
            (opened, _) => panic!("{lost} edits lost: {:?}", opened.map(drop)),
        }
    }
}

#[test]
fn an_unsealed_file_of_a_later_opening_than_the_manifest_is_refused() {
    let world = World::new();
    let engine = world.open().unwrap();
    engine.put(&key(1), b"value", Durability::Sync).unwrap();
    drop(engine);
    let path = Path::new(STORE).join("000000.data");
    let header = world.disk.contents(&path).unwrap();
    let store = StoreId(std::array::from_fn(|at| header[8 + at]));
    let scratch = SimFs::new();
    scratch.create_dir(Path::new(STORE)).unwrap();
    let identity = SegmentIdentity { store, id: 0, epoch: 99, edit_number: 0 };
    let file = Segment::create_file(&scratch, &path, 256, SegmentLayout::Plain, identity).unwrap();
    drop(Segment::begin(&scratch, file).unwrap());
    world.disk.set_contents(&path, scratch.contents(&path).unwrap());
    let refused = world.open().unwrap_err();
    assert!(refused.to_string().contains("written in opening 99"), "{refused}");
}

/// Sequence numbers take 48 bits in the keydir.
#[test]
fn a_write_with_a_number_that_no_store_reaches_is_refused() {
    use durable::log::{Frame, GroupSync, Writer};

    let world = World::new();
    let engine = world.open().unwrap();
    engine.put(&key(1), b"value", Durability::Sync).unwrap();
    drop(engine);
    let path = Path::new(STORE).join("000000.data");
    let bytes = world.disk.contents(&path).unwrap();
    let store = StoreId(std::array::from_fn(|at| bytes[8 + at]));
    let SegmentHeader { identity, .. } = SegmentHeader::decode(&bytes, store, 0, &path).unwrap();
    for (sequence, is_refused) in [((1 << 48) - 1, false), (1 << 48, true)] {
        let scratch = SimFs::new();
        scratch.create_dir(Path::new(STORE)).unwrap();
        let file =
            Segment::create_file(&scratch, &path, 256, SegmentLayout::Plain, identity).unwrap();
        let mut writer = Writer::new(Arc::new(GroupSync::new()));
        writer.begin(Segment::begin(&scratch, file).unwrap());
        let frame = Frame { kind: 2, payload: [b"key", &[], &[]] };
        writer.append(sequence, std::iter::once(frame)).unwrap();
        let copy = World::on(world.disk.duplicate());
        copy.disk.set_contents(&path, scratch.contents(&path).unwrap());
        match copy.open() {
            Ok(_) => assert!(!is_refused),
            Err(Error::Corruption { path: named, offset, .. }) => {
                assert!(is_refused);
                assert_eq!((named, offset), (path.clone(), 64));
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn a_data_file_that_is_missing_is_damage_that_names_it_and_changes_nothing() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..30, 1);
    engine.close().unwrap();
    for id in world.data_files() {
        let copy = World::on(world.disk.duplicate());
        let path = Path::new(STORE).join(format!("{id:06}.data"));
        copy.disk.delete(&path);
        let ops = copy.disk.ops();
        let reader = Bitcask::open_read_only(STORE, copy.options()).map(drop);
        for refused in [copy.open().map(drop), reader] {
            let refused = refused.unwrap_err();
            let Error::Corruption { path: named, .. } = &refused else { panic!("{refused}") };
            assert_eq!(*named, path);
        }
        // The lock file was there before.
        assert_eq!(copy.disk.ops(), ops, "nothing was written");
    }
}
