//! The registry of the suites that run on a simulated disk or with real threads in one process.
//!
//! A new suite is one module with a constant `SUITE`. It has two lines here, and one line in the table of the crate's
//! documentation.
//!
//! The suites with real processes, [`kill`](crate::kill) and [`power`](crate::power), are not in the registry: they need a
//! [`Program`](crate::Program) besides a subject, and [`replay`](crate::replay()) refuses their lines.

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
pub const SUITES: &[Suite] = &[
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
    SUITES.iter().find(|suite| suite.name == name)
}
