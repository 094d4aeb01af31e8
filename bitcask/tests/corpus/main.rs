//! The corpus of every fuzz target, replayed without a fuzzer. The invariants are in the modules of `fuzz/src`.
#![cfg(not(shuttle))]
#![expect(clippy::disallowed_methods, reason = "the corpus is in real files")]

#[expect(unreachable_pub, reason = "it is a library where it is fuzzed")]
#[path = "../../../fuzz/src/lib.rs"]
mod targets;

use std::fs;
use std::panic::catch_unwind;
use std::path::PathBuf;

fn corpus_of(target: &str) -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder);
    let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a name").path()).collect();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.sort();
    files
}

#[test]
fn every_input_of_the_corpus_keeps_the_invariant_of_its_target() {
    for (name, target) in targets::TARGETS {
        for file in corpus_of(name) {
            let data = fs::read(&file).unwrap();
            let kept = catch_unwind(|| target(&data));
            assert!(kept.is_ok(), "{} breaks the invariant of {name}", file.display());
        }
    }
}

#[test]
fn no_input_at_all_is_an_input() {
    for (_, target) in targets::TARGETS {
        target(&[]);
    }
}

#[test]
fn the_folders_of_the_corpus_are_the_targets() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    let own = targets::TARGETS.iter().map(|(name, _)| *name);
    let mut targets: Vec<&str> = own.chain(targets::FOLDERS_OF_SSTABLE).collect();
    names.sort();
    targets.sort_unstable();
    assert_eq!(names, targets);
}
