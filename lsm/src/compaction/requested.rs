//! Compactions that a caller asks for, beside those of the strategy.

use std::collections::BTreeSet;

use super::busy::Busy;
use super::file::{File, FileId, Key};
use super::plan::{Plan, Reason};
use super::reclaim;
use super::run::Place;
use super::tree::Tree;

/// The next compaction of the keys in `smallest..=largest`. At the end each of them is in one run at most. The files with such
/// keys then have neither tombstones nor hidden entries, unless a snapshot needs them.
///
/// Files that are not `meant` are left out. A caller that does not mean the files with nothing but later entries comes to an
/// end while others write.
///
/// It works on every tree, beside the plans of each strategy, and takes one file with its overlaps at a time. `None` means
/// that there is nothing left to do, or that plans in flight have the files.
///
/// # Panics
/// `smallest` is above `largest`.
pub fn pick_range<K: Key>(
    tree: &Tree<K>,
    busy: &Busy<K>,
    (smallest, largest): (&K, &K),
    meant: &dyn Fn(&File<K>) -> bool,
) -> Option<Plan<K>> {
    assert!(smallest <= largest, "a range has a first and a last key");
    let has_keys = |file: &File<K>| file.smallest <= *largest && *smallest <= file.largest;
    reclaim::pick_file(tree, busy, |place, file| {
        let is_asked_for = has_keys(file) && meant(file);
        let output = if is_asked_for { destination(tree, place, file) } else { None };
        output.map(|output| (output, Reason::Range))
    })
}

/// The next compaction of one of `files`, in which reads pass many tombstones or find nothing.
///
/// The file joins the next older run with its keys. If there is none, its dead and hidden entries go. Then its number is no
/// longer in the tree. `None` means that this would change nothing for any of the files, or that plans in flight have them.
pub fn pick_files<K: Key>(
    tree: &Tree<K>,
    busy: &Busy<K>,
    files: &BTreeSet<FileId>,
) -> Option<Plan<K>> {
    reclaim::pick_file(tree, busy, |place, file| {
        let is_asked_for = files.contains(&file.id);
        let output = if is_asked_for { destination(tree, place, file) } else { None };
        output.map(|output| (output, Reason::Reads))
    })
}

/// The next older place with keys of the file, or its own if that removes entries.
fn destination<K: Key>(tree: &Tree<K>, place: Place, file: &File<K>) -> Option<Place> {
    let obsolete = file.dead(tree.expiry_horizon()).saturating_add(file.reclaimable.hidden);
    let output = reclaim::next_older(tree, place, file);
    debug_assert!(output.is_none_or(|output| output > place), "the next older place is older");
    output.or_else(|| (obsolete > 0).then_some(place))
}
