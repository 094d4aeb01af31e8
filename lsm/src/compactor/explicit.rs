//! Compactions that a caller waits for.

use std::sync::Arc;

use kv::{Error, Result};

use super::pick::Begun;
use super::tree::UserKey;
use super::{Compactor, Schedule};
use crate::background::Task;
use crate::compaction::pick_range;

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
        let failures = {
            let mut schedule = self.schedule.lock();
            schedule.is_at_rest = false;
            schedule.failures
        };
        self.parts.background.request(Task::PickCompaction);
        self.wait_for(&|schedule| schedule.is_at_rest || schedule.failures > failures)?;
        let schedule = self.schedule.lock();
        match &schedule.last_failure {
            Some(failure) if schedule.failures > failures => Err(failure.clone()),
            _ if schedule.is_at_rest => Ok(()),
            _ => Err(Error::Stalled { signal: "compactions that have not ended" }),
        }
    }

    /// Brings all entries with keys in `smallest..=largest` into one run, without tombstones and hidden versions as far as no
    /// pin needs them. The caller's thread does the work. The caller has flushed the memtables.
    ///
    /// # Errors
    /// Why a compaction has failed; `Closed`; `Poisoned`.
    pub(crate) fn compact_range(&self, smallest: &UserKey, largest: &UserKey) -> Result<()> {
        debug_assert!(smallest <= largest, "a range has a first and a last key");
        loop {
            self.check_open()?;
            let mut schedule = self.schedule.lock();
            let (ended, in_flight) = (schedule.ended, schedule.parts);
            let pick = |tree: &_, busy: &_| pick_range(tree, busy, smallest, largest);
            match self.begin_chosen(&mut schedule, 1, pick) {
                Some(begun) => {
                    let failures = schedule.failures;
                    drop(schedule);
                    self.run(begun)?;
                    self.check_failures(failures)?;
                }
                None if in_flight == 0 => return Ok(()),
                // Plans in flight may have the files.
                None => {
                    drop(schedule);
                    self.wait_for(&|schedule| schedule.ended > ended)?;
                }
            }
        }
    }

    /// Merges the parts of `begun`, and installs it.
    fn run(&self, begun: Begun) -> Result<()> {
        let Begun { compaction, parts } = begun;
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
        Ok(())
    }

    /// # Errors
    /// Why a compaction has failed since there were so many `failures`.
    fn check_failures(&self, failures: u64) -> Result<()> {
        let schedule = self.schedule.lock();
        match &schedule.last_failure {
            Some(failure) if schedule.failures > failures => Err(failure.clone()),
            _ => Ok(()),
        }
    }

    /// Waits until `is_done`, or nothing more can happen.
    fn wait_for(&self, is_done: &dyn Fn(&Schedule) -> bool) -> Result<()> {
        let is_over = || self.check_open().is_err() || is_done(&self.schedule.lock());
        // An executor without threads that has nothing to run ends the wait too.
        let _is_over: bool = self.parts.store.env.executor.wait_until(&is_over);
        self.check_open()
    }
}
