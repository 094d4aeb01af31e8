//! Damage to `CURRENT` and to generations: the exact state, or an error that changes nothing.

use std::path::{Path, PathBuf};

use durable::SimFs;
use durable::StoreId;
use durable::manifest::{Manifest, Stamp};
use kv::Error;

use crate::basics::{ID, STORE, add, create, reopen, store};
use crate::toy::{Edit, Toy};

/// A small store with a snapshot that holds something and edits behind it; closed, or left as by a crash.
fn sample(closed: bool) -> (SimFs, Toy, Stamp) {
    let disk = SimFs::new();
    create(&disk).append(&add(1)).unwrap();
    let manifest = reopen(&disk).unwrap();
    manifest.append(&Edit::Note("some words".into())).unwrap();
    manifest.append(&add(2)).unwrap();
    if closed {
        manifest.close().unwrap();
    }
    let stamp = manifest.stamp();
    let state = Toy::clone(&manifest.state());
    (disk, state, stamp)
}

fn path(name: &str) -> PathBuf {
    Path::new(STORE).join(name)
}

/// Opens a damaged store with the stamp of one of its files at hand.
fn open_damaged(disk: &SimFs, stamp: Stamp) -> kv::Result<Toy> {
    let found = Manifest::<Toy>::read(&store(disk))?;
    found.check_seen(stamp)?;
    Ok(Toy::clone(&found.open()?.state()))
}

/// Whether the store was refused, and nothing was touched. Panics on a wrong state.
fn is_refused(disk: &SimFs, state: &Toy, stamp: Stamp, told: &str) -> bool {
    let before = (disk.ops(), disk.files());
    match open_damaged(disk, stamp) {
        Ok(opened) => {
            assert_eq!(opened, *state, "{told}");
            false
        }
        Err(Error::Corruption { .. } | Error::InvalidArgument(_)) => {
            assert_eq!((disk.ops(), disk.files()), before, "{told}");
            true
        }
        Err(other) => panic!("{told}: {other}"),
    }
}

/// Does `damage` to the bytes of each file of the store in turn. Counts the refusals.
fn for_each_file(closed: bool, damage: &dyn Fn(&[u8]) -> Vec<Vec<u8>>) -> (usize, usize) {
    let (disk, state, stamp) = sample(closed);
    let known = if closed { Stamp::default() } else { stamp };
    let (mut tried, mut refused) = (0, 0);
    for name in ["CURRENT", "MANIFEST-000002"] {
        for (at, bytes) in damage(&disk.contents(&path(name)).unwrap()).into_iter().enumerate() {
            let damaged = disk.duplicate();
            damaged.set_contents(&path(name), bytes);
            tried += 1;
            refused += usize::from(is_refused(&damaged, &state, known, &format!("{name} {at}")));
        }
    }
    (tried, refused)
}

fn flips(bytes: &[u8]) -> Vec<Vec<u8>> {
    let flip = |bit: usize| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    };
    (0..bytes.len() * 8).map(flip).collect()
}

#[test]
fn every_flipped_bit_is_noticed_after_a_clean_close() {
    let (tried, refused) = for_each_file(true, &flips);
    assert_eq!((tried, refused), (1856, 1856));
}

#[test]
fn every_flipped_bit_is_noticed_after_a_crash_if_a_file_was_stamped() {
    let (tried, refused) = for_each_file(false, &flips);
    assert_eq!(tried, refused);
}

#[test]
fn every_truncation_is_noticed() {
    let cuts = |bytes: &[u8]| (0..bytes.len()).map(|len| bytes[..len].to_vec()).collect();
    for closed in [false, true] {
        let (tried, refused) = for_each_file(closed, &cuts);
        assert_eq!(tried, refused);
    }
}

#[test]
fn every_byte_set_to_zero_or_ones_and_every_zeroed_stretch_is_noticed_unless_it_was_so() {
    let stretches = |bytes: &[u8]| {
        let mut damaged = Vec::new();
        for (at, len, value) in (0..bytes.len())
            .flat_map(|at| [(at, 1, 0), (at, 1, 0xff), (at, 8, 0), (at, 64, 0), (at, 64, 0xff)])
        {
            let mut other = bytes.to_vec();
            let end = (at + len).min(bytes.len());
            other[at..end].fill(value);
            damaged.push(other);
        }
        damaged.retain(|other| other != bytes);
        damaged
    };
    let (tried, refused) = for_each_file(true, &stretches);
    assert_eq!(tried, refused);
}

#[test]
fn junk_behind_the_last_record_is_a_torn_tail() {
    let junk = |bytes: &[u8]| {
        let tails: [&[u8]; 4] =
            [b"x", &[0; 4096], &[0xff; 100], b"not at all a record of any kind"];
        tails.iter().map(|tail| [bytes, tail].concat()).collect()
    };
    let (tried, refused) = for_each_file(true, &junk);
    assert_eq!((tried, refused), (8, 4), "a longer CURRENT is damage");
}

#[test]
fn damage_before_a_durable_edit_is_told_from_a_torn_tail_without_a_stamp() {
    let (disk, state, _) = sample(false);
    let bytes = disk.contents(&path("MANIFEST-000002")).unwrap();
    let last = bytes.len() - 32;
    for (at, flipped) in flips(&bytes).into_iter().enumerate() {
        let damaged = disk.duplicate();
        damaged.set_contents(&path("MANIFEST-000002"), flipped);
        if at / 8 < last {
            assert!(is_refused(&damaged, &state, Stamp::default(), "not the last record"));
        } else {
            let shorter = open_damaged(&damaged, Stamp::default()).unwrap();
            assert_eq!(shorter.files.len() + 1, state.files.len(), "the limit of the rule");
        }
    }
}

#[test]
fn one_good_record_right_behind_a_bad_one_proves_damage() {
    let disk = SimFs::new();
    let manifest = create(&disk);
    manifest.append(&add(1)).unwrap();
    manifest.append(&add(2)).unwrap();
    let state = Toy::clone(&manifest.state());
    drop(manifest);
    let bytes = disk.contents(&path("MANIFEST-000001")).unwrap();
    for flipped in &flips(&bytes)[..(bytes.len() - 32) * 8] {
        let damaged = disk.duplicate();
        damaged.set_contents(&path("MANIFEST-000001"), flipped.clone());
        assert!(is_refused(&damaged, &state, Stamp::default(), "the record before the last"));
    }
}

#[test]
fn damage_to_a_snapshot_without_edits_is_noticed() {
    let disk = SimFs::new();
    drop(create(&disk));
    let bytes = disk.contents(&path("MANIFEST-000001")).unwrap();
    for flipped in flips(&bytes) {
        let damaged = disk.duplicate();
        damaged.set_contents(&path("MANIFEST-000001"), flipped);
        assert!(is_refused(&damaged, &Toy::default(), Stamp::default(), "the snapshot"));
    }
}

#[test]
fn records_in_the_wrong_place_are_noticed() {
    let disk = SimFs::new();
    let manifest = create(&disk);
    for file in 1..=3 {
        manifest.append(&add(file)).unwrap();
    }
    manifest.close().unwrap();
    let state = Toy::clone(&manifest.state());
    drop(manifest);
    let bytes = disk.contents(&path("MANIFEST-000001")).unwrap();
    let start = bytes.len() - 3 * 32;
    let record = |number: usize| &bytes[start + number * 32..start + (number + 1) * 32];
    let order = |order: &[usize]| order.iter().map(|&number| record(number)).collect::<Vec<_>>();
    for order in [order(&[1, 0, 2]), order(&[0, 0, 1, 2]), order(&[0, 2]), order(&[0, 1, 1])] {
        let damaged = disk.duplicate();
        let moved = [&bytes[..start], &order.concat()].concat();
        damaged.set_contents(&path("MANIFEST-000001"), moved);
        assert!(is_refused(&damaged, &state, Stamp::default(), "moved records"));
    }
}

#[test]
fn files_of_another_generation_opening_or_store_are_noticed() {
    let disk = SimFs::new();
    drop(create(&disk));
    let old = |name: &str| disk.contents(&path(name)).unwrap();
    let (old_current, old_generation) = (old("CURRENT"), old("MANIFEST-000001"));
    let manifest = reopen(&disk).unwrap();
    manifest.append(&add(1)).unwrap();
    let (state, stamp) = (Toy::clone(&manifest.state()), manifest.stamp());
    drop(manifest);

    let other = SimFs::new();
    drop(Manifest::<Toy>::create(&store(&other), StoreId([7; 16])).unwrap());
    drop(reopen(&other).unwrap());

    let of = |disk: &SimFs, name: &str| disk.contents(&path(name)).unwrap();
    let newer = "MANIFEST-000002";
    let cases = [
        ("an older generation", vec![(newer, old_generation.clone())]),
        ("an older CURRENT", vec![("CURRENT", old_current.clone())]),
        ("another store's generation", vec![(newer, of(&other, newer))]),
        ("another store's CURRENT", vec![("CURRENT", of(&other, "CURRENT"))]),
        ("an older opening", vec![("CURRENT", old_current), ("MANIFEST-000001", old_generation)]),
    ];
    for (told, files) in cases {
        let damaged = disk.duplicate();
        for (name, bytes) in files {
            damaged.set_contents(&path(name), bytes);
        }
        assert!(is_refused(&damaged, &state, stamp, told), "{told}");
    }
}

#[test]
fn a_deleted_file_is_noticed() {
    for name in ["CURRENT", "MANIFEST-000002"] {
        let (disk, _, stamp) = sample(true);
        disk.delete(&path(name));
        disk.set_contents(&path("000001.toy"), Vec::new());
        let opened = open_damaged(&disk, stamp);
        let created = Manifest::<Toy>::create(&store(&disk), ID);
        assert!(opened.is_err() && created.is_err(), "{name}");
    }
}

#[test]
fn a_tail_full_of_plausible_heads_is_torn() {
    let (disk, state, stamp) = sample(false);
    let mut bytes = disk.contents(&path("MANIFEST-000002")).unwrap();
    let mut head = vec![0; 24];
    head[8..16].copy_from_slice(&(stamp.edit_number + 2).to_le_bytes());
    head[16] = 2;
    let len = 1_u32 << 20;
    let heads = len as usize / 24;
    for at in 0..heads {
        let left = (heads - at - 1) * 24;
        head[4..8].copy_from_slice(&(left as u32 / 2).to_le_bytes());
        bytes.extend_from_slice(&head);
    }
    disk.set_contents(&path("MANIFEST-000002"), bytes);
    assert!(!is_refused(&disk, &state, stamp, "no record lies behind the last one"));
}
