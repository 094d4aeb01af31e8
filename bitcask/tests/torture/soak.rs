//! The suites with the effort of an hour.
//!
//! ```text
//! cargo test --release -p bitcask --test torture -- --ignored
//! ```

use torture::{crash, damage, faults, histories, simulation, threads};

use crate::subject::BitcaskSubject;

#[expect(clippy::print_stdout, reason = "a soak says how much it has visited")]
fn passes(outcome: Result<torture::Report, torture::Failure>) {
    println!("{}", outcome.unwrap_or_else(|failure| panic!("{failure}")));
}

#[test]
#[ignore = "soak: crashes of sequences of five calls"]
fn soak_crashes() {
    passes(crash::run(&BitcaskSubject::default(), &crash::Options::soak()));
}

#[test]
#[ignore = "soak: a second crash at each call of each recovery"]
fn soak_second_crashes() {
    passes(crash::run(&BitcaskSubject::default(), &crash::Options::soak_of_second_crashes()));
}

#[test]
#[ignore = "soak: failing calls in many scripts"]
fn soak_failing_calls() {
    passes(faults::run(&BitcaskSubject::default(), &faults::Options::soak()));
}

#[test]
#[ignore = "soak: every bit of every file"]
fn soak_damage() {
    passes(damage::run(&BitcaskSubject::default(), &damage::Options::soak()));
}

#[test]
#[ignore = "soak: long histories, lives and threads"]
fn soak_histories_lives_and_threads() {
    passes(histories::run(&BitcaskSubject::default(), &histories::Options::soak()));
    passes(simulation::run(&BitcaskSubject::default(), &simulation::Options::soak()));
    passes(threads::run(&BitcaskSubject::default(), &threads::Options::soak()));
}
