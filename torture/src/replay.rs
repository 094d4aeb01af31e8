//! Repeats a failure from its line of text.

use crate::line::Line;
use crate::report::{Failure, Report};
use crate::subject::Subject;
use crate::suites;

/// Repeats the failure that a [`Failure::replay`] line describes, on `subject`.
///
/// # Errors
/// The failure, if it still happens; also if no suite wrote this line.
pub fn replay(subject: &dyn Subject, line: &str) -> Result<Report, Failure> {
    let repeated = line.parse::<Line>().and_then(|line| match line.suite.as_str() {
        "kill" | "power" => Err("a run of real processes cannot be repeated".into()),
        name => {
            let suite =
                suites::suite_called(name).ok_or_else(|| format!("no suite is called {name}"))?;
            (suite.replay)(subject, &line)
        }
    });
    repeated.unwrap_or_else(|what| {
        Err(Failure { what, replay: line.into(), report: Report::default() })
    })
}
