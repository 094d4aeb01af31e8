//! Merging: the live records of some sealed files are copied into new ones, and the old ones go.
//!
//! 1. **Pick** the inputs, by a pure function of what is known of the files (`merge/pick.rs`).
//! 2. **Copy**, in small steps between which other background work runs. The inputs are read side by side in the order
//!    of sequence numbers, so that the numbers in the outputs ascend, too. A record is live when the keydir says that its
//!    key's newest record is this one. A deletion is copied as long as it hides something (`merge/deletions.rs`). Records
//!    keep their sequence numbers: nothing about the store changes but where they lie.
//! 3. **Seal** each output like any other data file: sync it, read it back, write its hint.
//! 4. **Sync the log**: what made a record dead may be newer than the last sync, and a power cut would take it and leave
//!    neither.
//! 5. **Edit the manifest**, once: outputs in, inputs out. A crash before leaves the inputs, and outputs that nobody
//!    names; a crash after leaves the outputs.
//! 6. **Relocate**: the outputs enter the file table, then each key whose newest record is still the copied one gets its
//!    new place. A write that came between has won, and the copy was born dead.
//! 7. **Retire** the inputs: open views hold them, they leave the file table, and the last reader's going unlinks them.
//!
//! Nobody waits for a merge: writers meet it in one shard of the keydir for one key at a time, and a read whose file has
//! gone looks the key up again.
//!
//! Step 2 takes the ids of its outputs out of circulation in the manifest first, so that a file that a crash leaves
//! without a name in the manifest is known for what it is. Work that fails for want of space is given up and tried again
//! after the next file was sealed; a damaged input is left alone until the store is opened again; any other failure of
//! the disk poisons the store.

mod copy;
mod deletions;
mod install;
mod output;
pub(crate) mod pick;
mod waste;

use std::sync::atomic::Ordering;
use std::time::Duration;

use durable::JobClass;
use kv::{Error, Result, UnixMillis};

use crate::engine::Inner;
use copy::Copying;
use output::Finished;
use pick::{Plan, Policy};

/// How many input files a merge copies the worth of, at most.
const MAX_FILES_WORTH: u64 = 4;

/// A step copies about this share of a data file.
const STEPS_PER_FILE: u64 = 64;

/// Rounds of an explicit merge. Each goes on with deletions that the last one kept because of a file outside it.
const ROUNDS: usize = 8;

/// What the engine knows of its merges.
#[derive(Debug, Default)]
pub(crate) struct Merging {
    /// The one that is going on.
    current: Option<Merge>,
}

/// A merge that is going on.
#[derive(Debug)]
struct Merge {
    inputs: Vec<u64>,
    /// `None`: nothing is copied, the inputs are dropped.
    copying: Option<Copying>,
    finished: Vec<Finished>,
    started: Duration,
}

impl Inner {
    /// Queues a look at what there is to merge.
    pub(crate) fn consider_merging(&self) {
        if self.options.merge.is_some() && !self.merge_is_queued.swap(true, Ordering::AcqRel) {
            self.submit(JobClass::Bulk, "bitcask-merge", Self::merge_in_background);
        }
    }

    /// One step of the merge that is going on, or else of the one that is worth most.
    fn merge_in_background(&self) {
        self.merge_is_queued.store(false, Ordering::Release);
        // Told first: whoever is at it now either looks at this when done, or is done before the attempt.
        self.merge_was_missed.store(true, Ordering::SeqCst);
        let Some(mut merging) = self.merging.try_lock() else { return };
        self.merge_was_missed.store(false, Ordering::SeqCst);
        if merging.current.is_none() {
            merging.current = self.worthwhile();
        }
        // What fails here is told by the statistics, or has poisoned the store.
        let goes_on = merging.current.is_some() && self.step(&mut merging).is_ok();
        drop(merging);
        if !goes_on {
            self.counters.merge_looks_in_vain.fetch_add(1, Ordering::Release);
        }
        if goes_on || self.merge_was_missed.swap(false, Ordering::SeqCst) {
            self.consider_merging();
        }
    }

    /// Merges everything that wastes anything.
    pub(crate) fn merge_all(&self) -> Result<()> {
        self.seal_active()?;
        let merged = self.merge_sealed();
        self.consider_merging();
        merged
    }

    fn merge_sealed(&self) -> Result<()> {
        let mut merging = self.merging.lock();
        while merging.current.is_some() {
            self.step(&mut merging)?;
        }
        for _ in 0..ROUNDS {
            let now = self.horizon();
            let published = self.commit.lock().published;
            let Some(plan) = pick::pick_all(&self.candidates(published, now)) else { break };
            merging.current = Some(self.begin_merge(plan, now));
            while merging.current.is_some() {
                self.step(&mut merging)?;
            }
        }
        Ok(())
    }

    /// Gives up the merge that is going on.
    pub(crate) fn give_up_merging(&self) {
        if let Some(merge) = self.merging.lock().current.take() {
            self.clean_up(merge);
        }
    }

    /// The merge that is worth most, and a look at the pressure on the way.
    fn worthwhile(&self) -> Option<Merge> {
        let merge = self.options.merge?;
        let data_file_bytes = self.options.data_file_bytes;
        let policy = Policy {
            trigger_percent: u64::from(merge.trigger_percent),
            include_percent: u64::from(merge.include_percent),
            small_bytes: data_file_bytes / 4,
            small_files: merge.small_files,
            max_bytes: data_file_bytes * MAX_FILES_WORTH,
        };
        let now = self.horizon();
        let published = self.commit.lock().published;
        let files = self.candidates(published, now);
        self.pressure.measure(&files, data_file_bytes, &merge);
        pick::pick(&files, &policy).map(|plan| self.begin_merge(plan, now))
    }

    fn begin_merge(&self, plan: Plan, horizon: UnixMillis) -> Merge {
        let started = self.options.env.clock.elapsed();
        let (inputs, copying) = match plan {
            Plan::Drop(inputs) => (inputs, None),
            Plan::Rewrite(inputs) => {
                let copying = Copying::new(self, &inputs, horizon);
                (inputs, Some(copying))
            }
        };
        Merge { inputs, copying, finished: Vec::new(), started }
    }

    /// One step of the current merge; the last one leaves none.
    fn step(&self, merging: &mut Merging) -> Result<()> {
        let Some(mut merge) = merging.current.take() else { return Ok(()) };
        let stepped = self.check_open().and_then(|()| self.sync.check());
        match stepped.and_then(|()| self.advance(&mut merge)) {
            Ok(true) => merging.current = Some(merge),
            Ok(false) => {}
            Err(error) => {
                let has_failed = !matches!(error, Error::Closed);
                self.counters.merges_failed.fetch_add(u64::from(has_failed), Ordering::Relaxed);
                if let Some(id) = merge.damaged_input(&error) {
                    self.damaged.lock().insert(id);
                }
                self.clean_up(merge);
                let poisons = matches!(error, Error::Io { .. }) && !error.is_out_of_resources();
                return Err(if poisons { self.sync.poison(error) } else { error });
            }
        }
        Ok(())
    }

    /// `false`: the merge is done.
    fn advance(&self, merge: &mut Merge) -> Result<bool> {
        let budget = self.options.data_file_bytes / STEPS_PER_FILE;
        if let Some(copying) = &mut merge.copying {
            if let Some(finished) = copying.step(self, budget)? {
                merge.finished.push(finished);
                return Ok(true);
            }
            if !copying.is_done() {
                return Ok(true);
            }
        }
        self.install(merge)?;
        Ok(false)
    }

    /// Removes what a merge that was given up has made. Where the store is poisoned, nobody knows whether the manifest
    /// names it, and it stays.
    fn clean_up(&self, merge: Merge) {
        if self.sync.check().is_err() {
            return;
        }
        merge.finished.iter().for_each(|finished| finished.file.life.retire());
        if let Some(unfinished) = merge.copying.and_then(Copying::into_unfinished) {
            drop(self.options.env.fs.remove(&unfinished));
        }
    }
}

impl Merge {
    fn damaged_input(&self, error: &Error) -> Option<u64> {
        let Error::Corruption { path, .. } = error else { return None };
        let named = |id: &&u64| path.ends_with(crate::files::DATA.name(**id));
        self.inputs.iter().find(named).copied()
    }
}
