//! Compaction: runs of tables are merged in the background, by the plans of a strategy.
//!
//! 1. **Pick.** One thread at a time looks for the next plan, in the present version ([`crate::compaction`]). It takes the plans
//!    that are mandatory first. While nothing else is in flight it also takes those that are worth the time of an idle
//!    device. A plan that rewrites or drops files takes its [`History`](crate::history::History) in the same step, and raises
//!    the history floor. From then on its inputs and the range of its output are busy.
//! 2. **Merge.** The plan is divided into parts by ranges of keys, as many as threads are free. Each part is merged in steps
//!    of a few milliseconds, between which flushes run. It writes, syncs and names its tables. Numbers of files are reserved
//!    in the manifest before, so that after a crash recovery knows the files as orphans.
//! 3. **Edit.** The thread that ends the last part makes one edit: the inputs go, the outputs come, the history floor rises.
//!    After a crash before the edit the store has the inputs. After a crash behind it the store has the outputs.
//! 4. **Install.** Readers are shown a version with the outputs, in one critical section with the edit.
//! 5. **Retire.** An input is unlinked after its last reader. A crash leaves it as an orphan.
//!
//! A plan that moves or drops files as they are has steps 1, 3 and 4, and 5 for those that are dropped.
//!
//! **Flushes** go on meanwhile: they only add newer runs, and the order of ages holds
//! ([`Plan::check`](crate::compaction::Plan::check)).
//!
//! **Callers.** [`Lsm::compact_range`](crate::Lsm::compact_range) takes the same steps in the thread of its caller, beside the
//! compactions in the background. A close waits until such calls have given up. If one of them panics, its compaction never
//! ends, and so the store is poisoned.
//!
//! **The next look** comes after each flush and after each compaction, so runs become fewer without further calls. When a
//! resource has run out, it comes after a pause ([`Background::retry`](durable::background::Background::retry)).
//!
//! **Failures.** Every part is given up, and its files are removed.
//! - A resource has run out: the compactor looks again after a pause, and after the next flush.
//! - An input is damaged: its plan stays busy until the store is opened again, so no other plan takes the file.
//! - The store is being closed or was dropped: nothing is counted.
//! - Anything else poisons the store.

mod compaction;
mod counters;
mod explicit;
mod install;
mod levels;
mod part;
mod pick;
mod tree;
mod version_filter;

use std::collections::VecDeque;
use std::sync::Arc;

use durable::sync::Mutex;
use kv::{Error, Result};
use sstable::BuildOptions;

use crate::back_pressure::BackPressure;
use crate::background::{Background, Task};
use crate::boundary::Boundary;
use crate::compaction::{Busy, Strategy};
use crate::events::Events;
use crate::file_ids::FileIds;
use crate::lock_order::Lock;
use crate::pins::Pins;
use crate::store::Store;
use crate::table_writer::TableWriter;
use crate::version::VersionSet;
use compaction::Compaction;
pub(crate) use counters::CompactionCounters;
use part::PartMerge;
pub(crate) use tree::tree_of;

/// Picks compactions and merges them.
#[derive(Debug)]
pub(crate) struct Compactor {
    parts: CompactorParts,
    strategy: Arc<dyn Strategy<Boundary>>,
    build: BuildOptions,
    /// So many parts are merged in the background at the same time. 0: nothing is.
    threads: usize,
    schedule: Mutex<Schedule>,
    counters: CompactionCounters,
}

/// The components that a compactor works with.
#[derive(Debug)]
pub(crate) struct CompactorParts {
    pub(crate) store: Arc<Store>,
    pub(crate) ids: Arc<FileIds>,
    pub(crate) versions: Arc<VersionSet>,
    pub(crate) pins: Arc<Pins>,
    pub(crate) background: Arc<Background>,
    pub(crate) pressure: Arc<BackPressure>,
    pub(crate) events: Arc<Events>,
}

/// Guarded by `Compactor::schedule`.
#[derive(Debug, Default)]
struct Schedule {
    busy: Busy<Boundary>,
    /// Parts that have not ended; a move counts as one.
    parts: usize,
    /// Parts that wait for their next step. A job was requested for each.
    waiting: VecDeque<PartMerge>,
    /// How many looks have found nothing to do while nothing was in flight.
    rests: u64,
    /// Calls that compact in the thread of their caller now.
    callers: usize,
    /// How many compactions have ended.
    ended: u64,
    /// How many of them have failed, and why the last one did.
    failures: u64,
    last_failure: Option<Error>,
}

impl Compactor {
    pub(crate) fn new(
        parts: CompactorParts,
        strategy: Arc<dyn Strategy<Boundary>>,
        build: BuildOptions,
        threads: usize,
    ) -> Self {
        let schedule = Mutex::ranked(Lock::Compactions.rank(), Schedule::default());
        let counters = CompactionCounters::default();
        Self { parts, strategy, build, threads, schedule, counters }
    }

    pub(crate) fn counters(&self) -> &CompactionCounters {
        &self.counters
    }

    /// A job: begins as many compactions as threads are free.
    pub(crate) fn pick_in_background(&self) {
        // An error has poisoned the store, and the next write reports it; or a resource ran out, which is counted.
        while self.threads > 0 && self.begin_next().is_ok_and(|begun| begun) {}
    }

    /// A job: takes one step of the part that has waited longest.
    pub(crate) fn merge_in_background(&self) {
        let part = self.schedule.lock().waiting.pop_front();
        if let Some(part) = part
            && let Some(part) = self.step(part)
        {
            self.schedule.lock().waiting.push_back(part);
            self.parts.background.request(Task::MergePart);
        }
    }

    /// Takes a step of `part`, and returns it if it is not done. A failure is in the outcome of the compaction.
    fn step(&self, mut part: PartMerge) -> Option<PartMerge> {
        let may_go_on = self.check_may_go_on(&part.compaction);
        let stepped = may_go_on.and_then(|()| part.step(self.writer()));
        if stepped.is_ok() {
            self.parts.pressure.progressed();
        }
        if matches!(stepped, Ok(true)) {
            return Some(part);
        }
        let (compaction, number) = (Arc::clone(&part.compaction), part.number);
        let outcome = match stepped {
            Ok(_) => Ok(part.into_outputs()),
            Err(error) => {
                part.discard(self.writer());
                Err(error)
            }
        };
        self.end_part(&compaction, number, outcome);
        None
    }

    /// # Errors
    /// `Closed`, also when the store was dropped; `Poisoned`; the failure of another part.
    fn check_may_go_on(&self, compaction: &Compaction) -> Result<()> {
        self.check_open()?;
        compaction.failure().map_or(Ok(()), Err)
    }

    fn check_open(&self) -> Result<()> {
        if self.parts.store.is_abandoned() {
            return Err(Error::Closed);
        }
        self.parts.background.check_open()?;
        self.parts.store.check()
    }

    fn writer(&self) -> TableWriter<'_> {
        TableWriter { store: &self.parts.store, ids: &self.parts.ids, build: self.build }
    }
}
