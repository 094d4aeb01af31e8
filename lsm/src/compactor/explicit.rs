//! Compactions that a caller waits for.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use kv::{Error, Result};

use super::pick::{Begun, Present};
use super::{Compactor, Schedule};
use crate::background::Task;
use crate::boundary::Boundary;
use crate::compaction::{Busy, FileId, Plan, pick_range};
use crate::table_file::TableFile;

/// A call that compacts in the thread of its caller.
struct Caller<'c> {
    compactor: &'c Compactor,
    /// The call has not panicked.
    has_returned: bool,
}

/// The keys of a range that a caller names, and the entries that are meant.
struct Asked<'k> {
    /// The first and the last key.
    keys: (&'k Boundary, &'k Boundary),
    /// Batches up to this number.
    newest: u64,
}

impl Compactor {
    /// Waits until the strategy finds nothing to do, also for an idle device, and nothing is in flight. The caller has flushed
    /// the memtables.
    ///
    /// # Errors
    /// Why a compaction has failed meanwhile; `Closed`; `Poisoned`.
    pub(crate) fn settle(&self) -> Result<()> {
        self.check_open()?;
        if self.threads == 0 {
            return Ok(());
        }
        let (rests, failures) = {
            let schedule = self.schedule.lock();
            (schedule.rests, schedule.failures)
        };
        // A look that is counted from now on has begun after the flush.
        self.parts.background.request(Task::PickCompaction);
        self.wait_for(&|schedule| schedule.rests > rests || schedule.failures > failures)?;
        let schedule = self.schedule.lock();
        match &schedule.last_failure {
            Some(failure) if schedule.failures > failures => Err(failure.clone()),
            _ if schedule.rests > rests => Ok(()),
            _ => Err(Error::Stalled { signal: "compactions that have not ended" }),
        }
    }

    /// Brings all entries with keys in `smallest..=largest` into one run, without tombstones and hidden versions as far as no
    /// pin needs them. The caller's thread does the work. The caller has flushed the memtables. Entries that are flushed
    /// later are left to the strategy.
    ///
    /// # Errors
    /// Why a compaction of the range has failed; `Corruption` when a damaged table is in the way; `Closed`; `Poisoned`.
    pub(crate) fn compact_range(&self, smallest: &Boundary, largest: &Boundary) -> Result<()> {
        debug_assert!(smallest <= largest, "a range has a first and a last key");
        let mut caller = self.enter()?;
        let newest = self.parts.store.state().flushed;
        let compacted = self.compact(&Asked { keys: (smallest, largest), newest });
        caller.has_returned = true;
        compacted
    }

    /// Waits until nobody compacts in a thread of a caller. The store is being closed, so such calls return after their next
    /// step.
    pub(crate) fn wait_for_callers(&self) {
        let is_alone = || self.schedule.lock().callers == 0;
        // An executor without threads that has nothing to run ends the wait too.
        let _is_alone: bool = self.parts.store.env.executor.wait_until(&is_alone);
    }

    /// # Errors
    /// `Closed`; `Poisoned`.
    fn enter(&self) -> Result<Caller<'_>> {
        let mut schedule = self.schedule.lock();
        // Under the lock: a close that finds no caller refuses this one.
        self.check_open()?;
        schedule.callers += 1;
        Ok(Caller { compactor: self, has_returned: false })
    }

    fn compact(&self, asked: &Asked<'_>) -> Result<()> {
        loop {
            self.check_open()?;
            let mut schedule = self.schedule.lock();
            let (ended, is_alone) = (schedule.ended, schedule.parts == 0);
            let present = self.present();
            match asked.pick(&present, &schedule.busy) {
                Some(plan) => {
                    let begun = self.begin(&mut schedule, present, plan, 1);
                    drop(schedule);
                    self.run(begun)?;
                }
                None if is_alone => {
                    drop(schedule);
                    return self.check_reached(asked, &present);
                }
                // Plans in flight may have the files.
                None => {
                    drop(schedule);
                    self.wait_for(&|schedule| schedule.ended > ended)?;
                }
            }
        }
    }

    /// Merges the parts of `begun`, and installs it.
    ///
    /// # Errors
    /// Why it has failed.
    fn run(&self, begun: Begun) -> Result<()> {
        let Begun { compaction, parts } = begun;
        self.tell_begun(&compaction);
        if parts.is_empty() {
            return self.end_without_parts(&compaction);
        }
        for part in parts {
            let mut next = self.step(part);
            while let Some(part) = next {
                next = self.step(part);
            }
        }
        debug_assert!(Arc::strong_count(&compaction) == 1, "all parts have ended");
        compaction.failure().map_or(Ok(()), Err)
    }

    /// Nothing is in flight, and nothing more can be done.
    ///
    /// # Errors
    /// The damage of a table in the way.
    fn check_reached(&self, asked: &Asked<'_>, present: &Present) -> Result<()> {
        // Busy without being in flight are the inputs of compactions that have found a damaged table.
        if asked.pick(present, &Busy::default()).is_none() {
            return Ok(());
        }
        self.parts.pressure.damage().map_or(Ok(()), Err)
    }

    /// Waits until `is_done`, or nothing more can happen.
    fn wait_for(&self, is_done: &dyn Fn(&Schedule) -> bool) -> Result<()> {
        let is_over = || self.check_open().is_err() || is_done(&self.schedule.lock());
        // An executor without threads that has nothing to run ends the wait too.
        let _is_over: bool = self.parts.store.env.executor.wait_until(&is_over);
        self.check_open()
    }
}

impl Asked<'_> {
    /// The next compaction of the entries that are meant. `None`: there is none, or busy files are in the way.
    fn pick(&self, present: &Present, busy: &Busy<Boundary>) -> Option<Plan<Boundary>> {
        // A table with an entry that is meant may have later ones beside it.
        let is_late = |table: &&Arc<TableFile>| table.facts.oldest > self.newest;
        let late = present.version.tables().filter(is_late).map(|table| table.id);
        let late: BTreeSet<FileId> = late.collect();
        pick_range(&present.tree, busy, self.keys, &|file| !late.contains(&file.id))
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        let store = &self.compactor.parts.store;
        if !self.has_returned {
            // Its compaction stays in flight for ever.
            let panicked = io::Error::other("a compaction has panicked in the thread of a caller");
            drop(store.poison(Error::io("compact", store.path(), panicked)));
        }
        let mut schedule = self.compactor.schedule.lock();
        debug_assert!(schedule.callers > 0, "the call was counted");
        schedule.callers -= 1;
        drop(schedule);
        // The end of a job wakes a close that waits for the call.
        self.compactor.parts.background.request(Task::PickCompaction);
    }
}
