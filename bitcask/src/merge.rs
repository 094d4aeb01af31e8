//! Merging: the live records of some sealed files are copied into new ones, and the old ones go.
//!
//! 1. **Pick** the inputs, by a pure function of the facts that are known of the files (`picker.rs`, `waste.rs`).
//! 2. **Copy**, in small steps between which other background work runs (`copy.rs`). The inputs are read side by side in the
//!    order of sequence numbers, so that the numbers in the outputs ascend, too. A record is live when the keydir says that
//!    it is the newest of its key. A tombstone is copied while it hides a put (`tombstones.rs`). Records keep their sequence
//!    numbers: nothing about the store changes but where they lie.
//! 3. **Seal** each output like any other data file: sync it, read it back, write its hint (`output.rs`).
//! 4. **Sync the log**. A record that the merge has left out as dead was replaced by a newer one, which may not be durable
//!    yet. Without this sync a power cut after step 5 could lose both.
//! 5. **Edit the manifest**: one edit adds the outputs and removes the inputs. After a crash before the edit, the inputs
//!    count and the outputs are orphans. After a crash behind it, the outputs count and the inputs are orphans.
//! 6. **Relocate** (`install.rs`): the outputs enter the file table, then each key whose newest record is still the copied
//!    one is pointed at the copy. If a newer write has replaced the key in the meantime, the keydir keeps it, and the copied
//!    record counts as dead.
//! 7. **Retire** the inputs: open views hold them, they leave the file table, and they are unlinked after their last reader.
//!
//! No other thread waits for a merge. A writer and a merge meet in one shard of the keydir, for one key at a time. A get whose
//! file has left the table looks the key up again.
//!
//! Before step 2 creates an output, it reserves the id of the output in the manifest. So after a crash recovery knows the
//! file as an orphan, because the manifest has given the id away and does not name the file.
//!
//! A merge can fail in three ways:
//! - A resource (space, mappings, descriptors) has run out. The merge is given up, and the next file that is sealed starts
//!   another one.
//! - An input is damaged. The merge is given up, and no merge takes this input until the store is opened again.
//! - The disk fails in another way. The store is poisoned.

mod copy;
mod install;
mod output;
mod read_ahead;
mod tombstones;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use durable::is_disk_full;
use durable::sync::Mutex;
use durable::sync::atomic::{AtomicBool, AtomicU64};
use kv::{Error, Result, UnixMillis};

use crate::background::Task;
use crate::committer::Committer;
use crate::components::Components;
use crate::files::DATA;
use crate::lock_order::Lock;
use crate::options::{MergeOptions, Options};
use crate::picker::{self, Plan, Policy};
use crate::waste;
use copy::Copying;
use output::FinishedOutput;

/// The inputs of one merge are at most as large as so many data files.
const MAX_FILES_WORTH: u64 = 4;

/// A step copies about this share of a data file.
const STEPS_PER_FILE: u64 = 64;

/// Rounds of an explicit merge. Each round merges the tombstones that the last one kept because of a file outside it.
const ROUNDS: usize = 8;

const _: () = assert!(MAX_FILES_WORTH > 0 && STEPS_PER_FILE > 0 && ROUNDS > 1);

/// Merges data files, one merge at a time.
#[derive(Debug)]
pub(crate) struct Merger {
    parts: Components,
    committer: Arc<Committer>,
    /// How large a data file is, in bytes.
    data_file_bytes: u64,
    /// `None`: files are merged only when the user asks for it.
    options: Option<MergeOptions>,
    /// The merge that is in progress. Held during each of its steps.
    current: Mutex<Option<Merge>>,
    /// A job found `current` locked: the thread that held it requests another step.
    was_missed: AtomicBool,
    counters: MergeCounters,
}

/// Counts of events since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct MergeCounters {
    pub(crate) merges: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) read_bytes: AtomicU64,
    pub(crate) written_bytes: AtomicU64,
    pub(crate) tombstones_dropped: AtomicU64,
}

/// A merge that is in progress.
#[derive(Debug)]
struct Merge {
    inputs: Vec<u64>,
    /// `None`: nothing is copied, the inputs are dropped.
    copying: Option<Copying>,
    finished: Vec<FinishedOutput>,
    started: Duration,
}

impl Merger {
    pub(crate) fn new(parts: Components, committer: Arc<Committer>, options: &Options) -> Self {
        let (current, counters) =
            (Mutex::ranked(Lock::Merge.rank(), None), MergeCounters::default());
        Self {
            parts,
            committer,
            data_file_bytes: options.data_file_bytes,
            options: options.merge,
            current,
            was_missed: AtomicBool::new(false),
            counters,
        }
    }

    pub(crate) fn counters(&self) -> &MergeCounters {
        &self.counters
    }

    /// One step of the merge that is in progress, or else of the one that is worth most.
    pub(crate) fn merge_in_background(&self) {
        // Set the flag before `try_lock`: a thread that holds the lock looks at the flag after it has released the lock,
        // so no request is lost.
        self.was_missed.store(true, Ordering::SeqCst);
        let Some(mut current) = self.current.try_lock() else { return };
        self.was_missed.store(false, Ordering::SeqCst);
        if current.is_none() {
            *current = self.begin_worthwhile(self.data_file_bytes * MAX_FILES_WORTH);
        }
        // An error is counted in the statistics; a failure of the disk has already poisoned the store.
        let goes_on = current.is_some() && self.step(&mut current).is_ok();
        drop(current);
        if !goes_on {
            self.parts.store.refill_reserve();
            self.parts.pressure.merging_stopped();
        }
        if goes_on || self.was_missed.swap(false, Ordering::SeqCst) {
            self.parts.background.request(Task::Merge);
        }
    }

    /// Merges everything that wastes anything, the newest writes included.
    ///
    /// # Errors
    /// The failure of the first merge that fails.
    pub(crate) fn merge_all(&self) -> Result<()> {
        self.committer.end_active_file()?;
        self.parts.sealer.seal_all()?;
        let merged = self.merge_sealed();
        self.parts.store.refill_reserve();
        self.parts.background.request(Task::Merge);
        merged
    }

    fn merge_sealed(&self) -> Result<()> {
        let mut current = self.current.lock();
        match self.merge_at_once(&mut current) {
            // There is no room for all live records side by side. Smaller merges need less, and make room.
            Err(error) if is_disk_full(&error) => match self.merge_in_parts(&mut current) {
                Ok(true) => self.merge_at_once(&mut current),
                Ok(false) => Err(error),
                Err(error) => Err(error),
            },
            merged => merged,
        }
    }

    /// Merges the files that are worth it, as many at a time as the disk has room for. `false`: there were none.
    fn merge_in_parts(&self, current: &mut Option<Merge>) -> Result<bool> {
        let reclaimer = self.parts.files.registry().reclaimer();
        reclaimer.reclaim();
        let mut any = false;
        while let Some(merge) = self.begin_worthwhile(copy::room(&self.parts)?) {
            debug_assert!(current.is_none(), "one merge at a time");
            *current = Some(merge);
            match self.finish_current(current) {
                Err(error) if any && is_disk_full(&error) => break,
                finished => finished?,
            }
            // The next one needs the space of these inputs.
            reclaimer.reclaim();
            any = true;
        }
        Ok(any)
    }

    fn merge_at_once(&self, current: &mut Option<Merge>) -> Result<()> {
        self.finish_current(current)?;
        for _ in 0..ROUNDS {
            let now = self.parts.survey.horizon();
            let published = self.committer.published();
            let candidates = self.parts.survey.candidates(published, now);
            let Some(plan) = picker::pick_all(&candidates) else { break };
            *current = Some(self.begin(plan, now)?);
            self.finish_current(current)?;
        }
        Ok(())
    }

    fn finish_current(&self, current: &mut Option<Merge>) -> Result<()> {
        while current.is_some() {
            self.step(current)?;
        }
        Ok(())
    }

    /// Gives up the merge that is in progress.
    pub(crate) fn give_up(&self) {
        if let Some(merge) = self.current.lock().take() {
            self.clean_up(merge);
        }
    }

    /// The merge that is worth most, and copies about `max_bytes` at most. Measures the pressure on the
    /// way.
    fn begin_worthwhile(&self, max_bytes: u64) -> Option<Merge> {
        let options = self.options?;
        let data_file_bytes = self.data_file_bytes;
        let policy = Policy {
            trigger_percent: u64::from(options.trigger_percent),
            include_percent: u64::from(options.include_percent),
            small_bytes: data_file_bytes / 4,
            small_files: options.small_files,
            max_bytes,
        };
        let now = self.parts.survey.horizon();
        let candidates = self.parts.survey.candidates(self.committer.published(), now);
        self.parts.pressure.measure(waste::load(&candidates));
        let plan = picker::pick(&candidates, &policy)?;
        self.begin(plan, now).ok()
    }

    fn begin(&self, plan: Plan, horizon: UnixMillis) -> Result<Merge> {
        let started = self.parts.store.env.clock.elapsed();
        let (inputs, copies) = match plan {
            Plan::Drop(inputs) => (inputs, false),
            Plan::Rewrite(inputs) => (inputs, true),
        };
        assert!(!inputs.is_empty(), "a plan has inputs");
        let distinct: BTreeSet<u64> = inputs.iter().copied().collect();
        assert_eq!(distinct.len(), inputs.len(), "a file is an input once");
        let copying = copies
            .then(|| Copying::begin(&self.parts, &inputs, horizon, self.data_file_bytes))
            .transpose();
        let copying = copying.map_err(|error| self.count_failure(&inputs, error))?;
        Ok(Merge { inputs, copying, finished: Vec::new(), started })
    }

    /// One step of the current merge; the last one leaves none.
    fn step(&self, current: &mut Option<Merge>) -> Result<()> {
        let Some(mut merge) = current.take() else { return Ok(()) };
        let may_go_on = self.parts.background.check_open().and_then(|()| self.parts.store.check());
        match may_go_on.and_then(|()| self.advance(&mut merge)) {
            Ok(true) => *current = Some(merge),
            Ok(false) => {}
            Err(error) => {
                let error = self.count_failure(&merge.inputs, error);
                self.clean_up(merge);
                return Err(error);
            }
        }
        Ok(())
    }

    /// `false`: the merge is done.
    fn advance(&self, merge: &mut Merge) -> Result<bool> {
        let budget = self.data_file_bytes / STEPS_PER_FILE;
        if let Some(copying) = &mut merge.copying {
            let finished = copying.step(&self.parts, budget);
            let dropped = std::mem::take(&mut copying.tombstones_dropped);
            self.counters.tombstones_dropped.fetch_add(dropped, Ordering::Relaxed);
            let finished = finished?;
            let goes_on = finished.is_some() || !copying.is_done();
            merge.finished.extend(finished);
            if goes_on {
                return Ok(true);
            }
        }
        let is_done = merge.copying.as_ref().is_none_or(Copying::is_done);
        assert!(is_done, "every input is copied before any is replaced");
        self.install(merge)?;
        assert!(merge.finished.is_empty(), "the outputs are installed");
        Ok(false)
    }

    /// Counts the failure of a merge of `inputs`, and draws the consequences.
    fn count_failure(&self, inputs: &[u64], error: Error) -> Error {
        match &error {
            // The store is being closed or dropped: no failure.
            Error::Closed => return error,
            // A damaged input is left alone. Any other damaged file is an output, which is discarded.
            Error::Corruption { path, .. } => {
                if let Some(&damaged) = inputs.iter().find(|&&id| path.ends_with(DATA.name(id))) {
                    self.parts.survey.exclude_damaged(damaged);
                }
            }
            // A failure of the disk, and not just a resource that has run out.
            Error::Io { .. } if !error.is_out_of_resources() => {
                drop(self.parts.store.poison(error.clone()));
            }
            _ => {}
        }
        self.counters.failed.fetch_add(1, Ordering::Relaxed);
        error
    }

    /// Removes the outputs of a merge that was given up. If the store is poisoned, the manifest may name them, durably or
    /// not, and they stay.
    fn clean_up(&self, merge: Merge) {
        if self.parts.store.check().is_err() {
            return;
        }
        merge.finished.iter().for_each(|finished| finished.file.handle.retire());
        if let Some(mut copying) = merge.copying {
            copying.discard_output(&self.parts);
        }
    }
}
