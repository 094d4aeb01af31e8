//! The engine in a process that is killed, and on a file system whose power is cut.
//!
//! ```text
//! cargo test --release -p bitcask --test kill -- --ignored
//! ```
//! is a thousand kills, each call of a life, and two hundred power cuts.
#![cfg(not(shuttle))]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::Write as _;

use bitcask::planted::{Action, Step};
use durable::OpKind;
use torture::planted::Planted;
use torture::soak::{shard_of_environment, timed};
use torture::{Outcome, Program, Report, Subject, kill, power};

#[path = "../torture/subject.rs"]
mod subject;

use subject::BitcaskSubject;

const PROGRAM: Program = Program { test: "child", subject: subject_called };

const SOUND: &str = "bitcask";

/// Mistakes that killing a process must find.
const FOUND_BY_KILL: [(&str, &str, Step); 2] = [
    ("forgotten-record", "append", Step::LogRecords),
    ("numbers-start-over", "recovery", Step::ResumeNumbering),
];

/// Mistakes that power cuts must find.
const FOUND_BY_POWER: [(&str, &str, Step); 1] =
    [("early-acknowledgement", "group commit", Step::QueueUntilDurable)];

/// Calls left out that power cuts must find.
const SKIPPED: [(&str, &str, OpKind, &str); 2] = [
    ("data-not-synced", "group commit, sealing, recovery", OpKind::SyncFile, ".data"),
    ("manifest-not-synced", "beginning a file, sealing", OpKind::SyncFile, "MANIFEST"),
];

/// Far more than it takes to find a mistake, so that luck decides nothing.
const MANY_KILLS: kill::Options = kill::Options { lives: 200, ..kill::Options::DEFAULT };
const MANY_CUTS: power::Options =
    power::Options { cuts: 100, cuts_of_a_disk: 20, ..power::Options::DEFAULT };

fn subject_called(word: &str) -> Box<dyn Subject> {
    for (name, protocol, step) in FOUND_BY_KILL.into_iter().chain(FOUND_BY_POWER) {
        if name == word {
            let subject = BitcaskSubject { mistake: Some((step, Action::Skip)) };
            return Box::new(Planted::built(name, protocol, subject));
        }
    }
    for (name, step, kind, path) in SKIPPED {
        if name == word {
            let subject = BitcaskSubject::default();
            return Box::new(Planted::skipping(name, step, subject, kind, path));
        }
    }
    Box::new(BitcaskSubject::default())
}

/// Not captured, so that nobody takes what was skipped for what has passed.
fn notice(suite: &str, outcome: &Outcome) {
    say(&format!("{suite} {outcome}"));
}

fn say(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn say_progress(report: &Report) {
    say(&report.to_string());
}

fn killed(options: &kill::Options) -> Report {
    kill::run(&PROGRAM, SOUND, options).unwrap_or_else(|failure| panic!("{failure}"))
}

fn killed_at(calls: &kill::Calls) -> Outcome {
    kill::at_calls(&PROGRAM, SOUND, calls).unwrap_or_else(|failure| panic!("{failure}"))
}

fn cut_off(options: &power::Options) -> Outcome {
    power::run(&PROGRAM, SOUND, options).unwrap_or_else(|failure| panic!("{failure}"))
}

/// Is what the suites start; does nothing otherwise.
#[test]
fn child() {
    PROGRAM.run_child().unwrap();
}

#[test]
fn a_killed_process_has_handed_over_what_it_acknowledged() {
    let report = killed(&kill::Options::default());
    assert!(report.states > 10, "{report}");
}

#[test]
fn a_process_killed_at_any_call_leaves_whole_batches() {
    notice("killed at calls", &killed_at(&kill::Calls::default()));
}

#[test]
fn a_power_cut_leaves_what_was_synced_and_a_prefix_of_the_rest() {
    notice("power cuts", &cut_off(&power::Options::default()));
}

#[test]
fn mistakes_are_found_by_kills() {
    for (name, step, _) in FOUND_BY_KILL {
        let found = kill::run(&PROGRAM, name, &MANY_KILLS);
        assert!(found.is_err(), "{name} ({step}) was not found");
    }
}

#[test]
fn mistakes_are_found_by_power_cuts() {
    let mistakes = FOUND_BY_POWER.map(|(name, step, _)| (name, step));
    let skipped = SKIPPED.map(|(name, step, ..)| (name, step));
    for (name, step) in mistakes.into_iter().chain(skipped) {
        match power::run(&PROGRAM, name, &MANY_CUTS) {
            Ok(Outcome::Passed(report)) => panic!("{name} ({step}) was not found in {report}"),
            Ok(skipped) => notice("power cuts", &skipped),
            Err(_) => {}
        }
    }
}

#[test]
#[ignore = "soak: a thousand kills"]
fn soak_kills() {
    let shard = shard_of_environment().unwrap();
    let options = kill::Options { shard, progress: say_progress, ..kill::Options::soak() };
    say(&timed("kills", shard, || killed(&options)));
}

#[test]
#[ignore = "soak: killed at each call of a process"]
fn soak_kills_at_calls() {
    let shard = shard_of_environment().unwrap();
    let calls = kill::Calls { shard, progress: say_progress, ..kill::Calls::soak() };
    say(&timed("kills-at-calls", shard, || killed_at(&calls)));
}

#[test]
#[ignore = "soak: two hundred power cuts"]
fn soak_power_cuts() {
    let shard = shard_of_environment().unwrap();
    let options = power::Options { shard, progress: say_progress, ..power::Options::soak() };
    say(&timed("power-cuts", shard, || cut_off(&options)));
}
