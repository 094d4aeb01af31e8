//! The suites with real processes, tried on the toy, sound and not. A suite of its own because it is started again, as
//! the process that is killed.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::Write as _;

use durable::OpKind;
use torture::planted::Planted;
use torture::toy::{Bug, ToySubject};
use torture::{Outcome, Program, Subject, kill, power};

const PROGRAM: Program = Program { test: "child", subject: subject_called };

const SOUND: &str = "toy";

/// Bugs that killing a process must find.
const FOUND_BY_KILL: [(&str, &str, Bug); 3] = [
    ("frames-held-back", "a buffered write is handed over before its answer", Bug::FramesHeldBack),
    ("last-operation-forgotten", "a batch is written whole", Bug::LastOperationForgotten),
    ("numbers-restart", "numbers go on after an opening", Bug::NumbersRestart),
];

/// Bugs that show only between two calls.
const FOUND_AT_CALLS: [(&str, &str, Bug); 2] = [
    ("batch-in-pieces", "a batch is one frame", Bug::BatchInPieces),
    ("old-log-removed-first", "CURRENT changes before the log goes", Bug::OldLogRemovedFirst),
];

/// Calls left out that only a power cut can find. A directory that is not synced is none of them: whatever syncs a file
/// of ext4 commits its names too.
const FOUND_BY_POWER: [(&str, &str, OpKind, &str); 1] =
    [("no-log-sync", "a synced write is durable before its answer", OpKind::SyncFile, ".log")];

/// Far more than it takes to find a mistake, so that luck decides nothing.
const MANY_KILLS: kill::Options = kill::Options { lives: 200, ..kill::Options::DEFAULT };
const MANY_CUTS: power::Options =
    power::Options { cuts: 100, cuts_of_a_disk: 20, ..power::Options::DEFAULT };

fn subject_called(word: &str) -> Box<dyn Subject> {
    let toy = ToySubject::default();
    for (name, step, bug) in FOUND_BY_KILL.into_iter().chain(FOUND_AT_CALLS) {
        if name == word {
            return Box::new(Planted::built(name, step, ToySubject { bug: Some(bug) }));
        }
    }
    for (name, step, kind, path) in FOUND_BY_POWER {
        if name == word {
            return Box::new(Planted::skipping(name, step, toy, kind, path));
        }
    }
    Box::new(toy)
}

/// Not captured, so that nobody takes what was skipped for what has passed.
fn notice(suite: &str, outcome: &Outcome) {
    std::io::stderr().write_all(format!("{suite} {outcome}\n").as_bytes()).unwrap();
}

/// Is what the suites start; does nothing otherwise.
#[test]
fn child() {
    PROGRAM.run_child().unwrap();
}

#[test]
fn the_toy_survives_being_killed() {
    let report = kill::run(&PROGRAM, SOUND, &kill::Options::default()).unwrap();
    assert!(report.states > 10, "{report}");
}

#[test]
fn the_toy_survives_being_killed_at_calls() {
    let outcome = kill::at_calls(&PROGRAM, SOUND, &kill::Calls::default()).unwrap();
    notice("killed at calls", &outcome);
}

#[test]
fn the_toy_survives_power_cuts() {
    let outcome = power::run(&PROGRAM, SOUND, &power::Options::default()).unwrap();
    notice("power cuts", &outcome);
}

#[test]
fn kills_find_what_is_still_in_the_memory_of_the_process() {
    for (name, step, _) in FOUND_BY_KILL {
        let found = kill::run(&PROGRAM, name, &MANY_KILLS);
        assert!(found.is_err(), "{name} ({step}) was not found");
    }
}

#[test]
fn kills_at_calls_find_what_is_wrong_between_two_calls() {
    let calls = kill::Calls { stride: 3, ..kill::Calls::default() };
    for (name, step, _) in FOUND_AT_CALLS {
        match kill::at_calls(&PROGRAM, name, &calls) {
            Ok(Outcome::Passed(report)) => panic!("{name} ({step}) was not found in {report}"),
            Ok(skipped) => notice("killed at calls", &skipped),
            Err(_) => {}
        }
    }
}

#[test]
fn power_cuts_find_what_is_not_synced() {
    for (name, step, ..) in FOUND_BY_POWER {
        match power::run(&PROGRAM, name, &MANY_CUTS) {
            Ok(Outcome::Passed(report)) => panic!("{name} ({step}) was not found in {report}"),
            Ok(skipped) => notice("power cuts", &skipped),
            Err(_) => {}
        }
    }
}
