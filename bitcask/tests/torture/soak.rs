//! The long form of each suite. Nothing runs unless it is asked for by name.
//!
//! ```text
//! cargo test --release -p bitcask --test torture soak_damage -- --ignored --nocapture
//! SOAK_SHARD=3/16 cargo test --release -p bitcask --test torture soak_crash_sequences -- --ignored --nocapture
//! ```
//!
//! The second command runs the third of sixteen parts. Results are recorded in `results/soaks.md`.

use std::io::Write as _;

use torture::soak::{run, shard_of_environment, soaks};

use crate::subject::BitcaskSubject;

fn say(line: &str) {
    let written = std::io::stderr().write_all(format!("{line}\n").as_bytes());
    written.unwrap_or_else(|error| panic!("standard error: {error}"));
}

fn soak(name: &str) {
    let shard = shard_of_environment().unwrap_or_else(|what| panic!("{what}"));
    let summary = run(&BitcaskSubject::default(), name, shard, &say);
    say(&summary.unwrap_or_else(|failure| panic!("{failure}")).to_string());
}

/// Defines one ignored test for each soak.
macro_rules! soak_tests {
    ($($test:ident = $name:literal,)+) => {
        const NAMES: &[&str] = &[$($name),+];
        $(
            #[test]
            #[ignore = "soak: takes minutes to hours; results/soaks.md has the command"]
            fn $test() {
                soak($name);
            }
        )+
    };
}

soak_tests! {
    soak_histories = "histories",
    soak_visibility = "visibility",
    soak_faults = "faults",
    soak_full_disk = "full-disk",
    soak_crash_sequences = "crash-sequences",
    soak_crash_scripts = "crash-scripts",
    soak_crash_second = "crash-second",
    soak_damage = "damage",
    soak_strays = "strays",
    soak_simulation = "simulation",
    soak_threads = "threads",
}

#[test]
fn every_soak_of_the_registry_has_a_test() {
    let registered: Vec<&str> = soaks().map(|soak| soak.name).collect();
    assert_eq!(NAMES, registered);
}
