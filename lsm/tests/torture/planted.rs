//! Calls to the file system that are left out on purpose. Each mistake was written down before the suites ran against it, and
//! each must be found by the suite that is named beside it.

use durable::OpKind;
use torture::planted::{Planted, must_find};
use torture::suite_called;

use crate::subject::LsmSubject;

/// The suite that must find the mistake, its name, the calls that are left out, and a part of their paths.
type Mistake = (&'static str, &'static str, OpKind, &'static str);

fn is_found((suite, name, kind, path): Mistake) {
    let planted = Planted::skipping(name, "files", LsmSubject::default(), kind, path);
    let suite = *suite_called(suite).unwrap_or_else(|| panic!("no suite is called {suite}"));
    must_find(&planted, &[suite]).unwrap_or_else(|missed| panic!("{missed}"));
}

#[test]
fn a_log_that_is_not_synced_is_found() {
    is_found(("crash", "log-not-synced", OpKind::SyncFile, ".log"));
}

#[test]
fn a_table_that_is_not_synced_before_its_edit_is_found() {
    is_found(("crash", "table-not-synced", OpKind::SyncFile, ".table"));
}

#[test]
fn a_manifest_that_is_not_synced_is_found() {
    is_found(("crash", "manifest-not-synced", OpKind::SyncFile, "MANIFEST"));
}

#[test]
fn names_that_are_not_synced_are_found() {
    is_found(("crash", "names-not-synced", OpKind::SyncDir, "store"));
}

#[test]
fn claims_of_a_log_that_are_not_written_are_found() {
    is_found(("damage", "witness-not-written", OpKind::Write, ".log"));
}
