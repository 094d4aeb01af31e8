//! Fixtures of every released format: what is written stays the same byte for byte, and what was written stays
//! readable.

use std::path::{Path, PathBuf};

use durable::manifest::{Manifest, Stamp, State};
use durable::{Fs as _, SimFs};

use crate::basics::{ID, STORE, add, reopen, store};
use crate::toy::{Edit, OldToy, SHINY, Toy};

/// The files of a fixture: lines of hex digits under the line `= name`; what follows a `#` is a comment.
fn fixture(text: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("= ") {
            files.push((Path::new(STORE).join(name), Vec::new()));
            continue;
        }
        let code = line.split('#').next().unwrap();
        let digits: Vec<u8> = code.bytes().filter(u8::is_ascii_hexdigit).collect();
        for pair in digits.chunks(2) {
            let byte = u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
            files.last_mut().unwrap().1.push(byte);
        }
    }
    files
}

fn format_1() -> Vec<(PathBuf, Vec<u8>)> {
    fixture(include_str!("golden/toy-1.hex"))
}

fn format_2() -> Vec<(PathBuf, Vec<u8>)> {
    fixture(include_str!("golden/toy-2.hex"))
}

/// Format 2 in the framing that is written now; the others are in framing 1.
fn framing_2() -> Vec<(PathBuf, Vec<u8>)> {
    fixture(include_str!("golden/toy-2-framing-2.hex"))
}

fn disk_with(files: &[(PathBuf, Vec<u8>)]) -> SimFs {
    let disk = SimFs::new();
    disk.create_dir(Path::new(STORE)).unwrap();
    for (path, bytes) in files {
        disk.set_contents(path, bytes.clone());
    }
    disk.duplicate()
}

fn assert_same(disk: &SimFs, files: &[(PathBuf, Vec<u8>)]) {
    for (path, expected) in files {
        let written = disk.contents(path).unwrap();
        let hex: Vec<String> = written.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(written == *expected, "{}: {}", path.display(), hex.join(" "));
    }
}

#[test]
fn the_format_is_what_the_fixtures_say() {
    let disk = SimFs::new();
    let manifest = Manifest::<Toy>::create(&store(&disk), ID).unwrap();
    manifest.append(&Edit::Require(SHINY)).unwrap();
    drop(manifest);
    let manifest = reopen(&disk).unwrap();
    manifest.append_all(&[add(300), Edit::Note("hi".into())]).unwrap();
    manifest.append(&add(7)).unwrap();
    assert_same(&disk, &framing_2());
}

#[test]
fn format_2_in_framing_1_is_read_and_written_anew_by_the_next_opening() {
    let disk = disk_with(&format_2());
    let loaded = Manifest::<Toy>::read(&store(&disk)).unwrap();
    assert_eq!((loaded.state().files.len(), &*loaded.state().note), (1, "hi"));
    assert_eq!(loaded.stamp(), Stamp { open_epoch: 2, edit_number: 3 });
    drop(loaded);
    reopen(&disk).unwrap().append_all(&[add(8), add(9)]).unwrap();
    assert_eq!(disk.contents(&Path::new(STORE).join("CURRENT")).unwrap()[7], 2);
    assert_eq!(reopen(&disk).unwrap().state().files.len(), 3);
}

#[test]
fn format_1_is_read_without_a_touch_and_migrated_by_the_next_opening() {
    let disk = disk_with(&format_1());
    let dir = store(&disk);
    let locked = disk.ops();
    let found = Manifest::<Toy>::read(&dir).unwrap();
    assert_eq!(found.state().files, [(1, 10), (300, 3000)].into());
    assert_eq!(found.stamp(), Stamp { open_epoch: 2, edit_number: 2 });
    assert_eq!(disk.ops(), locked);
    drop((found, dir));
    let manifest = reopen(&disk).unwrap();
    manifest.append(&Edit::Note("format 2 has notes".into())).unwrap();
    assert_eq!(manifest.stamp(), Stamp { open_epoch: 3, edit_number: 3 });
    assert!(disk.contents(&Path::new(STORE).join("MANIFEST-000002")).is_none());
    drop(manifest);
    let refused = Manifest::<OldToy>::read(&store(&disk)).unwrap_err();
    assert!(refused.to_string().contains("format 2"));
    assert_eq!(reopen(&disk).unwrap().state().note, "format 2 has notes");
}

#[test]
fn a_crash_anywhere_in_a_migration_leaves_one_format_or_the_other() {
    let disk = disk_with(&format_1());
    let expected = reopen(&disk).unwrap().state();
    let mut sweep = disk.sweep();
    while let Some(point) = sweep.next_point() {
        for variant in sweep.all_variants(16) {
            let told = sweep.explain(&variant);
            let image = sweep.image(&variant);
            let manifest = reopen(&image).unwrap();
            assert_eq!(manifest.state(), expected, "{point}, {told}");
            assert!(manifest.open_epoch() > 2, "{point}, {told}");
        }
    }
}

#[test]
fn damage_to_an_old_format_is_noticed_like_damage_to_the_new_one() {
    let files = format_1();
    let whole = Manifest::<Toy>::read(&store(&disk_with(&files))).unwrap();
    let (state, stamp) = (whole.state().clone(), whole.stamp());
    for (path, bytes) in &files {
        for at in 0..bytes.len() {
            let disk = disk_with(&files);
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x20;
            disk.set_contents(path, flipped);
            let found = Manifest::<Toy>::read(&store(&disk));
            let checked = found.and_then(|found| found.check_seen(stamp).map(|()| found));
            if let Ok(found) = checked {
                assert_eq!(*found.state(), state, "{} {at}", path.display());
            }
        }
    }
}

#[test]
fn the_example_reads_as_json() {
    let dump = Manifest::<Toy>::dump(&store(&disk_with(&framing_2()))).unwrap();
    assert_eq!(dump["engine"], "toy");
    assert_eq!(dump["store_id"], ID.to_string());
    assert_eq!(dump["records"][0]["required_features"], SHINY);
    assert_eq!(dump["records"][2]["content"][0], Toy::edit_to_json(&add(300)));
    assert_eq!(dump["records"][2]["kind"], "edits");
    assert_eq!(dump["records"][3]["content"], Toy::edit_to_json(&add(7)));
    assert_eq!(dump["records"][3]["edit_number"], 4);
    assert_eq!(dump["tail"], "whole");
}
