//! The engine in a process that is killed, and on a file system whose power is cut.
//!
//! ```text
//! cargo test --release -p bitcask --test kill -- --ignored
//! ```
//! is a thousand kills, one at every fourth call of a process, and two hundred power cuts.
#![cfg(not(shuttle))]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::Write as _;

use torture::planted::RealSuite;
use torture::soak::{shard_of_environment, timed};
use torture::{Outcome, Program, Report, Subject, kill, power};

#[path = "../torture/mistakes.rs"]
mod mistakes;
#[path = "../torture/subject.rs"]
mod subject;

use mistakes::{MISTAKES, Mistake};
use subject::BitcaskSubject;

const PROGRAM: Program = Program { test: "child", subject: subject_called };

const SOUND: &str = "bitcask";

/// Far more than it takes to find a mistake, so that luck decides nothing.
const MANY_KILLS: kill::Options = kill::Options { lives: 200, ..kill::Options::DEFAULT };
const MANY_CUTS: power::Options =
    power::Options { cuts: 100, cuts_of_a_disk: 20, ..power::Options::DEFAULT };

fn subject_called(word: &str) -> Box<dyn Subject> {
    match MISTAKES.iter().find(|mistake| mistake.name == word) {
        Some(mistake) => Box::new(mistake.plant(BitcaskSubject::with)),
        None => Box::new(BitcaskSubject::default()),
    }
}

/// The mistakes that this suite must find.
fn mistakes_for(suite: RealSuite) -> impl Iterator<Item = &'static Mistake> {
    MISTAKES.iter().filter(move |mistake| mistake.found_for_real_by == Some(suite))
}

fn describe(mistake: &Mistake) -> String {
    let Mistake { name, protocol, found_by, .. } = mistake;
    format!("{name} ({protocol}), which {found_by} finds,")
}

/// Not captured, so that nobody takes what was skipped for what has passed.
fn notice(suite: &str, outcome: &Outcome) {
    say(&format!("{suite} {outcome}"));
}

fn say(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
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
    for mistake in mistakes_for(RealSuite::Kill) {
        let found = kill::run(&PROGRAM, mistake.name, &MANY_KILLS);
        assert!(found.is_err(), "{} was not found", describe(mistake));
    }
}

#[test]
fn mistakes_are_found_by_power_cuts() {
    for mistake in mistakes_for(RealSuite::Power) {
        match power::run(&PROGRAM, mistake.name, &MANY_CUTS) {
            Ok(Outcome::Passed(report)) => {
                panic!("{} was not found in {report}", describe(mistake))
            }
            Ok(skipped) => notice("power cuts", &skipped),
            Err(_) => {}
        }
    }
}

#[test]
#[ignore = "soak: a thousand kills"]
fn soak_kills() {
    let shard = shard_of_environment().unwrap();
    let options = kill::Options { shard, progress: say, ..kill::Options::soak() };
    say(&timed("kills", shard, || Outcome::Passed(killed(&options))));
}

#[test]
#[ignore = "soak: killed at every fourth call of a process"]
fn soak_kills_at_calls() {
    let shard = shard_of_environment().unwrap();
    let calls = kill::Calls { shard, progress: say, ..kill::Calls::soak() };
    say(&timed("kills-at-calls", shard, || killed_at(&calls)));
}

#[test]
#[ignore = "soak: two hundred power cuts"]
fn soak_power_cuts() {
    let shard = shard_of_environment().unwrap();
    let options = power::Options { shard, progress: say, ..power::Options::soak() };
    say(&timed("power-cuts", shard, || cut_off(&options)));
}
