//! What the manifest does when nothing goes wrong, and what it refuses.

use std::io;
use std::path::Path;
use std::sync::Arc;

use durable::StoreId;
use durable::manifest::{Manifest, Stamp, State};
use durable::store_dir::{OpenMode, StoreDir};
use durable::{Fs, Inject, Plan, SimFs};
use kv::{Error, Result};

use crate::toy::{Edit, OldToy, SHINY, Toy};

pub(crate) const STORE: &str = "/store";
pub(crate) const ID: StoreId = StoreId(*b"sixteen bytes id");

/// The store on `disk`, locked.
pub(crate) fn store(disk: &SimFs) -> StoreDir {
    try_store(disk).unwrap()
}

/// The store on `fs`, locked, if nothing goes wrong.
pub(crate) fn try_store(fs: &(impl Fs + Clone + 'static)) -> Result<StoreDir> {
    StoreDir::open(Arc::new(fs.clone()), Path::new(STORE), OpenMode::Create)
}

pub(crate) fn create(disk: &SimFs) -> Manifest<Toy> {
    Manifest::create(&store(disk), ID).unwrap()
}

pub(crate) fn reopen(disk: &SimFs) -> Result<Manifest<Toy>> {
    Manifest::read(&store(disk))?.open()
}

pub(crate) fn add(file: u64) -> Edit {
    Edit::Add { file, len_bytes: 10 * file }
}

fn names(disk: &SimFs) -> Vec<String> {
    let names = disk.list(Path::new(STORE)).unwrap().into_iter().map(|entry| entry.name);
    names.filter(|name| name != "LOCK").collect()
}

#[test]
fn edits_are_there_after_reopening_and_epochs_ascend() {
    let disk = SimFs::new();
    let manifest = create(&disk);
    assert_eq!(manifest.stamp(), Stamp { open_epoch: 1, edit_number: 0 });
    manifest.append(&add(1)).unwrap();
    manifest.append(&Edit::Note("hello".into())).unwrap();
    let state = manifest.state();
    drop(manifest);
    for open_epoch in 2..5 {
        let manifest = reopen(&disk).unwrap();
        assert_eq!(manifest.state(), state);
        assert_eq!(manifest.store_id(), ID);
        assert_eq!(manifest.stamp(), Stamp { open_epoch, edit_number: 2 });
        assert_eq!(names(&disk), ["CURRENT", &format!("MANIFEST-{open_epoch:06}")]);
    }
}

#[test]
fn an_edit_that_contradicts_the_state_changes_nothing() {
    let disk = SimFs::new();
    let manifest = create(&disk);
    manifest.append(&add(1)).unwrap();
    let before = disk.ops();
    assert!(matches!(manifest.append(&add(1)), Err(Error::InvalidArgument(_))));
    assert_eq!(disk.ops(), before);
    manifest.append(&Edit::Remove { file: 1 }).unwrap();
    assert_eq!(manifest.stamp().edit_number, 2);
}

#[test]
fn generations_change_when_the_edits_outgrow_the_snapshot() {
    let disk = SimFs::new();
    let manifest = create(&disk);
    let mut longest = 0;
    for file in 0..3000 {
        manifest.append(&add(file)).unwrap();
        let files = names(&disk);
        assert_eq!(files.len(), 2);
        longest = longest.max(disk.contents(&Path::new(STORE).join(&files[1])).unwrap().len());
    }
    let generation = Manifest::<Toy>::dump(&store_of_reader(&disk)).unwrap()["file"].clone();
    assert_eq!(generation, "MANIFEST-000017");
    assert!(longest < 40_000, "{longest}");
    drop(manifest);
    assert_eq!(reopen(&disk).unwrap().state().files.len(), 3000);
}

fn store_of_reader(disk: &SimFs) -> StoreDir {
    StoreDir::open(Arc::new(disk.clone()), Path::new(STORE), OpenMode::Read).unwrap()
}

#[test]
fn a_reader_sees_what_is_there_and_touches_nothing() {
    let disk = SimFs::new();
    let manifest = create(&disk);
    manifest.append(&add(1)).unwrap();
    let (ops, files) = (disk.ops(), disk.files());
    let found = Manifest::<Toy>::read(&store_of_reader(&disk)).unwrap();
    assert_eq!(found.stamp(), manifest.stamp());
    assert_eq!(*found.state(), *manifest.state());
    assert!(matches!(found.open(), Err(Error::ReadOnly)));
    assert!(matches!(Manifest::<Toy>::create(&store_of_reader(&disk), ID), Err(Error::ReadOnly)));
    assert_eq!((disk.ops(), disk.files()), (ops, files));
}

#[test]
fn a_closed_manifest_takes_no_edits() {
    let disk = SimFs::new();
    let manifest = create(&disk);
    manifest.append(&add(1)).unwrap();
    manifest.close().unwrap();
    manifest.close().unwrap();
    assert!(matches!(manifest.append(&add(2)), Err(Error::Closed)));
    assert_eq!(manifest.state().files.len(), 1);
}

#[test]
fn what_is_not_ours_stays() {
    let disk = SimFs::new();
    drop(create(&disk));
    let foreign = ["MANIFEST-1", "MANIFEST-000001.bak", "CURRENT.tmp2", "current", "notes.txt"];
    for name in foreign {
        disk.set_contents(&Path::new(STORE).join(name), b"mine".to_vec());
    }
    disk.create_dir(&Path::new(STORE).join("MANIFEST-000002")).unwrap();
    for leftover in ["MANIFEST-000003", "MANIFEST-000009", "CURRENT.tmp"] {
        disk.set_contents(&Path::new(STORE).join(leftover), b"left by a crash".to_vec());
    }
    let manifest = reopen(&disk).unwrap();
    manifest.append(&add(1)).unwrap();
    let mut expected = foreign.to_vec();
    expected.extend(["CURRENT", "MANIFEST-000002", "MANIFEST-000004"]);
    expected.sort_unstable();
    assert_eq!(names(&disk), expected);
}

#[test]
fn a_store_is_created_once_and_never_over_files_of_the_engine() {
    let disk = SimFs::new();
    assert!(!Manifest::<Toy>::exists(&store(&disk)).unwrap());
    let missing = reopen(&disk).unwrap_err();
    assert_eq!(missing.io_kind(), Some(io::ErrorKind::NotFound));
    drop(create(&disk));
    assert!(Manifest::<Toy>::exists(&store(&disk)).unwrap());
    let again = Manifest::<Toy>::create(&store(&disk), ID).unwrap_err();
    assert_eq!(again.io_kind(), Some(io::ErrorKind::AlreadyExists));
    disk.set_contents(&Path::new(STORE).join("000001.toy"), Vec::new());
    disk.delete(&Path::new(STORE).join("CURRENT"));
    let files = disk.files();
    assert!(Manifest::<Toy>::create(&store(&disk), ID).unwrap_err().is_corruption());
    assert_eq!(disk.files(), files);
}

#[test]
fn a_manifest_that_current_names_must_be_there() {
    let disk = SimFs::new();
    drop(create(&disk));
    disk.delete(&Path::new(STORE).join("MANIFEST-000001"));
    assert!(reopen(&disk).unwrap_err().is_corruption());
}

#[test]
fn a_newer_format_is_refused_and_not_touched() {
    let disk = SimFs::new();
    create(&disk).append(&Edit::Note("new".into())).unwrap();
    let store = store(&disk);
    let ops = disk.ops();
    let refused = Manifest::<OldToy>::read(&store).unwrap_err();
    assert!(matches!(&refused, Error::InvalidArgument(what) if what.contains("format 2")));
    assert_eq!(disk.ops(), ops);
}

#[test]
fn an_unknown_required_feature_is_refused_and_begins_with_a_new_generation() {
    let disk = SimFs::new();
    let manifest = create(&disk);
    manifest.append(&Edit::Require(SHINY)).unwrap();
    assert_eq!(names(&disk), ["CURRENT", "MANIFEST-000002"]);
    manifest.append(&Edit::Require(SHINY)).unwrap();
    assert_eq!(names(&disk), ["CURRENT", "MANIFEST-000002"]);
    drop(manifest);
    let manifest = reopen(&disk).unwrap();
    manifest.append(&Edit::Require(1 << 31)).unwrap();
    drop(manifest);
    let refused = reopen(&disk).unwrap_err();
    assert!(matches!(&refused, Error::InvalidArgument(what) if what.contains("0x80000000")));
}

#[test]
fn a_manifest_that_forgot_what_another_file_remembers_is_damaged() {
    let disk = SimFs::new();
    let manifest = create(&disk);
    manifest.append(&add(1)).unwrap();
    let stamp = manifest.stamp();
    drop(manifest);
    let found = Manifest::<Toy>::read(&store(&disk)).unwrap();
    found.check_seen(Stamp::default()).unwrap();
    found.check_seen(stamp).unwrap();
    let later = Stamp { edit_number: 2, ..stamp };
    assert!(found.check_seen(later).unwrap_err().is_corruption());
    let reopened = Stamp { open_epoch: 2, ..stamp };
    assert!(found.check_seen(reopened).unwrap_err().is_corruption());
}

#[test]
fn a_dump_shows_every_record_and_how_they_end() {
    let disk = SimFs::new();
    let manifest = create(&disk);
    manifest.append(&add(1)).unwrap();
    let dump = Manifest::<Toy>::dump(&store_of_reader(&disk)).unwrap();
    assert_eq!(dump["records"][1]["content"], Toy::default().to_json());
    assert_eq!(dump["records"][2]["content"], Toy::edit_to_json(&add(1)));
    assert_eq!(dump["tail"], "whole");
    let path = Path::new(STORE).join("MANIFEST-000001");
    let mut bytes = disk.contents(&path).unwrap();
    let end = bytes.len() - 32;
    bytes.extend_from_slice(b"torn");
    disk.set_contents(&path, bytes.clone());
    let dump = Manifest::<Toy>::dump(&store_of_reader(&disk)).unwrap();
    assert_eq!(dump["tail"]["torn_at"], end + 32);
    bytes[70] ^= 1;
    disk.set_contents(&path, bytes);
    let dump = Manifest::<Toy>::dump(&store_of_reader(&disk)).unwrap();
    assert_eq!(dump["records"].as_array().unwrap().len(), 1);
    assert!(dump["tail"]["damage"].as_str().unwrap().contains("byte 64"));
}

#[test]
fn several_edits_take_one_sync_and_are_visible_together() {
    let disk = SimFs::new();
    let manifest = create(&disk);
    let inject = Inject::over_sim(disk.clone(), Plan::none());
    drop(manifest);
    let manifest = Manifest::<Toy>::read(&try_store(&inject).unwrap()).unwrap().open().unwrap();
    let before = inject.calls();
    manifest.append_all(&[add(1), add(2), Edit::Note("three".into())]).unwrap();
    assert_eq!(inject.calls() - before, 2, "a write and a sync");
    assert_eq!((manifest.state().files.len(), manifest.stamp().edit_number), (2, 3));
    manifest.append_all(&[]).unwrap();
    assert_eq!((inject.calls() - before, manifest.stamp().edit_number), (2, 3));
    manifest.append(&add(4)).unwrap();
    drop(manifest);
    let reopened = reopen(&disk).unwrap();
    assert_eq!((reopened.state().files.len(), reopened.stamp().edit_number), (3, 4));
    assert_eq!(reopened.state().note, "three");
}

#[test]
fn of_several_edits_one_that_contradicts_the_state_refuses_all() {
    let disk = SimFs::new();
    let manifest = create(&disk);
    let refused = manifest.append_all(&[add(1), add(1)]).unwrap_err();
    assert!(matches!(refused, Error::InvalidArgument(_)), "{refused}");
    assert!(manifest.state().files.is_empty() && manifest.stamp().edit_number == 0);
    manifest.append_all(&[add(1), add(2)]).unwrap();
    assert_eq!(manifest.state().files.len(), 2);
}

#[test]
fn an_edit_clones_no_state_unless_a_reader_keeps_the_old_one() {
    let disk = SimFs::new();
    let manifest = create(&disk);
    manifest.append(&add(0)).unwrap();
    let mut copies: Vec<*const Toy> = Vec::new();
    for file in 1..6 {
        manifest.append(&add(file)).unwrap();
        copies.push(Arc::as_ptr(&manifest.state()));
    }
    assert!(copies[0] != copies[1] && copies[0] == copies[2] && copies[1] == copies[3]);
    let kept = manifest.state();
    for file in 6..9 {
        manifest.append(&add(file)).unwrap();
    }
    assert_eq!((kept.files.len(), manifest.state().files.len()), (6, 9));
}
