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

use kv::Durability;

use super::config::{BACKGROUND, ProcessConfig, UNTIL_KILLED};
use super::journal::Event;
use super::judgement::Judge;
use super::parent::{Moment, Running};
use super::program::Program;
use crate::line::Line;
use crate::random::{Random, sub_seed};
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
    pub progress: fn(&Report),
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
    let mut report = Report::default();
    let mut number = 0;
    while number < options.cuts {
        let cuts = u32::from(options.cuts_of_a_disk).clamp(1, options.cuts - number);
        let first = number;
        number += cuts;
        if !options.shard.takes(u64::from(first / u32::from(options.cuts_of_a_disk.max(1)))) {
            continue;
        }
        let seed = sub_seed(options.seed, u64::from(first));
        let fail = |what: String, report: Report| {
            let line = Line::new("power", word).with("seed", options.seed).with("cut", first);
            Failure { what, replay: line.to_string(), report }
        };
        let store = Store::new(program, word, seed, options).map_err(|what| fail(what, report))?;
        report += store.live(cuts).map_err(|(what, lived)| fail(what, lived))?;
        (options.progress)(&report);
    }
    Ok(Outcome::Passed(report))
}

/// A store on a disk of its own, and who lives in it.
struct Store<'p> {
    program: &'p Program,
    word: &'p str,
    disk: Disk,
    config: ProcessConfig,
    /// Usually one. There are two after a cut at the end of an opening: the content of that opening may be durable, or
    /// not yet. One of them must be content.
    judges: Vec<Judge>,
    keeps_files: bool,
}

impl<'p> Store<'p> {
    fn new(
        program: &'p Program,
        word: &'p str,
        seed: u64,
        options: &Options,
    ) -> Result<Self, String> {
        let disk = Disk::make()?;
        let config = ProcessConfig {
            store: disk.root().join("store"),
            seed,
            number: 0,
            option_set: 0,
            writers: options.writers,
            batches: options.batches,
            background: BACKGROUND,
            sessions: UNTIL_KILLED,
        };
        let judges = vec![Judge::new(seed, options.writers)];
        Ok(Self { program, word, disk, config, judges, keeps_files: options.keeps_files })
    }

    /// Cuts the power `cuts` times, then opens the store a last time. `Err`: the failure, and the work before it.
    fn live(mut self, cuts: u32) -> Result<Report, (String, Report)> {
        let lived = (0..cuts).try_for_each(|_| self.be_cut_off()).and_then(|()| self.look());
        let report = self.report();
        let Err(mut what) = lived else { return Ok(report) };
        if self.keeps_files {
            what = format!("{what}\nthe disk is in {}", self.disk.keep().display());
        }
        Err((what, report))
    }

    fn be_cut_off(&mut self) -> Result<(), String> {
        let random = Random::new(sub_seed(!self.config.seed, u64::from(self.config.number)));
        let switch = self.disk.switch()?;
        let mut running = self.start(UNTIL_KILLED)?;
        running.wait_until(Moment::any(&random))?;
        let before = running.told()?.len();
        switch.cut()?;
        let told = running.kill()?;
        self.disk.restart()?;
        let (before, during) = told.split_at(before);
        self.observe(before)?;
        // Calls fail on a disk without power, and that is no fault of theirs. To panic is.
        let during = during.iter().filter(|event| !event.tells_of_a_failed_call());
        self.observe_late(&during.cloned().collect::<Vec<_>>())?;
        self.judges.iter_mut().for_each(|judge| judge.record_crash(Durability::Sync));
        Ok(())
    }

    fn observe(&mut self, told: &[Event]) -> Result<(), String> {
        keep_content(&mut self.judges, |judge| judge.observe(told))?;
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

    /// Opens the store a last time, and closes it.
    fn look(&mut self) -> Result<(), String> {
        let told = self.start(0)?.finish()?;
        self.observe(&told)
    }

    fn report(&self) -> Report {
        self.judges.first().map(|judge| judge.report).unwrap_or_default()
    }

    /// The next life, under another option set than the one before.
    fn start(&mut self, sessions: u16) -> Result<Running, String> {
        let option_sets = (self.program.subject)(self.word).option_sets();
        self.config.number += 1;
        self.config.option_set = self.config.number as usize % option_sets.max(1);
        self.config.sessions = sessions;
        let journal = self.disk.beside().join(format!("journal-{}", self.config.number));
        Running::start(self.program, self.word, &self.config, &journal, &[])
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
    *judges = content;
    Ok(())
}
