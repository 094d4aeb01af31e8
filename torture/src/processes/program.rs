//! The test program as a child process of itself.

use std::path::PathBuf;

use super::child;
use super::config::{CONFIG, JOURNAL, ProcessConfig, STORE};
use super::journal::{Event, Journal};
use crate::line::Line;
use crate::opening::without_panic;
use crate::subject::Subject;

/// The test program, which a suite starts again as a child process.
///
/// ```no_run
/// # use torture::{Program, kill, toy::ToySubject};
/// const PROGRAM: Program = Program { test: "child", subject: |_| Box::new(ToySubject::default()) };
///
/// #[test]
/// fn child() {
///     PROGRAM.run_child().unwrap();
/// }
///
/// #[test]
/// fn the_toy_survives_being_killed() {
///     kill::run(&PROGRAM, "toy", &kill::Options::default()).unwrap();
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// The full name of the test that calls [`Program::run_child`] and does nothing else.
    pub test: &'static str,
    /// Returns the subject for the word that the suite was given.
    pub subject: fn(&str) -> Box<dyn Subject>,
}

impl Program {
    /// The child's side. Returns at once in a process that no suite has started.
    ///
    /// # Errors
    /// The environment or the journal cannot be read. Failures of the engine go to the journal instead.
    pub fn run_child(&self) -> Result<(), String> {
        let Ok(line) = std::env::var(CONFIG) else { return Ok(()) };
        let line: Line = line.parse()?;
        let path = |name| std::env::var_os(name).ok_or_else(|| format!("{name} is not set"));
        let config = ProcessConfig::parse(&line, path(STORE)?.into())?;
        let journal = Journal::append_to(&PathBuf::from(path(JOURNAL)?))?;
        let subject = (self.subject)(&line.get::<String>("subject")?);
        let ran = without_panic(|| child::run(&*subject, &config, &journal));
        journal.tell(&ran.map_or_else(Event::Failed, |()| Event::End))
    }
}
