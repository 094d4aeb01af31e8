//! The planted bugs of an engine as a list.

use std::collections::BTreeSet;

use durable::OpKind;

use super::{Planted, must_find};
use crate::subject::Subject;
use crate::suite::Suite;
use crate::suites::{crash, suite_called};

/// One mistake in a list. `S` is how the engine names a wrong step, for example a step of `durable::steps` with its fate.
#[derive(Clone, Copy, Debug)]
pub struct Mistake<S> {
    /// Its name.
    pub name: &'static str,
    /// The protocol of which a step is wrong.
    pub protocol: &'static str,
    wrong: Wrong<S>,
    /// The suite that finds it after the fewest states. Of several suites, joined by `+`, one finds it. `crash-scripts` is
    /// the second half of the suite `crash`: its random scripts, not shortened.
    pub found_by: &'static str,
    /// The suite with real processes that finds it too, if one does.
    pub found_for_real_by: Option<RealSuite>,
}

/// A suite with real processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RealSuite {
    /// [`kill`](crate::kill).
    Kill,
    /// [`power`](crate::power).
    Power,
}

/// What is wrong.
#[derive(Clone, Copy, Debug)]
pub enum Wrong<S> {
    /// A step of the engine.
    Step(S),
    /// Calls of a kind that are left out, on paths that contain a text.
    Calls(OpKind, &'static str),
}

impl<S: Copy> Mistake<S> {
    /// A mistake of `protocol` that the suite called `found_by` must find.
    pub const fn new(
        found_by: &'static str,
        protocol: &'static str,
        name: &'static str,
        wrong: Wrong<S>,
    ) -> Self {
        Self { name, protocol, wrong, found_by, found_for_real_by: None }
    }

    /// The same mistake, which this suite must find too.
    pub const fn also_found_by(self, suite: RealSuite) -> Self {
        Self { found_for_real_by: Some(suite), ..self }
    }

    /// The engine that makes it. `subject` opens the engine with a wrong step, or without one.
    pub fn plant<T: Subject + 'static>(&self, subject: impl FnOnce(Option<S>) -> T) -> Planted {
        let (name, protocol) = (self.name, self.protocol);
        match self.wrong {
            Wrong::Step(step) => Planted::built(name, protocol, subject(Some(step))),
            Wrong::Calls(kind, path) => {
                Planted::skipping(name, protocol, subject(None), kind, path)
            }
        }
    }

    fn suites(&self) -> Result<Vec<Suite>, String> {
        self.found_by.split('+').map(suite).collect()
    }
}

fn suite(name: &str) -> Result<Suite, String> {
    if name == "crash-scripts" {
        return Ok(crash::SUITE.with_run(|subject| {
            let options = crash::Options { shortens: false, ..crash::Options::default() };
            crash::random(subject, &options)
        }));
    }
    suite_called(name).copied().ok_or_else(|| format!("no suite is called {name}"))
}

/// Plants each mistake of `protocol` and runs its suites: one of them must find it.
///
/// # Errors
/// As [`must_find`]; a suite that does not exist; a protocol without a mistake.
pub fn are_found<S: Copy, T: Subject + 'static>(
    mistakes: &[Mistake<S>],
    protocol: &str,
    subject: impl Fn(Option<S>) -> T,
) -> Result<(), String> {
    let planted = || mistakes.iter().filter(|mistake| mistake.protocol == protocol);
    if planted().count() == 0 {
        return Err(format!("no mistake of {protocol} is planted"));
    }
    planted()
        .try_for_each(|mistake| must_find(&mistake.plant(&subject), &mistake.suites()?).map(drop))
}

/// Checks that each mistake has a name of its own, suites that exist, and one of `protocols`.
///
/// # Errors
/// The first mistake that has not.
pub fn check_list<S: Copy>(mistakes: &[Mistake<S>], protocols: &[&str]) -> Result<(), String> {
    let mut names = BTreeSet::new();
    for mistake in mistakes {
        let name = mistake.name;
        if !names.insert(name) {
            return Err(format!("two mistakes are called {name}"));
        }
        if !protocols.contains(&mistake.protocol) {
            return Err(format!("{name}: nobody plants the mistakes of {}", mistake.protocol));
        }
        mistake.suites().map_err(|what| format!("{name}: {what}"))?;
    }
    Ok(())
}

/// Defines a test for the mistakes of each protocol in a list, and one for the list itself.
///
/// The list is a slice of [`Mistake`](crate::planted::Mistake). The subject is a function that opens the engine with a wrong
/// step, or without one.
#[macro_export]
macro_rules! tests_of_mistakes {
    ($mistakes:expr, $subject:expr, $($test:ident = $protocol:literal,)+) => {
        $(
            #[test]
            fn $test() {
                let found = $crate::planted::are_found($mistakes, $protocol, $subject);
                found.unwrap_or_else(|missed| panic!("{missed}"));
            }
        )+

        #[test]
        fn each_mistake_has_a_name_of_its_own_and_a_test() {
            let checked = $crate::planted::check_list($mistakes, &[$($protocol),+]);
            checked.unwrap_or_else(|wrong| panic!("{wrong}"));
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::{Bug, ToySubject};

    const MISTAKES: &[Mistake<Bug>] = &[
        Mistake::new("conformance", "opening", "numbers", Wrong::Step(Bug::NumbersRestart)),
        Mistake::new("crash", "append", "log-not-synced", Wrong::Calls(OpKind::SyncFile, ".log")),
        Mistake::new("strays", "full disk", "missed", Wrong::Step(Bug::FullDiskPoisons)),
    ];

    fn toy(bug: Option<Bug>) -> ToySubject {
        ToySubject { bug }
    }

    #[test]
    fn a_mistake_that_its_suite_misses_is_an_error() {
        are_found(MISTAKES, "opening", toy).unwrap();
        are_found(MISTAKES, "append", toy).unwrap();
        let missed = are_found(MISTAKES, "full disk", toy).unwrap_err();
        assert!(missed.contains("missed (full disk) was not found"), "{missed}");
        assert!(are_found(MISTAKES, "merging", toy).is_err(), "no mistake proves nothing");
    }

    #[test]
    fn a_list_has_names_suites_and_protocols() {
        check_list(MISTAKES, &["opening", "append", "full disk"]).unwrap();
        assert!(check_list(MISTAKES, &["opening", "append"]).is_err());
        assert!(check_list(&[MISTAKES[0], MISTAKES[0]], &["opening"]).is_err());
        let unknown = Mistake { found_by: "crash+luck", ..MISTAKES[0] };
        assert!(check_list(&[unknown], &["opening"]).unwrap_err().contains("luck"));
    }
}
