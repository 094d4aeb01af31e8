//! The registry of the suites that run on a simulated disk or with real threads in one process.
//!
//! A new suite is one module with a constant `SUITE`, and its two lines here.

use crate::suite::Suite;

pub mod conformance;
pub mod crash;
pub mod damage;
pub mod faults;
pub mod full_disk;
pub mod histories;
pub mod simulation;
pub mod strays;
pub mod threads;
pub mod visibility;

/// All suites, the quick ones first.
pub const SUITES: [Suite; 10] = [
    conformance::SUITE,
    histories::SUITE,
    visibility::SUITE,
    faults::SUITE,
    full_disk::SUITE,
    crash::SUITE,
    damage::SUITE,
    strays::SUITE,
    simulation::SUITE,
    threads::SUITE,
];

/// The suite called `name`.
pub fn suite_called(name: &str) -> Option<&'static Suite> {
    static REGISTRY: &[Suite] = &SUITES;
    REGISTRY.iter().find(|suite| suite.name == name)
}
