//! Reading the logs into memtables: step 3 of an opening.
//!
//! Batches have consecutive numbers. The first one in the logs follows the newest one in a table, or a table has it as
//! well. So a number that is missing is damage: a log was replaced by another version of itself.

use std::path::Path;

use durable::log::FrameView;
use durable::log::chain::{ChainReader, ChainTail};
use durable::manifest::LoadedManifest;
use durable::read_whole;
use durable::store_dir::StoreDir;
use kv::{Error, Result};

use crate::files::LOG;
use crate::internal_key::{Kind, Trailer};
use crate::memtable::Memtable;
use crate::options::Options;
use crate::record::Record;
use crate::state::State;
use crate::steps::{Step, Steps};

/// The batches of the logs that no table has.
#[derive(Debug)]
pub(crate) struct Replayed {
    /// Memtables with their newest batch, the oldest first. None is empty.
    pub(crate) memtables: Vec<(Memtable, u64)>,
    /// How many batches there are in them.
    pub(crate) batches: u64,
    /// How the log ends.
    pub(crate) tail: ChainTail,
}

impl Replayed {
    /// Reads the logs that `manifest` names. A memtable that has grown to its usual size is followed by another one.
    ///
    /// # Errors
    /// `Corruption` when a log is damaged, or proves that another one or the manifest is; `Io`.
    pub(crate) fn read(
        dir: &StoreDir,
        manifest: &LoadedManifest<State>,
        options: &Options,
    ) -> Result<Self> {
        let steps = &options.steps;
        let flushed = manifest.state().flushed;
        let mut chain = ChainReader::new(manifest.store_id());
        let mut loader = Loader {
            flushed,
            newest: None,
            memtable_bytes: options.memtable_bytes,
            steps,
            replayed: Self { memtables: Vec::new(), batches: 0, tail: ChainTail::default() },
        };
        for &id in &manifest.state().logs {
            let path = dir.file(&LOG.name(id));
            let bytes = read_whole(&*dir.fs().open(&path)?)?;
            let bytes = steps.claims(Step::CheckClaims, bytes, manifest.store_id(), id);
            let load = &mut |batch: &[FrameView<'_>]| loader.load(batch, &path);
            let identity = chain.read(bytes.bytes(), id, &path, load)?;
            manifest.check_seen(identity.stamp())?;
        }
        let tail = chain.finish();
        let newest = loader.newest.unwrap_or_default();
        assert_eq!(tail.newest_sequence, newest, "every batch that is kept was loaded or skipped");
        let replayed = Self { tail, ..loader.replayed };
        debug_assert!(replayed.memtables.is_sorted_by_key(|(_, newest)| *newest), "in order");
        Ok(replayed)
    }
}

/// Loads the batches of the logs.
struct Loader<'o> {
    /// The newest batch in a table.
    flushed: u64,
    /// The newest batch that was read.
    newest: Option<u64>,
    memtable_bytes: u64,
    steps: &'o Steps,
    replayed: Replayed,
}

impl Loader<'_> {
    fn load(&mut self, batch: &[FrameView<'_>], path: &Path) -> Result<()> {
        let (sequence, offset) = (batch[0].sequence, batch[0].offset);
        let follows = follows(sequence, self.newest, self.flushed);
        if !self.steps.check(Step::CheckFollows, follows) {
            let before = self.newest.unwrap_or(self.flushed);
            let what = format!("batch {sequence} follows batch {before}: others are missing");
            return Err(Error::corruption(path, offset, what));
        }
        self.newest = Some(sequence);
        // A batch that a table has is decoded all the same: damage shows.
        let records = Record::decode_batch(batch, path)?;
        if self.steps.check(Step::SkipFlushed, sequence > self.flushed) {
            self.insert(sequence, &records);
        }
        Ok(())
    }

    fn insert(&mut self, sequence: u64, records: &[Record<'_>]) {
        let memtables = &mut self.replayed.memtables;
        let ranges = Record::deleted_ranges(records);
        let is_full = |memtable: &Memtable| {
            memtable.bytes() >= self.memtable_bytes || !memtable.has_room_for_ranges(ranges.len())
        };
        if memtables.last().is_none_or(|(memtable, _)| is_full(memtable)) {
            memtables.push((Memtable::default(), sequence));
        }
        let (memtable, newest) = memtables.last_mut().expect("there is one now");
        debug_assert!(*newest <= sequence, "batches come in order");
        *newest = sequence;
        if !ranges.is_empty() {
            self.steps.run(Step::ReplayRanges, || memtable.insert_ranges(ranges, sequence));
        }
        for record in records {
            let Some(kind) = record.meaning.entry() else { continue };
            let insert = || memtable.insert(record.key, Trailer::new(sequence, kind), record.value);
            match kind {
                Kind::Tombstone => self.steps.run(Step::ReplayTombstone, insert),
                Kind::Put | Kind::Expiring => insert(),
            }
        }
        self.replayed.batches += 1;
    }
}

/// Whether batch `sequence` may come behind batch `newest` of the logs, or, as the first one there, behind the batches that are
/// flushed.
fn follows(sequence: u64, newest: Option<u64>, flushed: u64) -> bool {
    match newest {
        Some(newest) => sequence == newest + 1,
        None => (1..=flushed + 1).contains(&sequence),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_batch_may_be_missing_before_the_logs_or_in_them() {
        assert!(follows(1, None, 0) && !follows(2, None, 0));
        assert!(follows(3, None, 9) && follows(10, None, 9) && !follows(11, None, 9));
        assert!(follows(4, Some(3), 9) && !follows(5, Some(3), 9) && !follows(3, Some(3), 9));
    }
}
