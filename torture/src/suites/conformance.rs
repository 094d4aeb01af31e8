//! Scripted stories of the contract.
//!
//! Each story is one promise of the `kv` crate: a limit, the atomicity of a batch, a move of a cursor, a close. The stories
//! run on the simulated disk, and on the real one with real threads, with every option set. An engine must refuse an
//! operation that it does not support before it writes anything. An operation that it claims to support must work.

use kv::{Durability, Kv};

use crate::line::Line;
use crate::opening::without_panic;
use crate::report::{Failure, Report};
use crate::subject::{Opened, Subject};
use crate::suite::{Replayed, Suite};
use crate::world::{Disk, World};

mod batches;
mod cursors;
mod entries;
mod lifecycle;

/// The entry of this suite in the registry.
pub const SUITE: Suite = Suite {
    name: "conformance",
    run: |subject| run(subject),
    soaks: &[],
    is_repeatable: true,
    replay,
};

/// The result of a story. `Err` names the broken promise.
type Told = Result<(), String>;

/// A story and its name for the replay line.
type Story = (&'static str, fn(&mut Stage<'_>) -> Told);

/// Fails the story with a message unless something holds.
macro_rules! ensure {
    ($holds:expr, $($message:tt)+) => {
        if !$holds {
            return Err(format!($($message)+));
        }
    };
}
use ensure;

fn stories() -> impl Iterator<Item = Story> {
    [entries::STORIES, batches::STORIES, cursors::STORIES, lifecycle::STORIES]
        .into_iter()
        .flatten()
        .copied()
}

/// Tells all stories of `subject`, on both disks.
///
/// # Errors
/// The first story that came out differently.
pub fn run(subject: &dyn Subject) -> Result<Report, Failure> {
    let mut report = Report::default();
    for disk in [Disk::Simulated, Disk::Real] {
        for option_set in 0..subject.option_sets() {
            for story in stories() {
                tell(subject, option_set, disk, story, &mut report)?;
            }
        }
    }
    Ok(report)
}

fn replay(subject: &dyn Subject, line: &Line) -> Replayed {
    let wanted: String = line.get("story")?;
    let story = stories().find(|(name, _)| *name == wanted);
    let story = story.ok_or_else(|| format!("no story is called {wanted}"))?;
    let mut report = Report::default();
    Ok(tell(subject, line.get("options")?, line.get("disk")?, story, &mut report).map(|()| report))
}

fn tell(
    subject: &dyn Subject,
    option_set: usize,
    disk: Disk,
    (name, story): Story,
    report: &mut Report,
) -> Result<(), Failure> {
    report.states += 1;
    let told = without_panic(|| story(&mut Stage::new(subject, option_set, disk)?));
    told.map_err(|what| {
        let line = Line::new("conformance", subject.name()).with("options", option_set);
        let replay = line.with("disk", disk).with("story", name).to_string();
        Failure { what: format!("{name}: {what}"), replay, report: *report }
    })
}

/// Where a story plays: an engine, open on an empty store at first.
struct Stage<'s> {
    subject: &'s dyn Subject,
    option_set: usize,
    world: World,
    opened: Option<Opened>,
}

impl<'s> Stage<'s> {
    fn new(subject: &'s dyn Subject, option_set: usize, disk: Disk) -> Result<Self, String> {
        let mut world = disk.world(7)?;
        if disk == Disk::Real {
            world.start_threads();
        }
        let mut stage = Self { subject, option_set, world, opened: None };
        stage.open()?;
        Ok(stage)
    }

    fn open(&mut self) -> Told {
        self.opened = Some(self.try_open().map_err(|e| format!("open failed: {e}"))?);
        Ok(())
    }

    fn try_open(&self) -> kv::Result<Opened> {
        self.subject.open(&self.world.env, &self.world.dir, self.option_set)
    }

    /// Drops the handle, as a dying process would.
    fn kill(&mut self) {
        self.opened = None;
        self.world.next_life();
        if self.world.is_real() {
            self.world.start_threads();
        }
    }

    fn reopen(&mut self) -> Told {
        done("close", self.engine().close())?;
        self.kill();
        self.open()
    }

    fn opened(&self) -> &Opened {
        self.opened.as_ref().expect("the story has the engine open")
    }

    fn engine(&self) -> &dyn Kv {
        self.opened().engine()
    }

    /// Whether anything outlives the process.
    fn is_persistent(&self) -> bool {
        self.engine().capabilities().durability > Durability::None
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Told {
        done("put", self.engine().put(key, value, Durability::Buffered))
    }

    fn expect(&self, key: &[u8], value: Option<&[u8]>) -> Told {
        let found = self.engine().get(key).map_err(|e| format!("get failed: {e}"))?;
        let shown = key[..key.len().min(20)].escape_ascii();
        ensure!(
            found.as_deref() == value,
            "key \"{shown}\" has {:?} bytes instead of {:?}",
            found.as_ref().map(kv::Bytes::len),
            value.map(<[u8]>::len)
        );
        Ok(())
    }
}

/// The call must succeed.
fn done<T>(call: &str, answer: kv::Result<T>) -> Told {
    answer.map(drop).map_err(|error| format!("{call} failed: {error}"))
}

/// The call must be refused in the way that `expected` recognises.
fn refused<T>(
    call: &str,
    answer: kv::Result<T>,
    name: &str,
    expected: fn(&kv::Error) -> bool,
) -> Told {
    match answer {
        Err(error) if expected(&error) => Ok(()),
        Err(error) => Err(format!("{call} should fail with {name} and failed with: {error}")),
        Ok(_) => Err(format!("{call} should fail with {name} and succeeded")),
    }
}
