//! Merging: the live records of some sealed files are copied into new ones, and the old ones are removed.
//!
//! 1. **Pick** the inputs, by a pure function of the facts that are known of the files (`picker.rs`, `waste.rs`). First
//!    read the *horizon*. A put whose expiry is not after the horizon has expired for every open and every later view. A
//!    file with a write above the newest visible one is never an input, because the keydir does not know that write yet. If
//!    the inputs hold only expired puts and tombstones, and no older file is outside the merge, they are removed unread:
//!    steps 2 and 3 are left out.
//! 2. **Copy**, in small steps between which other background work runs (`copy.rs`). Before the first record is copied, the
//!    disk must have room for the copies; if it has not, the merge releases the disk reserve. The inputs are read side by
//!    side in the order of sequence numbers, so that the numbers in the outputs ascend, too. A record is live when the
//!    keydir says that it is the newest of its key. A tombstone is copied while it hides a put (`tombstones.rs`). A put
//!    that expired before the horizon is treated as a tombstone with the same number: the merge writes a tombstone in its
//!    place if an older put may be outside; else it writes nothing. Records keep their sequence numbers: only their
//!    location changes. Step 2 reserves the id of each output in the manifest before it creates the file. After a crash,
//!    recovery knows such a file as an orphan.
//! 3. **Seal** each output when it is full, like any other data file: sync it, read it back, write its hint (`output.rs`).
//!    Then step 2 goes on with the next output.
//! 4. **Sync the log**. A newer record replaced each record that the merge dropped. It may not be durable yet. Without this
//!    sync, a power cut after step 5 could lose both.
//! 5. **Edit the manifest**: one edit adds the outputs and removes the inputs. After a crash before the edit, the store
//!    consists of the inputs; the outputs are orphans. After a later crash, the store consists of the outputs; the inputs
//!    are orphans.
//! 6. **Relocate** (`install.rs`): the outputs enter the file table, then each key whose newest record is still the copied
//!    one is pointed at the copy. If a newer write has replaced the record in the meantime, the keydir keeps it, and the
//!    copied record counts as dead. The live count of the output is raised before the keydir names the copy. Last, keys
//!    that still name a record in an input are removed: those records had expired and were not copied.
//! 7. **Retire** the inputs: open views hold them, they leave the file table, and they are unlinked after their last reader.
//!
//! A merge holds no lock that a get takes, except the lock of one keydir shard at a time. Step 6 holds it for one key, or
//! for one scan of the shard to remove expired keys. A get whose file has left the table looks the key up again. Writers
//! wait for merges only under back-pressure (`back_pressure.rs`). Closing waits for the current step, and then gives the
//! merge up, an explicit one too.
//!
//! `merge/background.rs` has merging in the background, and `merge/explicit.rs` the merge that the user asks for.
//!
//! A merge can fail in four ways:
//! - A resource (space, mappings, descriptors) has run out. The merge is given up and its outputs are removed. The next
//!   sealed file triggers another attempt.
//! - An input is damaged. The merge is given up, and no merge selects this file until the store is opened again. The
//!   background looks for another merge at once.
//! - A file of the log is found damaged (`damaged_files.rs`). The merge is given up at its next step, and nothing is merged
//!   until the store is opened again.
//! - The disk fails in another way, or a step after the manifest edit fails. The store is poisoned. The outputs stay,
//!   because the manifest may name them. The next opening removes those that are orphans.

mod background;
mod classifier;
mod copy;
mod explicit;
mod install;
mod output;
mod read_ahead;
mod space;
mod tombstones;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use durable::sync::Mutex;
use durable::sync::atomic::{AtomicBool, AtomicU64};
use kv::{Error, Result, UnixMillis};

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

/// So many steps copy about one data file.
const STEPS_PER_FILE: u64 = 64;

const _: () = assert!(MAX_FILES_WORTH > 0 && STEPS_PER_FILE > 0);

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
    /// A job wants to take a step. The thread that holds `current` looks at this after it has released the lock.
    step_requested: AtomicBool,
    /// The value of [`Merger::triggers`] at the last look. Guarded by `current`.
    triggers_at_last_look: AtomicU64,
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
            step_requested: AtomicBool::new(false),
            triggers_at_last_look: AtomicU64::new(0),
            counters,
        }
    }

    pub(crate) fn counters(&self) -> &MergeCounters {
        &self.counters
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

    /// Begins the most beneficial merge that copies at most about `max_bytes`. Also updates the back-pressure.
    ///
    /// # Errors
    /// `Corruption`, when an input has another length than the manifest says. `Io`, when it cannot be opened. The failure
    /// is counted.
    fn begin_best_merge(&self, options: &MergeOptions, max_bytes: u64) -> Result<Option<Merge>> {
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
        self.parts.pressure.measure(waste::load(&candidates.files));
        picker::pick(&candidates, &policy).map(|plan| self.begin(plan, now)).transpose()
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

    /// Takes one step of the current merge. After the last step, `current` is `None`.
    ///
    /// # Errors
    /// The merge is given up. `Closed`; `Poisoned`; `Corruption`, when a file of the log or an input is damaged; `Io`.
    fn step(&self, current: &mut Option<Merge>) -> Result<()> {
        let Some(mut merge) = current.take() else { return Ok(()) };
        match self.check_may_go_on().and_then(|()| self.advance(&mut merge)) {
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

    /// Checks that the store is open and sound. The damage of a file of the log may have been found since the merge was
    /// begun: see `damaged_files.rs`.
    fn check_may_go_on(&self) -> Result<()> {
        self.parts.background.check_open()?;
        self.parts.store.check()?;
        self.parts.damaged.check_log()
    }

    /// `false`: the merge is done.
    fn advance(&self, merge: &mut Merge) -> Result<bool> {
        let budget = self.data_file_bytes / STEPS_PER_FILE;
        if let Some(copying) = &mut merge.copying {
            let step = copying.step(&self.parts, budget);
            let dropped = std::mem::take(&mut copying.tombstones_dropped);
            self.counters.tombstones_dropped.fetch_add(dropped, Ordering::Relaxed);
            let output = step?;
            let goes_on = output.is_some() || !copying.is_done();
            merge.finished.extend(output);
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

    /// Counts the failure of a merge of `inputs`. Excludes a damaged input, and poisons the store after a disk failure.
    fn count_failure(&self, inputs: &[u64], error: Error) -> Error {
        match &error {
            // The store is being closed or dropped: no failure.
            Error::Closed => return error,
            // A damaged input is left alone. Any other damaged file is an output, which is discarded.
            Error::Corruption { path, .. } => {
                if let Some(&damaged) = inputs.iter().find(|&&id| path.ends_with(DATA.name(id))) {
                    self.parts.damaged.add_sealed(damaged);
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

    /// Removes all outputs of an abandoned merge, also those whose edit failed. If the store is poisoned, the manifest may
    /// name them, durably or not, and they stay.
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
