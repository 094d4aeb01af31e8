//! A real file system whose power is cut.
//!
//! The invariant: every write that was acknowledged as [`kv::Durability::Sync`] is there, and a prefix of the rest, in whole
//! batches.
//!
//! 1. The store lies on an ext4 in an image file, mounted through a loop device. A child process writes to it.
//! 2. At a random moment the file system is shut down without a flush of its journal (`FS_IOC_SHUTDOWN`). From then on nothing
//!    reaches the image, every sync fails, and all data that was only in the page cache is gone.
//! 3. The child is killed, and the file system is unmounted and mounted again, which replays its journal.
//! 4. The next child opens the store, and its power is cut in turn.
//!
//! A call in flight at the cut may return as if nothing had happened: a sync that overlaps with the shutdown can return
//! without an error and without having synced. So an acknowledgement after the cut was asked for is no promise.
//!
//! The suite needs root, loop devices, `mkfs.ext4`, and Perl or Python to make the call. If one is missing, [`run`] says which.
//!
//! The image keeps all data from before the cut, in any order. Disks that lose or reorder writes between two flushes are
//! simulated by [`crate::crash`].

use std::path::PathBuf;

use kv::Durability;

use super::journal::Event;
use super::judgement::Judge;
use super::lives::{Children, Failed, Lives, MortalStore};
use super::parent::Moment;
use super::program::Program;
use crate::report::{Failure, Outcome, Report};
use crate::shard::Shard;

mod disk;

use disk::Disk;

/// The amount of work.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The content of the writes follows from it; their timing does not.
    pub seed: u64,
    /// Power cuts, with all option sets in turn.
    pub cuts: u32,
    /// After so many cuts a new disk is made.
    pub cuts_of_a_disk: u16,
    /// Threads that write.
    pub writers: u8,
    /// Batches of each writer before the store is closed, or dropped, and opened again.
    pub batches: u32,
    /// Whether the disk image of a failure stays.
    pub keeps_files: bool,
    /// The part of the disks to work on.
    pub shard: Shard,
    /// Called after each disk with everything visited so far.
    pub progress: fn(&str),
}

impl Default for Options {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Options {
    /// The form that runs with every change.
    pub const DEFAULT: Self = Self {
        seed: 1,
        cuts: 8,
        cuts_of_a_disk: 8,
        writers: 3,
        batches: 30,
        keeps_files: false,
        shard: Shard::ALL,
        progress: |_| (),
    };

    /// Two hundred cuts.
    pub fn soak() -> Self {
        Self { cuts: 200, cuts_of_a_disk: 20, keeps_files: true, ..Self::DEFAULT }
    }
}

/// Cuts the power of the subject that `word` means in `program`.
///
/// # Errors
/// The first broken invariant.
pub fn run(program: &Program, word: &str, options: &Options) -> Result<Outcome, Failure> {
    if let Err(missing) = disk::try_out() {
        return Ok(Outcome::Skipped(missing));
    }
    let lives = Lives {
        suite: "power",
        unit: "cut",
        seed: options.seed,
        total: options.cuts,
        of_a_store: options.cuts_of_a_disk,
        shard: options.shard,
        progress: options.progress,
    };
    let lived = lives.run(word, |seed, cuts| {
        let store = Store::new(program, word, seed, (options.writers, options.batches))?;
        store.live(cuts, options.keeps_files)
    });
    lived.map(Outcome::Passed)
}

/// A store on a disk of its own, and its children.
struct Store<'p> {
    disk: Disk,
    children: Children<'p>,
    /// Usually one. There are two after a cut at the end of an opening: the content of that opening may be durable, or
    /// not yet. At least one of them must accept the events that follow.
    judges: Vec<Judge>,
}

impl<'p> Store<'p> {
    /// `load`: writers, and batches of each.
    fn new(
        program: &'p Program,
        word: &'p str,
        seed: u64,
        load: (u8, u32),
    ) -> Result<Self, Failed> {
        let disk = Disk::make().map_err(|what| (what, Report::default()))?;
        let places = (disk.root().join("store"), disk.beside());
        let children = Children::new((program, word), places, seed, load);
        Ok(Self { disk, children, judges: vec![Judge::new(seed, load.0)] })
    }

    fn observe(&mut self, told: &[Event]) -> Result<(), String> {
        keep_content(&mut self.judges, |judge| judge.observe(told))?;
        assert!(!self.judges.is_empty(), "somebody judges the store");
        // Judges that have observed an opening agree from then on.
        if told.iter().any(Event::ends_an_opening) {
            self.judges.truncate(1);
        }
        Ok(())
    }

    /// Observes the events during the power cut.
    fn observe_late(&mut self, told: &[Event]) -> Result<(), String> {
        let mut as_before = Vec::new();
        if let Some(opened) = told.iter().position(Event::ends_an_opening) {
            as_before.clone_from(&self.judges);
            keep_content(&mut as_before, |judge| judge.observe_late(&told[..opened]))?;
        }
        keep_content(&mut self.judges, |judge| judge.observe_late(told))?;
        self.judges.append(&mut as_before);
        Ok(())
    }
}

impl MortalStore for Store<'_> {
    /// Cuts the power at a random moment, kills the child, and restarts the disk.
    fn end_a_child(&mut self) -> Result<(), String> {
        let random = self.children.random();
        let switch = self.disk.switch()?;
        let mut running = self.children.start()?;
        running.wait_until(Moment::any(&random))?;
        let before = running.told()?.len();
        switch.cut()?;
        let told = running.kill()?;
        self.disk.restart()?;
        assert!(before <= told.len(), "a journal only grows");
        let (before, during) = told.split_at(before);
        self.observe(before)?;
        // On a disk without power each call may fail, so these failures are not judged. A panic is.
        let during = during.iter().filter(|event| !event.tells_of_a_failed_call());
        self.observe_late(&during.cloned().collect::<Vec<_>>())?;
        self.judges.iter_mut().for_each(|judge| judge.record_crash(Durability::Sync));
        Ok(())
    }

    fn look(&mut self) -> Result<(), String> {
        let told = self.children.start_to_look()?.finish()?;
        self.observe(&told)
    }

    fn report(&self) -> Report {
        self.judges.first().map(|judge| judge.report).unwrap_or_default()
    }

    fn keep_files(mut self) -> PathBuf {
        self.disk.keep()
    }
}

/// Drops the judges that find a failure. `Err`: all of them do; one of their failures.
fn keep_content(
    judges: &mut Vec<Judge>,
    mut observe: impl FnMut(&mut Judge) -> Result<(), String>,
) -> Result<(), String> {
    let mut refused = Ok(());
    let mut content = Vec::new();
    for judge in &mut *judges {
        match observe(judge) {
            Ok(()) => content.push(judge.clone()),
            what => refused = what,
        }
    }
    if content.is_empty() {
        return refused;
    }
    assert!(content.len() <= judges.len(), "judges are only dropped");
    *judges = content;
    Ok(())
}
