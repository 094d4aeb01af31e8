//! What a crash leaves, under which variant.

use std::collections::BTreeSet;
use std::path::Path;

use durable::{CrashSweep, Fs, LockMode, MetadataModel, SimFs, Variant};

const MODELS: [MetadataModel; 2] = [MetadataModel::Strict, MetadataModel::Journalled];

pub(crate) fn path(name: &str) -> &Path {
    Path::new(name)
}

/// A disk with one durable file.
pub(crate) fn disk_with(name: &str, bytes: &[u8]) -> SimFs {
    let fs = SimFs::new();
    fs.set_contents(path(name), bytes.to_vec());
    fs
}

fn variant(text: &str) -> Variant {
    text.parse().unwrap()
}

/// What a crash at the end leaves.
pub(crate) fn at_end(fs: &SimFs, text: &str) -> SimFs {
    fs.crash(fs.ops(), &variant(text))
}

pub(crate) fn last_point(fs: &SimFs) -> CrashSweep {
    let mut sweep = fs.sweep();
    while sweep.next_point().is_some() {}
    sweep
}

/// The contents of `name` in all images at the end; `None` where it is missing.
pub(crate) fn outcomes(fs: &SimFs, model: MetadataModel, name: &str) -> BTreeSet<Option<Vec<u8>>> {
    let sweep = last_point(fs);
    let variants = sweep.variants(model, 200);
    variants.iter().map(|variant| sweep.image(variant).contents(path(name))).collect()
}

/// A file that is there, with these bytes.
#[expect(clippy::unnecessary_wraps, reason = "compared with files that may be missing")]
pub(crate) fn there(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(bytes.to_vec())
}

#[test]
fn an_unsynced_append_vanishes_and_a_synced_one_does_not() {
    let fs = SimFs::new();
    let log = fs.create_log(path("log"), 8).unwrap();
    fs.sync_dir(path("")).unwrap();
    log.append(0, b"ab").unwrap();
    log.sync().unwrap();
    log.append(2, b"cd").unwrap();
    assert_eq!(at_end(&fs, "none").contents(path("log")), there(b"ab\0\0\0\0\0\0"));
    assert_eq!(at_end(&fs, "all").contents(path("log")), there(b"abcd\0\0\0\0"));
    assert_eq!(at_end(&fs, "tear:1").contents(path("log")), there(b"abc\0\0\0\0\0"));
}

#[test]
fn the_space_of_a_log_may_be_lost_or_there_with_zeros() {
    let fs = SimFs::new();
    let log = fs.create_log(path("log"), 4).unwrap();
    fs.sync_dir(path("")).unwrap();
    let expected = [there(b""), there(b"\0\0\0\0")];
    assert_eq!(outcomes(&fs, MetadataModel::Strict, "log"), expected.into());
    log.sync().unwrap();
    let expected = [there(b"\0\0\0\0")];
    assert_eq!(outcomes(&fs, MetadataModel::Strict, "log"), expected.into());
}

#[test]
fn a_new_file_may_be_missing_empty_zeroed_torn_or_whole() {
    let fs = SimFs::new();
    fs.create(path("a")).unwrap().write_at(0, b"xy").unwrap();
    assert_eq!(at_end(&fs, "none").contents(path("a")), None);
    assert_eq!(at_end(&fs, "data-only").contents(path("a")), None);
    assert_eq!(at_end(&fs, "bare-names").contents(path("a")), there(b""));
    assert_eq!(at_end(&fs, "names-only").contents(path("a")), there(b"\0\0"));
    assert_eq!(at_end(&fs, "keep:0").contents(path("a")), there(b""));
    assert_eq!(at_end(&fs, "drop:1").contents(path("a")), there(b""));
    assert_eq!(at_end(&fs, "tear:1").contents(path("a")), there(b"x"));
    assert_eq!(at_end(&fs, "all").contents(path("a")), there(b"xy"));
}

#[test]
fn a_rename_of_a_synced_file_is_undone_without_a_directory_sync() {
    for model in MODELS {
        let fs = disk_with("a", b"old");
        let file = fs.create(path("a.tmp")).unwrap();
        file.write_at(0, b"new").unwrap();
        file.sync().unwrap();
        fs.rename(path("a.tmp"), path("a")).unwrap();
        let expected = [there(b"old"), there(b"new")];
        assert_eq!(outcomes(&fs, model, "a"), expected.into(), "old or new, never absent");
        fs.sync_dir(path("")).unwrap();
        assert_eq!(outcomes(&fs, model, "a"), [there(b"new")].into());
    }
}

#[test]
fn a_removed_file_is_back_until_the_directory_is_synced() {
    let fs = disk_with("a", b"1");
    fs.remove(path("a")).unwrap();
    fs.create(path("b")).unwrap();
    for model in MODELS {
        let lost = last_point(&fs).image(&Variant::RemovalsLost(model));
        assert_eq!(lost.contents(path("a")), there(b"1"));
        let b_survives = model == MetadataModel::Strict;
        assert_eq!(lost.contents(path("b")).is_some(), b_survives, "{model}");
    }
    fs.sync_dir(path("")).unwrap();
    assert_eq!(outcomes(&fs, MetadataModel::Strict, "a"), [None].into());
}

#[test]
fn strict_keeps_any_subset_of_names_and_journalled_a_prefix() {
    let fs = SimFs::new();
    for name in ["a", "b", "c"] {
        fs.create(path(name)).unwrap();
    }
    let sweep = last_point(&fs);
    let images = |model| -> BTreeSet<Vec<String>> {
        let names = |variant| {
            let files = sweep.image(variant).files().into_iter();
            files.map(|file| file.display().to_string()).collect()
        };
        sweep.variants(model, 100).iter().map(names).collect()
    };
    assert_eq!(images(MetadataModel::Strict).len(), 8);
    let prefixes = [&[][..], &["a"], &["a", "b"], &["a", "b", "c"]];
    let prefixes = prefixes.map(|names| names.iter().map(ToString::to_string).collect());
    assert_eq!(images(MetadataModel::Journalled), prefixes.into());
}

#[test]
fn a_journal_brings_the_name_of_a_synced_file_and_posix_does_not() {
    let fs = SimFs::new();
    fs.create(path("first")).unwrap();
    fs.create(path("synced")).unwrap().sync().unwrap();
    fs.create(path("last")).unwrap();
    assert_eq!(at_end(&fs, "strict/none").files().len(), 0);
    assert_eq!(at_end(&fs, "journalled/none").files(), [path("first"), path("synced")]);
}

#[test]
fn asking_for_a_directory_again_makes_removals_beside_it_durable() {
    let fs = disk_with("a", b"1");
    fs.create_dir(path("dir")).unwrap();
    fs.remove(path("a")).unwrap();
    let before = fs.ops();
    fs.create_dir(path("dir")).unwrap();
    assert_eq!(at_end(&fs, "none").contents(path("a")), None);
    fs.create_dir(path("dir")).unwrap();
    assert_eq!(fs.ops(), before + 1, "a sync without an effect is no crash point");
}

#[test]
fn an_image_is_a_disk_of_its_own() {
    let fs = disk_with("a", b"1");
    let _held = fs.lock(path("LOCK"), LockMode::Exclusive).unwrap();
    let file = fs.open_writable(path("a")).unwrap();
    file.write_at(0, b"2").unwrap();
    let image = at_end(&fs, "all");
    assert_eq!(image.ops(), 0);
    drop(image.lock(path("LOCK"), LockMode::Exclusive).unwrap());
    file.write_at(0, b"3").unwrap();
    image.open_writable(path("a")).unwrap().write_at(0, b"4").unwrap();
    assert_eq!(fs.contents(path("a")), there(b"3"));
    assert_eq!(image.contents(path("a")), there(b"4"));
    // A crash of the image starts from what the first crash left.
    assert_eq!(at_end(&image, "none").contents(path("a")), there(b"2"));
    assert_eq!(at_end(&fs, "none").contents(path("a")), there(b"1"));
}

#[test]
fn a_restart_keeps_what_was_not_synced_until_the_power_fails() {
    let fs = disk_with("a", b"1");
    fs.open_writable(path("a")).unwrap().write_at(0, b"2").unwrap();
    let restarted = fs.restarted();
    assert_eq!(restarted.contents(path("a")), there(b"2"));
    assert_eq!(restarted.ops(), 0);
    assert_eq!(at_end(&restarted, "none").contents(path("a")), there(b"1"));
    let explained = restarted.sweep().explain(&variant("drop:0"));
    assert_eq!(explained, "strict/drop:0: without an operation before the restart");
    restarted.open(path("a")).unwrap().sync().unwrap();
    assert_eq!(at_end(&restarted, "none").contents(path("a")), there(b"2"));
}

#[test]
fn a_link_shares_what_is_synced_but_needs_its_own_directory_sync() {
    let fs = disk_with("a", b"1");
    fs.create_dir(path("dir")).unwrap();
    fs.link(path("a"), path("dir/b")).unwrap();
    let file = fs.open_writable(path("a")).unwrap();
    file.write_at(0, b"2").unwrap();
    file.sync().unwrap();
    fs.sync_dir(path("")).unwrap();
    assert_eq!(at_end(&fs, "none").contents(path("dir/b")), None);
    fs.sync_dir(path("dir")).unwrap();
    assert_eq!(at_end(&fs, "none").contents(path("dir/b")), there(b"2"));
}

#[test]
fn a_rename_between_directories_loses_the_file_in_no_image() {
    for model in MODELS {
        let fs = disk_with("from/a", b"1");
        fs.create_dir(path("to")).unwrap();
        fs.rename(path("from/a"), path("to/a")).unwrap();
        for synced in ["to", "from"] {
            let sweep = last_point(&fs);
            for variant in sweep.variants(model, 50) {
                assert!(!sweep.image(&variant).files().is_empty(), "{variant}");
            }
            fs.sync_dir(path(synced)).unwrap();
        }
        let none = last_point(&fs).image(&Variant::None(model));
        assert_eq!(none.files(), [path("to/a")]);
    }
}

#[test]
fn a_lost_directory_takes_its_files_along() {
    let fs = SimFs::new();
    fs.create_dir(path("a/b")).unwrap();
    let image = fs.crash(1, &variant("none"));
    assert!(image.list(path("")).unwrap().is_empty());
    let image = fs.crash(2, &variant("none"));
    assert_eq!(image.list(path("")).unwrap().len(), 1);
    assert_eq!(fs.crash(4, &variant("none")).list(path("a")).unwrap().len(), 1);
}

#[test]
fn a_directory_whose_creator_was_killed_is_durable_once_it_was_asked_for_again() {
    for again in ["a/b", "a/b/c"] {
        let fs = SimFs::new();
        fs.create_dir(path("a/b")).unwrap();
        let created = (0..fs.ops()).position(|op| fs.op_name(op) == "create-dir a/b").unwrap();
        let mut sweep = fs.sweep();
        while sweep.next_point() != Some(created + 1) {}
        // The process was killed before it synced `a`, and the machine goes on.
        let restarted = sweep.restarted();
        restarted.create_dir(path(again)).unwrap();
        for model in MODELS {
            let image = last_point(&restarted).image(&Variant::None(model));
            assert_eq!(
                image.list(path("a/b")).map(|names| names.len()).ok(),
                Some(again.len() / 5)
            );
        }
    }
}

#[test]
fn a_lock_makes_no_name_durable() {
    let fs = SimFs::new();
    fs.create_dir(path("a")).unwrap();
    let restarted = fs.sweep().restarted();
    restarted.create_dir(path("b")).unwrap();
    drop(restarted.lock(path("b/LOCK"), LockMode::Exclusive).unwrap());
    assert!(at_end(&restarted, "none").files().is_empty());
    restarted.sync_dir(path("b")).unwrap();
    assert_eq!(at_end(&restarted, "none").files(), [path("b/LOCK")]);
    drop(restarted.lock(path("b/LOCK"), LockMode::Exclusive).unwrap());
    assert_eq!(restarted.op_name(restarted.ops() - 1), "sync-dir b", "the file is there already");
}

#[test]
fn no_two_variants_of_a_point_are_the_same_plain_image_twice() {
    let fs = disk_with("a", b"1");
    let mut sweep = last_point(&fs);
    assert_eq!(sweep.all_variants(50), [Variant::All]);
    fs.open_writable(path("a")).unwrap().write_at(0, b"2").unwrap();
    fs.create(path("b")).unwrap();
    sweep = last_point(&fs);
    let variants = sweep.all_variants(50);
    let image = |variant| {
        let image = sweep.image(variant);
        (image.contents(path("a")), image.contents(path("b")))
    };
    let images: BTreeSet<_> = variants.iter().map(image).collect();
    assert_eq!(images.len(), 4, "each of the two effects is there or not");
    assert_eq!(variants.len(), 4);
}

#[test]
fn a_sweep_and_a_replay_build_the_same_image() {
    let fs = SimFs::new();
    let log = fs.create_log(path("log"), 10_000).unwrap();
    for at in 0..10 {
        log.append(at * 1000, &[at as u8 + 1; 1000]).unwrap();
        if at % 3 == 0 {
            log.sync().unwrap();
        }
        fs.create(path(&format!("file-{at}"))).unwrap();
    }
    let mut sweep = fs.sweep();
    let mut points = 0;
    while let Some(point) = sweep.next_point() {
        points += 1;
        for variant in sweep.all_variants(5) {
            let text = variant.to_string();
            let replayed = fs.crash(point, &text.parse().unwrap());
            let image = sweep.image(&variant);
            assert_eq!(image.files(), replayed.files(), "{point} {text}");
            assert_eq!(image.contents(path("log")), replayed.contents(path("log")));
        }
    }
    assert_eq!(points, fs.ops() + 1);
}

#[test]
fn the_text_of_a_variant_reads_back() {
    for text in [
        "all",
        "names-only",
        "bare-names",
        "tear:512",
        "tear-head:512",
        "garble:7",
        "strict/none",
        "journalled/none",
        "strict/data-only",
        "journalled/drop:3",
        "strict/keep:2",
        "journalled/removals-lost",
        "strict/random:17",
    ] {
        assert_eq!(variant(text).to_string(), text);
    }
    assert_eq!(variant("drop:3"), variant("strict/drop:3"));
    for wrong in ["", "al", "drop", "drop:", "drop:x", "loose/none", "strict/", "none:1"] {
        assert!(wrong.parse::<Variant>().is_err(), "{wrong}");
    }
}

#[test]
fn a_variant_explains_itself_with_the_operation_it_is_about() {
    let fs = disk_with("a", b"1");
    fs.create(path("b")).unwrap();
    fs.open_writable(path("a")).unwrap().write_at(0, b"23").unwrap();
    let sweep = last_point(&fs);
    let explain = |text| sweep.explain(&variant(text));
    assert_eq!(explain("drop:0"), "strict/drop:0: without 0 (create b)");
    assert_eq!(explain("keep:1"), "strict/keep:1: only 1 (write a 0+2)");
    assert_eq!(explain("tear:1"), "tear:1: torn 1 (write a 0+2)");
    assert_eq!(explain("drop:9"), "strict/drop:9: without nothing");
}
