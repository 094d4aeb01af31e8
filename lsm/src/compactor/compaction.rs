//! A compaction in flight: its plan, its inputs, and the parts that are done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use durable::sync::Mutex;
use kv::Error;

use crate::boundary::Boundary;
use crate::compaction::Plan;
use crate::events::CompactionEvent;
use crate::lock_order::Lock;
use crate::table_file::TableFile;
use crate::table_writer::NewTable;

/// A compaction in flight.
#[derive(Debug)]
pub(super) struct Compaction {
    pub(super) plan: Plan<Boundary>,
    /// Keeps the input files until the outputs are installed.
    pub(super) inputs: Vec<Arc<TableFile>>,
    /// States of the store before this number can no longer be read when the outputs are installed.
    pub(super) history_floor: u64,
    /// When it began, on the clock of the store.
    pub(super) started: Duration,
    /// How many parts it has; at least 1.
    pub(super) parts: usize,
    progress: Mutex<Progress>,
}

/// Counts of the entries of a compaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) entries_read: u64,
    pub(super) hidden_dropped: u64,
    pub(super) tombstones_dropped: u64,
    pub(super) ranges_dropped: u64,
    /// Entries that had expired and became tombstones.
    pub(super) expired: u64,
}

/// Guarded by `Compaction::progress`.
#[derive(Debug, Default)]
struct Progress {
    ended: usize,
    /// The tables of the parts that are done, in the order of their keys.
    outputs: BTreeMap<usize, Vec<NewTable>>,
    counts: Counts,
    /// Why the first part that failed has failed.
    failure: Option<Error>,
}

/// All parts have ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// The tables of the parts that are done.
    pub(super) outputs: Vec<NewTable>,
    pub(super) counts: Counts,
    /// `None`: every part is done.
    pub(super) failure: Option<Error>,
}

impl Compaction {
    pub(super) fn new(
        plan: Plan<Boundary>,
        inputs: Vec<Arc<TableFile>>,
        history_floor: u64,
        started: Duration,
        parts: usize,
    ) -> Self {
        debug_assert_eq!(inputs.len(), plan.files().count(), "each input has its handle");
        assert!(parts > 0, "a compaction has a part");
        let progress = Mutex::ranked(Lock::Compaction.rank(), Progress::default());
        Self { plan, inputs, history_floor, started, parts, progress }
    }

    /// The compaction, as a listener hears of it.
    pub(super) fn event(&self) -> CompactionEvent {
        let plan = &self.plan;
        CompactionEvent {
            reason: plan.reason,
            action: plan.action,
            input_levels: plan.inputs.iter().map(|input| input.place.level).collect(),
            inputs: self.inputs.iter().map(|input| input.id).collect(),
            input_bytes: plan.input_bytes(),
            output_level: plan.output.level,
        }
    }

    /// Whether a part has failed: then the others need not go on. After the end, why the compaction has failed.
    pub(super) fn failure(&self) -> Option<Error> {
        self.progress.lock().failure.clone()
    }

    /// The compaction has ended with `error`.
    pub(super) fn record_failure(&self, error: &Error) {
        let mut progress = self.progress.lock();
        debug_assert!(progress.ended <= self.parts, "a part ends once");
        progress.failure = Some(error.clone());
    }

    /// A part has ended. The caller of the last one gets the outcome.
    pub(super) fn end_part(
        &self,
        number: usize,
        outcome: Result<(Vec<NewTable>, Counts), Error>,
    ) -> Option<Ended> {
        let mut progress = self.progress.lock();
        progress.ended += 1;
        debug_assert!(progress.ended <= self.parts, "a part ends once");
        match outcome {
            Ok((tables, counts)) => {
                progress.counts.add(counts);
                let before = progress.outputs.insert(number, tables);
                debug_assert!(before.is_none(), "a part ends once");
            }
            Err(error) => drop(progress.failure.get_or_insert(error)),
        }
        if progress.ended < self.parts {
            return None;
        }
        let outputs = std::mem::take(&mut progress.outputs).into_values().flatten().collect();
        Some(Ended { outputs, counts: progress.counts, failure: progress.failure.clone() })
    }
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.entries_read += other.entries_read;
        self.hidden_dropped += other.hidden_dropped;
        self.tombstones_dropped += other.tombstones_dropped;
        self.ranges_dropped += other.ranges_dropped;
        self.expired += other.expired;
        debug_assert!(
            self.hidden_dropped + self.tombstones_dropped <= self.entries_read,
            "an entry has one fate"
        );
    }
}
