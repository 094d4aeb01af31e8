//! The engine passes every suite: with size-tiered compaction in full, with the others as seeded scripts.

use torture::{Failure, Report, conformance, histories};

use crate::subject::{LsmSubject, Strategy};

fn judge(report: Result<Report, Failure>, least_states: u64) {
    let report = report.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.states >= least_states, "{report}");
}

#[test]
fn it_keeps_the_contract() {
    judge(conformance::run(&LsmSubject::default()), 1);
}

#[test]
fn it_agrees_with_a_map_through_random_histories() {
    judge(histories::run(&LsmSubject::default(), &histories::Options::default()), 1);
}

#[test]
fn every_crash_leaves_what_was_synced_and_a_prefix_of_the_rest() {
    judge(torture::crash::run(&LsmSubject::default(), &torture::crash::Options::default()), 1);
}

#[test]
fn every_failed_call_is_reported_and_loses_nothing() {
    judge(torture::faults::run(&LsmSubject::default(), &torture::faults::Options::default()), 1);
}

#[test]
fn no_damage_is_taken_for_data() {
    judge(torture::damage::run(&LsmSubject::default(), &torture::damage::Options::default()), 1);
}

#[test]
fn a_life_of_crashes_and_reopenings_agrees_with_the_model() {
    judge(
        torture::simulation::run(&LsmSubject::default(), &torture::simulation::Options::default()),
        1,
    );
}

#[test]
fn threads_see_each_key_move_forward_only() {
    let subject = LsmSubject::with_large_memtables();
    judge(torture::threads::run(&subject, &torture::threads::Options::default()), 1);
}

#[test]
fn what_a_reader_sees_of_a_synced_write_is_durable() {
    judge(
        torture::visibility::run(&LsmSubject::default(), &torture::visibility::Options::default()),
        2_000,
    );
}

#[test]
fn stray_entries_of_every_kind_are_left_alone() {
    judge(torture::strays::run(&LsmSubject::default(), &torture::strays::Options::default()), 100);
}

#[test]
fn a_full_disk_refuses_writes_and_poisons_nothing() {
    judge(
        torture::full_disk::run(&LsmSubject::default(), &torture::full_disk::Options::default()),
        500,
    );
}

/// The suites that find most faults of an install, with few seeds.
fn passes_seeded_scripts(strategy: Strategy) {
    let subject = LsmSubject::compacting(strategy);
    judge(conformance::run(&subject), 1);
    judge(histories::run(&subject, &histories::Options::default()), 1);
    let crash = torture::crash::Options {
        scripts: 2,
        script_states: 1_500,
        ..torture::crash::Options::default()
    };
    judge(torture::crash::random(&subject, &crash), 500);
    judge(torture::simulation::run(&subject, &torture::simulation::Options::default()), 1);
}

#[test]
fn leveled_compaction_passes_seeded_scripts() {
    passes_seeded_scripts(Strategy::Leveled);
}

#[test]
fn lazy_leveled_compaction_passes_seeded_scripts() {
    passes_seeded_scripts(Strategy::LazyLeveled);
}
