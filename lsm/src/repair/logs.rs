//! Step 2: the batches of the logs.
//!
//! The logs are read by the rule of [`durable::log::chain`], as an opening does. Where that finds damage, the rule does not say
//! any more what was durable. Then every frame with right sums counts, of the log with the damage and of those before it; behind it
//! the rule begins anew.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::log::chain::ChainReader;
use durable::log::{FrameView, SegmentHeader, salvage_segment};
use durable::{Mapped, read_whole};
use kv::{Error, Result};

use super::loss::{Loss, Losses, Lost};
use super::sources::Sources;
use crate::entry_tree::EntryCursor;
use crate::files::LOG;
use crate::internal_key::Trailer;
use crate::memtable::Memtable;
use crate::range_tombstones::Fragments;
use crate::record::Record;

/// Reads the logs of `sources`, and returns a cursor over their versions, and their range tombstones.
///
/// # Errors
/// `Io`.
pub(super) fn read(sources: &Sources, losses: &Losses) -> Result<(EntryCursor, Fragments)> {
    let mut contents =
        Contents { newest: sources.flushed, losses: losses.clone(), ..Contents::default() };
    let mut chain = ChainReader::new(sources.store);
    let mut logs_of_chain = Vec::new();
    for &id in &sources.logs {
        let log = Log::open(sources, id)?;
        if log.is_unused(sources, losses) {
            continue;
        }
        let insert = &mut |batch: &[FrameView<'_>]| contents.insert(batch, &log.path);
        let read = chain.read(log.bytes.bytes(), id, &log.path, insert);
        logs_of_chain.push(log);
        if let Err(error) = read {
            contents.note(&error, &logs_of_chain);
            for log in logs_of_chain.drain(..) {
                contents.salvage(&log, sources);
            }
            chain = ChainReader::new(sources.store);
        }
    }
    let everything = (Bound::Unbounded, Bound::Unbounded);
    Ok((contents.memtable.cursor(everything), contents.ranges))
}

/// All bytes of a log.
struct Log {
    id: u64,
    path: PathBuf,
    bytes: Arc<dyn Mapped>,
}

impl Log {
    fn open(sources: &Sources, id: u64) -> Result<Self> {
        let path = sources.dir.file(&LOG.name(id));
        let bytes = read_whole(&*sources.dir.fs().open(&path)?)?;
        Ok(Self { id, path, bytes })
    }

    /// Whether nothing is to be taken from the log: it belongs to another store, or is another one of this store, which is a loss; or it
    /// was only begun and no manifest names it.
    fn is_unused(&self, sources: &Sources, losses: &Losses) -> bool {
        let bytes = self.bytes.bytes();
        let is_of_other = |header: SegmentHeader| {
            (header.identity.store, header.identity.id) != (sources.store, self.id)
        };
        let is_foreign = SegmentHeader::stated(bytes).is_some_and(is_of_other);
        if is_foreign {
            let what = "another log than the one of this name";
            losses.add(Loss::new(Lost::ForeignFile, &self.path, 0..bytes.len() as u64, what));
        }
        is_foreign || !sources.trusts_manifest && bytes.iter().all(|byte| *byte == 0)
    }
}

/// What the logs have.
#[derive(Default)]
struct Contents {
    memtable: Memtable,
    ranges: Fragments,
    /// The newest batch so far, those that are flushed included.
    newest: Option<u64>,
    losses: Losses,
}

impl Contents {
    /// Adds the operations of `batch`. A batch or a part of it may come again.
    ///
    /// # Errors
    /// `Corruption` of a record.
    fn insert(&mut self, batch: &[FrameView<'_>], path: &Path) -> Result<()> {
        let records = Record::decode_batch(batch, path)?;
        let (sequence, offset) = (batch[0].sequence, batch[0].offset);
        self.note_gap(sequence, offset, path);
        let ranges = Record::deleted_ranges(&records);
        if !ranges.is_empty() {
            self.ranges = self.ranges.union(&Fragments::of(ranges, sequence));
        }
        for record in &records {
            let Some(kind) = record.meaning.entry() else { continue };
            let trailer = Trailer::new(sequence, kind);
            if !self.memtable.has(record.key, trailer) {
                self.memtable.insert(record.key, trailer, record.value);
            }
        }
        Ok(())
    }

    /// Batches have consecutive numbers. Those that are missing in front of batch `sequence` are a loss.
    fn note_gap(&mut self, sequence: u64, offset: u64, path: &Path) {
        let newest = self.newest.unwrap_or(sequence).max(sequence);
        let before = self.newest.replace(newest);
        if let Some(before) = before.filter(|before| sequence > before + 1) {
            let (first, last) = (before + 1, sequence - 1);
            let what =
                format!("batches {first} to {last} are missing in front of batch {sequence}");
            self.losses.add(Loss::new(Lost::Entries, path, offset..offset, what));
        }
    }

    /// Adds every frame of `log` that can be read. What is between them is a loss.
    fn salvage(&mut self, log: &Log, sources: &Sources) {
        let salvaged = salvage_segment(log.bytes.bytes(), sources.store, log.id);
        for skipped in salvaged.skipped {
            let what = "no frame with right checksums";
            self.losses.add(Loss::new(Lost::Entries, &log.path, skipped, what));
        }
        for frame in &salvaged.frames {
            if let Err(error) = self.insert(std::slice::from_ref(frame), &log.path) {
                self.losses.add(Loss::of(Lost::Entries, &error, &log.path, frame.end()));
            }
        }
    }

    /// The damage that ended a chain of `logs` is a loss up to the end of its file.
    fn note(&self, error: &Error, logs: &[Log]) {
        let is_damaged =
            |log: &&Log| matches!(error, Error::Corruption { path, .. } if *path == log.path);
        let damaged = logs.iter().find(is_damaged).or(logs.last());
        if let Some(log) = damaged {
            let len = log.bytes.bytes().len() as u64;
            self.losses.add(Loss::of(Lost::Entries, error, &log.path, len));
        }
    }
}
