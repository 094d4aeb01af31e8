//! The merge that the user asks for.
//!
//! It ends the active file and seals every file. Then it merges all files that waste anything, in up to [`ROUNDS`] rounds.
//! If the disk has no room for all live records at once, it first merges the files that pass the thresholds. It takes as
//! many at a time as fit. It holds the lock of the merge in progress all the time, so background merging waits.

use durable::is_disk_full;
use kv::Result;

use super::{Merge, Merger, space};
use crate::background::Task;
use crate::picker;

/// Rounds of an explicit merge. Each round merges the tombstones that the round before kept for a file outside its merge.
const ROUNDS: usize = 8;

const _: () = assert!(ROUNDS > 1);

impl Merger {
    /// Merges everything that wastes anything, the newest writes included.
    ///
    /// # Errors
    /// `Io` with `StorageFull`, if not even a merge in parts makes enough room: the merges before it stay done. Else the
    /// first failure of a merge. `Corruption`, when a file of the log is damaged.
    pub(crate) fn merge_all(&self) -> Result<()> {
        let has_ended = self.committer.end_active_file()?;
        self.parts.sealer.seal_all()?;
        let merged = self.merge_sealed();
        self.parts.store.refill_reserve();
        self.parts.background.request(Task::Merge);
        if has_ended {
            // Before the next write needs it, and after the merge, which may need the space.
            self.parts.background.request(Task::PrepareFile);
        }
        merged
    }

    /// Merges all files at once, or in parts if the disk has no room for that.
    fn merge_sealed(&self) -> Result<()> {
        let mut current = self.current.lock();
        match self.merge_all_files(&mut current) {
            // The disk has no room for a copy of all live records. Smaller merges need less, and make room.
            Err(error) if is_disk_full(&error) => match self.merge_in_parts(&mut current) {
                Ok(true) => self.merge_all_files(&mut current),
                Ok(false) => Err(error),
                Err(error) => Err(error),
            },
            merged => merged,
        }
    }

    /// Merges the files that pass the thresholds, as many at a time as fit on the disk. `false`: no file did. Without
    /// background merging the default thresholds hold.
    ///
    /// # Errors
    /// The first failure of a merge, unless a merge before it has made room and this one has not enough.
    fn merge_in_parts(&self, current: &mut Option<Merge>) -> Result<bool> {
        let reclaimer = self.parts.files.registry().reclaimer();
        reclaimer.reclaim();
        let mut has_merged = false;
        let options = self.options.unwrap_or_default();
        while let Some(merge) = self.begin_best_merge(&options, space::room(&self.parts)?)? {
            assert!(current.is_none(), "one merge at a time");
            *current = Some(merge);
            match self.finish_current(current) {
                Err(error) if has_merged && is_disk_full(&error) => break,
                finished => finished?,
            }
            // The next one needs the space of these inputs.
            reclaimer.reclaim();
            has_merged = true;
        }
        Ok(has_merged)
    }

    /// Finishes the merge in progress, and then merges everything that wastes anything, in several rounds.
    fn merge_all_files(&self, current: &mut Option<Merge>) -> Result<()> {
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
}
