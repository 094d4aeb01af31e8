//! The engine passes every suite.

use torture::{conformance, histories};

use crate::subject::BitcaskSubject;

#[test]
fn it_keeps_the_contract() {
    let report = conformance::run(&BitcaskSubject::default()).unwrap_or_else(|e| panic!("{e}"));
    assert!(report.states > 0);
}

#[test]
fn it_agrees_with_a_map_through_random_histories() {
    let options = histories::Options::default();
    let report = histories::run(&BitcaskSubject::default(), &options);
    assert!(report.unwrap_or_else(|e| panic!("{e}")).states > 0);
}

#[test]
fn every_crash_leaves_what_was_synced_and_a_prefix_of_the_rest() {
    let options = torture::crash::Options::default();
    let report = torture::crash::run(&BitcaskSubject::default(), &options);
    assert!(report.unwrap_or_else(|e| panic!("{e}")).states > 0);
}

#[test]
fn every_failed_call_is_reported_and_loses_nothing() {
    let options = torture::faults::Options::default();
    let report = torture::faults::run(&BitcaskSubject::default(), &options);
    assert!(report.unwrap_or_else(|e| panic!("{e}")).states > 0);
}

#[test]
fn no_damage_is_taken_for_data() {
    let options = torture::damage::Options::default();
    let report = torture::damage::run(&BitcaskSubject::default(), &options);
    assert!(report.unwrap_or_else(|e| panic!("{e}")).states > 0);
}

#[test]
fn a_life_of_crashes_and_reopenings_agrees_with_the_model() {
    let options = torture::simulation::Options::default();
    let report = torture::simulation::run(&BitcaskSubject::default(), &options);
    assert!(report.unwrap_or_else(|e| panic!("{e}")).states > 0);
}

#[test]
fn threads_see_each_key_move_forward_only() {
    let options = torture::threads::Options::default();
    let report = torture::threads::run(&BitcaskSubject::default(), &options);
    assert!(report.unwrap_or_else(|e| panic!("{e}")).states > 0);
}

#[test]
fn what_a_reader_sees_of_a_synced_write_is_durable() {
    let options = torture::visibility::Options::default();
    let report = torture::visibility::run(&BitcaskSubject::default(), &options);
    let report = report.unwrap_or_else(|e| panic!("{e}"));
    assert!(report.states > 2_000, "{report}");
}

#[test]
fn stray_entries_of_every_kind_are_left_alone() {
    let options = torture::strays::Options::default();
    let report = torture::strays::run(&BitcaskSubject::default(), &options);
    assert!(report.unwrap_or_else(|e| panic!("{e}")).states > 100);
}

#[test]
fn a_full_disk_refuses_puts_and_is_left_by_deletes_and_merges() {
    let options = torture::full_disk::Options::default();
    let report = torture::full_disk::run(&BitcaskSubject::default(), &options);
    let report = report.unwrap_or_else(|e| panic!("{e}"));
    assert!(report.states > 1_000, "{report}");
}
