//! What the suites with real processes share: a child that writes, and a parent that ends it and judges.
//!
//! The child is this very program, started again and told to run one of its tests ([`Program`]). It opens the engine on
//! the real disk and writes from several threads, session after session, each closed or dropped in the end. What it is
//! about to do and what was acknowledged it appends to a journal, a file of plain lines beside the store; that file
//! survives the child, and a power cut too, because it lies on another file system. The parent reads it.
//!
//! Each value names the write that put it, and each batch follows from its name, so the journal need not tell what was
//! written. The first thing that each session tells is all that its opening found. The parent judges that against
//! everything that was told before, by the main theorem: there is one moment in the order of sequence numbers, not before
//! the last write that was promised to survive, such that the store holds all batches up to it, whole, and nothing else.
//! A child that dies while it opens tells nothing, and the next one has to answer for it.
//!
//! What the threads write follows from the seed. When they write it, and where they are cut off, does not: a failure is
//! not repeatable from a line, and has to be understood from what it leaves.

use std::path::PathBuf;

use crate::line::Line;
use crate::run::without_panic;
use crate::subject::Subject;

mod account;
mod child;
mod journal;
mod judgement;
mod order;
mod parent;
mod work;

pub(crate) use journal::Event;
pub(crate) use judgement::Judge;
pub(crate) use parent::{Moment, Running};

use journal::Journal;

/// What a child is to do: a line in its environment, and two paths, which may contain anything.
const LIFE: &str = "TORTURE_LIFE";
const STORE: &str = "TORTURE_STORE";
const JOURNAL: &str = "TORTURE_JOURNAL";

/// This program, as one that a suite can start again to have an engine in a process of its own.
///
/// ```no_run
/// # use torture::{Program, kill, toy::ToySubject};
/// const PROGRAM: Program = Program { test: "child", subject: |_| Box::new(ToySubject::default()) };
///
/// #[test]
/// fn child() {
///     PROGRAM.live().unwrap();
/// }
///
/// #[test]
/// fn the_toy_survives_being_killed() {
///     kill::run(&PROGRAM, "toy", &kill::Options::default()).unwrap();
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// The full name of the test that calls [`Program::live`] and does nothing else.
    pub test: &'static str,
    /// The subject that is meant by the word that a suite was given.
    pub subject: fn(&str) -> Box<dyn Subject>,
}

impl Program {
    /// The child's side. Does nothing in a process that was not started by a suite.
    ///
    /// # Errors
    /// What a suite asks for cannot be understood or told; what the engine does wrong is told to the suite.
    pub fn live(&self) -> Result<(), String> {
        let Ok(line) = std::env::var(LIFE) else { return Ok(()) };
        let line: Line = line.parse()?;
        let path = |name| std::env::var_os(name).ok_or_else(|| format!("{name} is not set"));
        let life = Life::parse(&line, path(STORE)?.into())?;
        let journal = Journal::append_to(&PathBuf::from(path(JOURNAL)?))?;
        let subject = (self.subject)(&line.get::<String>("subject")?);
        let lived = without_panic(|| child::live(&*subject, &life, &journal));
        journal.tell(&lived.map_or_else(Event::Failed, |()| Event::End))
    }
}

/// What one child does.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    /// Where the store is.
    pub(crate) store: PathBuf,
    /// What is written follows from it.
    pub(crate) seed: u64,
    /// Which life of the store this is.
    pub(crate) number: u16,
    pub(crate) option_set: usize,
    /// Threads that write.
    pub(crate) writers: u8,
    /// Batches of each writer in a session.
    pub(crate) batches: u32,
    /// Background threads of the engine. With none, everything is done in turn in one thread.
    pub(crate) background: usize,
    /// Sessions. With none the child only opens the store, tells what it found and closes it.
    pub(crate) sessions: u16,
}

/// Background threads where nothing else is asked for.
pub(crate) const BACKGROUND: usize = 2;

/// More sessions than any child lives to see.
pub(crate) const UNTIL_KILLED: u16 = u16::MAX;

impl Life {
    fn line(&self, word: &str) -> Line {
        let line = Line::new("life", word).with("seed", self.seed).with("number", self.number);
        let line = line.with("options", self.option_set).with("writers", self.writers);
        let line = line.with("batches", self.batches).with("background", self.background);
        line.with("sessions", self.sessions)
    }

    fn parse(line: &Line, store: PathBuf) -> Result<Self, String> {
        Ok(Self {
            store,
            seed: line.get("seed")?,
            number: line.get("number")?,
            option_set: line.get("options")?,
            writers: line.get("writers")?,
            batches: line.get("batches")?,
            background: line.get("background")?,
            sessions: line.get("sessions")?,
        })
    }
}
