//! Repairs of stores whose files somebody has overwritten, cut, swapped or forged.

use std::path::{Path, PathBuf};

use kv::{Durability, Error, Kv};
use lsm::{Lost, Lsm};

use super::{Entries, REPAIRED, all_files, expected, forget_repaired, options, repair, store};
use crate::compactions::Numbers;
use crate::world::{STORE, World, fill};

/// Overwrites, cuts, extends or empties `bytes`.
fn spoil(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    let len = bytes.len() as u64;
    let from = numbers.below(len.max(1)) as usize;
    let to = (from + numbers.below(len.max(1)) as usize + 1).min(bytes.len());
    match numbers.below(8) {
        0 => bytes.truncate(from),
        1 => bytes.extend((0..=numbers.below(300)).map(|number| number as u8)),
        2 => bytes.clear(),
        3 => bytes[from..to].fill(0),
        4 => bytes.rotate_left(from),
        5 => bytes.copy_within(from..to, len as usize - (to - from)),
        _ => bytes[from..to].iter_mut().for_each(|byte| *byte = numbers.below(256) as u8),
    }
}

#[test]
fn whatever_the_bytes_are_a_repair_ends_with_a_sound_store_of_entries_that_were_written_once() {
    let mut numbers = Numbers(1);
    let world = store();
    let right = all_files(&world);
    let (mut repaired, mut refused) = (0, 0);
    for round in 0..400 {
        let mut files: Vec<PathBuf> = right.keys().cloned().collect();
        for _ in 0..=numbers.below(3) {
            let path = files.swap_remove(numbers.below(files.len() as u64) as usize);
            let mut bytes = right[&path].clone();
            spoil(&mut bytes, &mut numbers);
            world.disk.set_contents(&path, bytes);
        }
        match repair(&world) {
            Ok((_, found)) => {
                repaired += 1;
                assert!(found.values().all(is_written), "round {round}");
            }
            Err(error) => {
                refused += 1;
                let is_clean =
                    matches!(error, Error::Corruption { .. } | Error::InvalidArgument(_))
                        || error.io_kind() == Some(std::io::ErrorKind::NotFound);
                assert!(is_clean, "round {round}: {error}");
            }
        }
        forget_repaired(&world);
        for (path, bytes) in &right {
            world.disk.set_contents(path, bytes.clone());
        }
    }
    assert!(repaired > 300, "{repaired} repaired, {refused} refused");
}

/// Whether a batch of [`store`] has put the value.
fn is_written(value: &Vec<u8>) -> bool {
    (1..=3).any(|round| *value == [round; 100])
}

#[test]
fn a_table_or_a_log_of_another_store_is_left_out_and_listed() {
    let (world, other) = (store(), World::new());
    let mut foreign = options(&other);
    foreign.env.entropy = std::sync::Arc::new(durable::SeededEntropy::new(99));
    let engine = Lsm::open(STORE, foreign).unwrap();
    fill(&engine, 0..30, 9);
    engine.flush().unwrap();
    engine.put(b"foreign", b"value", Durability::Sync).unwrap();
    drop(engine);
    for kind in ["table", "log"] {
        let theirs = Path::new(STORE).join(other.files(kind).last().unwrap());
        let ours = Path::new(STORE).join(world.files(kind).last().unwrap());
        let right = world.disk.contents(&ours).unwrap();
        world.disk.set_contents(&ours, other.disk.contents(&theirs).unwrap());
        let (repair, found) = repair(&world).unwrap();
        assert!(!found.contains_key(&b"foreign"[..]) && found.values().all(is_written), "{kind}");
        let is_listed = |loss: &lsm::Loss| loss.path == ours;
        assert!(repair.losses.iter().any(is_listed), "{kind}: {repair:?}");
        forget_repaired(&world);
        world.disk.set_contents(&ours, right);
    }
}

#[test]
fn a_foreign_log_beside_a_lost_manifest_is_a_foreign_file() {
    let (world, other) = (store(), World::new());
    let mut foreign = options(&other);
    foreign.env.entropy = std::sync::Arc::new(durable::SeededEntropy::new(99));
    let engine = Lsm::open(STORE, foreign).unwrap();
    engine.put(b"foreign", b"value", Durability::Sync).unwrap();
    drop(engine);
    let theirs = Path::new(STORE).join(other.files("log").last().unwrap());
    let name = Path::new(STORE).join("000900.log");
    world.disk.set_contents(&name, renumbered(other.disk.contents(&theirs).unwrap(), 900));
    world.disk.delete(&Path::new(STORE).join("CURRENT"));
    let (repair, found): (_, Entries) = repair(&world).unwrap();
    assert_eq!(found, expected());
    let foreign: Vec<_> =
        repair.losses.iter().filter(|loss| loss.lost == Lost::ForeignFile).collect();
    assert_eq!(foreign.len(), 1, "{repair:?}");
    assert_eq!(foreign[0].path, name);
    assert!(world.disk.files().iter().any(|path| path.starts_with(REPAIRED)));
}

/// The log `bytes` with another number in its header, and the checksum of that header.
fn renumbered(mut bytes: Vec<u8>, id: u64) -> Vec<u8> {
    bytes[24..32].copy_from_slice(&id.to_le_bytes());
    let sum = durable::crc32(&bytes[..60]);
    bytes[60..64].copy_from_slice(&sum.to_le_bytes());
    bytes
}
