//! One line in, the same failure out.

use crate::line::Line;
use crate::report::{Failure, Report};
use crate::subject::Subject;
use crate::{conformance, crash, damage, faults, histories, simulation, threads};

/// Repeats what a [`Failure::replay`] line says, on `subject`.
///
/// # Errors
/// The failure, if it still happens; also when the line is none of ours.
pub fn replay(subject: &dyn Subject, line: &str) -> Result<Report, Failure> {
    let repeated = line.parse::<Line>().and_then(|line| match line.suite.as_str() {
        "conformance" => conformance::replay(subject, &line),
        "crash" => crash::replay(subject, &line),
        "damage" => damage::replay(subject, &line),
        "faults" => faults::replay(subject, &line),
        "histories" => histories::replay(subject, &line),
        "simulation" => simulation::replay(subject, &line),
        "threads" => threads::replay(subject, &line),
        "kill" | "power" => Err("processes take another course each time".into()),
        other => Err(format!("no suite is called {other}")),
    });
    repeated.unwrap_or_else(|what| {
        Err(Failure { what, replay: line.into(), report: Report::default() })
    })
}
