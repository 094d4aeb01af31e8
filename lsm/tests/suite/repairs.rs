//! Repairs of damaged stores into a new directory.

mod crashes;
mod hostile;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kv::{Durability, Error, KeyRange, Kv, SequenceNumber, UnixMillis, WriteBatch};
use lsm::{BuildOptions, Lost, Lsm, Options, Repair};

use crate::world::{STORE, World, entries, fill, key, leveled};

const REPAIRED: &str = "repaired";

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

fn options(world: &World) -> Options {
    // Several index blocks, each of several data blocks.
    let table = BuildOptions { block_bytes: 300, index_block_bytes: 64, ..BuildOptions::default() };
    world.compacting(leveled()).compaction_threads(0).table_bytes(4_000).table(table)
}

/// When the value of key 60 expires.
const END: UnixMillis = UnixMillis(1_000_000);

/// A store of two levels and a log, that is not open. Keys are overwritten, and deleted alone and by ranges, and one expires.
fn store() -> World {
    let world = World::new();
    let engine = Lsm::open(STORE, options(&world)).unwrap();
    fill(&engine, 0..60, 1);
    engine.compact_range(&KeyRange::all()).unwrap();
    fill(&engine, 10..20, 2);
    delete(&engine, 30..33);
    let mut batch = WriteBatch::new();
    batch.delete_range(range(40..44)).put_expiring(&key(60), &[1; 100], END);
    engine.write(&batch, Durability::Buffered).unwrap();
    engine.flush().unwrap();
    fill(&engine, 15..25, 3);
    delete(&engine, 50..52);
    let mut batch = WriteBatch::new();
    batch.delete_range(range(54..56));
    engine.write(&batch, Durability::Buffered).unwrap();
    engine.sync().unwrap();
    world.executor.run_all();
    drop(engine);
    world
}

fn range(keys: Range<u32>) -> KeyRange {
    KeyRange::new(&key(keys.start)[..]..&key(keys.end)[..])
}

fn delete(engine: &Lsm, keys: Range<u32>) {
    for number in keys {
        engine.delete(&key(number), Durability::Buffered).expect("the disk works");
    }
}

/// What the store has.
fn expected() -> Entries {
    let round = |number: u32| match number {
        15..25 => 3,
        10..15 => 2,
        _ => 1,
    };
    let present = (0..61).filter(|number| !is_deleted(&key(*number)));
    present.map(|number| (key(number).to_vec(), vec![round(number); 100])).collect()
}

fn all_files(world: &World) -> BTreeMap<PathBuf, Vec<u8>> {
    let contents = |path: PathBuf| (path.clone(), world.disk.contents(&path).unwrap());
    world.disk.files().into_iter().map(contents).collect()
}

fn repair(world: &World) -> kv::Result<(Repair, Entries)> {
    let repair = lsm::repair(STORE, REPAIRED, &options(world))?;
    let engine = Lsm::open(REPAIRED, options(world).create(false))?;
    engine.verify()?;
    assert_eq!(engine.newest_sequence(), repair.newest);
    let found: Entries = entries(&engine).into_iter().collect();
    assert!(found.len() as u64 <= repair.keys, "those that have expired are not found");
    Ok((repair, found))
}

/// Takes the repaired store away again.
fn forget_repaired(world: &World) {
    let files = world.disk.files();
    files.iter().filter(|path| path.starts_with(REPAIRED)).for_each(|path| world.disk.delete(path));
}

#[test]
fn a_store_without_damage_is_repaired_without_loss_and_stays_as_it_is() {
    let world = store();
    let before = all_files(&world);
    let (repair, found) = repair(&world).unwrap();
    assert_eq!(found, expected());
    assert_eq!((repair.trusts_manifest, &repair.losses[..]), (true, &[][..]));
    assert_eq!(repair.newest, SequenceNumber(87));
    assert!(repair.versions > repair.keys && repair.tables > 2 && repair.logs > 0);
    assert_eq!(repair.range_fragments, 2);
    let engine = Lsm::open(REPAIRED, options(&world)).unwrap();
    assert!(matches!(engine.pin_at(SequenceNumber(82)), Err(Error::SnapshotTooOld)));
    assert_eq!(engine.put(b"next", b"value", Durability::Sync).unwrap(), SequenceNumber(88));
    drop(engine);
    forget_repaired(&world);
    assert_eq!(all_files(&world), before);
}

#[test]
fn without_a_manifest_every_file_is_read() {
    for name in ["CURRENT", "MANIFEST"] {
        let world = store();
        let is_named = |path: &&PathBuf| path.to_string_lossy().contains(name);
        let files = world.disk.files();
        files.iter().filter(is_named).for_each(|path| world.disk.delete(path));
        assert!(Lsm::open(STORE, options(&world)).is_err());
        let (repair, found) = repair(&world).unwrap();
        assert_eq!(found, expected(), "without {name}");
        assert!(!repair.trusts_manifest && repair.losses.len() == 1, "{repair:?}");
    }
}

#[test]
fn a_missing_table_or_log_is_a_loss_and_the_rest_is_there() {
    let world = store();
    let expected = expected();
    for name in [world.files("table"), world.files("log")].concat() {
        let path = Path::new(STORE).join(&name);
        let bytes = world.disk.contents(&path).unwrap();
        world.disk.delete(&path);
        let (repair, found) = repair(&world).unwrap();
        assert!(repair.losses.iter().any(|loss| loss.path.ends_with(&name)), "{repair:?}");
        assert!(found.len() > 20, "{name}: {}", found.len());
        // The values are of some batch. Without the newest version an older one is there.
        assert!(found.iter().all(|(_, value)| (1..=3).any(|round| **value == [round; 100])));
        assert!(found.keys().all(|key| expected.contains_key(key) || is_deleted(key)));
        forget_repaired(&world);
        world.disk.set_contents(&path, bytes);
    }
}

fn is_deleted(found: &[u8]) -> bool {
    let deleted = (30..33).chain(40..44).chain(50..52).chain(54..56);
    deleted.into_iter().any(|number| key(number) == found)
}

/// The keys with another value than before the damage.
fn wrong_keys(found: &Entries) -> BTreeSet<Vec<u8>> {
    let expected = expected();
    let keys: BTreeSet<&Vec<u8>> = found.keys().chain(expected.keys()).collect();
    keys.into_iter().filter(|key| found.get(*key) != expected.get(*key)).cloned().collect()
}

/// One changed byte costs the entries of its block, or the record of its frame, and nothing else.
#[test]
fn after_damage_to_any_byte_each_entry_outside_of_it_is_there_and_none_is_invented() {
    let world = store();
    let (mut with_loss, mut repairs) = (0, 0);
    for (path, bytes) in all_files(&world) {
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        let is_table = path.extension().is_some_and(|extension| extension == "table");
        for at in (0..bytes.len()).step_by(17) {
            let what = format!("byte {at} of {}", path.display());
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x55;
            world.disk.set_contents(&path, damaged);
            let (repair, found) = repair(&world).unwrap_or_else(|error| panic!("{what}: {error}"));
            repairs += 1;
            let wrong = wrong_keys(&found);
            for key in &wrong {
                let value = found.get(key);
                let is_older =
                    value.is_none_or(|value| [[1; 100], [2; 100]].iter().any(|old| value == old));
                assert!(is_older, "{what}: {key:?} has {value:?}");
                let is_excused = |loss: &lsm::Loss| {
                    let (after, before) = &loss.keys;
                    let is_inside = after.as_ref().is_none_or(|after| after <= key)
                        && before.as_ref().is_none_or(|before| key <= before);
                    loss.path.ends_with(path.file_name().unwrap()) && is_inside
                };
                assert!(
                    repair.losses.iter().any(is_excused),
                    "{what}: {key:?} {:?}",
                    repair.losses
                );
            }
            let most = if is_log { 2 } else { 6 * usize::from(is_table) };
            assert!(wrong.len() <= most, "{what}: {wrong:?} {:?}", repair.losses);
            with_loss += usize::from(!wrong.is_empty());
            forget_repaired(&world);
        }
        world.disk.set_contents(&path, bytes);
    }
    assert!(with_loss > 100 && with_loss < repairs, "{with_loss} of {repairs}");
}

#[test]
fn a_value_that_expires_does_so_in_the_repaired_store_as_well() {
    let world = store();
    let (_, found) = repair(&world).unwrap();
    assert_eq!(found.get(&key(60)[..]), Some(&vec![1; 100]));
    world.clock.advance(Duration::from_millis(END.0));
    let engine = Lsm::open(REPAIRED, options(&world).create(false)).unwrap();
    assert_eq!(engine.get(&key(60)).unwrap(), None);
}

#[test]
fn range_tombstones_that_cannot_be_read_are_a_loss_with_their_keys() {
    let world = store();
    // Without logs, which would have them too.
    Lsm::open(STORE, options(&world)).unwrap().close().unwrap();
    let mut lost = Vec::new();
    for name in world.files("table") {
        let path = Path::new(STORE).join(&name);
        let right = world.disk.contents(&path).unwrap();
        for at in (0..right.len()).rev().step_by(5) {
            let mut bytes = right.clone();
            bytes[at] ^= 1;
            world.disk.set_contents(&path, bytes);
            let (repair, found) = repair(&world).unwrap();
            forget_repaired(&world);
            let is_of_ranges = |loss: &&lsm::Loss| loss.lost == Lost::RangeTombstones;
            let returned = returned(&found);
            let what = format!("byte {at} of {name}: {repair:?}");
            assert_eq!(repair.losses.iter().filter(is_of_ranges).count(), returned.len(), "{what}");
            let keys = |range: &Range<u32>| {
                (Some(key(range.start).to_vec()), Some(key(range.end).to_vec()))
            };
            let is_listed =
                |range: &Range<u32>| repair.losses.iter().any(|loss| loss.keys == keys(range));
            assert!(returned.iter().all(is_listed), "{what}");
            lost.extend(returned);
        }
        world.disk.set_contents(&path, right);
    }
    assert!(lost.contains(&(40..44)) && lost.contains(&(54..56)));
}

/// The deleted ranges whose keys are there again.
fn returned(found: &Entries) -> Vec<Range<u32>> {
    let is_there =
        |range: &Range<u32>| range.clone().all(|number| found.contains_key(&key(number)[..]));
    [40..44, 54..56].into_iter().filter(is_there).collect()
}

#[test]
fn a_loss_names_file_bytes_and_keys() {
    let world = store();
    let name = world.files("table").into_iter().next().unwrap();
    let path = Path::new(STORE).join(&name);
    let mut bytes = world.disk.contents(&path).unwrap();
    bytes[500] ^= 1;
    world.disk.set_contents(&path, bytes);
    let (repair, _) = repair(&world).unwrap();
    let [loss] = &repair.losses[..] else { panic!("{repair:?}") };
    assert!(loss.path.ends_with(&name) && loss.bytes.contains(&500), "{loss:?}");
    let (Some(after), Some(before)) = &loss.keys else { panic!("{loss:?}") };
    assert!(after < before && loss.what.contains("checksum"), "{loss:?}");
}

#[test]
fn a_repair_takes_no_open_store_and_no_directory_that_has_something() {
    let world = store();
    let engine = Lsm::open(STORE, options(&world)).unwrap();
    assert!(matches!(lsm::repair(STORE, REPAIRED, &options(&world)), Err(Error::Locked { .. })));
    drop(engine);
    world.executor.run_all();
    let itself = lsm::repair(STORE, STORE, &options(&world)).unwrap_err();
    assert!(matches!(itself, Error::Locked { .. }), "{itself}");
    lsm::repair(STORE, REPAIRED, &options(&world)).unwrap();
    let taken = lsm::repair(STORE, REPAIRED, &options(&world)).unwrap_err();
    assert_eq!(taken.io_kind(), Some(std::io::ErrorKind::AlreadyExists), "{taken}");
    let missing = lsm::repair("missing", "other", &options(&world)).unwrap_err();
    assert_eq!(missing.io_kind(), Some(std::io::ErrorKind::NotFound), "{missing}");
}
