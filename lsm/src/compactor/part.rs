//! One part of a compaction: a range of keys that one thread at a time merges, in small steps.

use std::fmt;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;

use kv::{Cursor as _, Error, Result};
use sstable::{MergingCursor, RunCursor};

use super::compaction::{Compaction, Counts};
use super::version_filter::{Fate, VersionFilter};
use crate::boundary::Boundary;
use crate::compaction::{OutputCutter, Part};
use crate::expiring;
use crate::internal_key::{self, Kind, LAYOUT, Trailer, encoded};
use crate::range_tombstones::{DeletedRange, Fragments};
use crate::table_file::TableRun;
use crate::table_writer::{NewRun, NewTable, TableWriter};

/// So many bytes of keys and values are read in one step: a few milliseconds of work.
const STEP_BYTES: u64 = 1 << 20;

/// A part that is merged. It takes memory for one block of each input run and the buffers of one table.
pub(super) struct PartMerge {
    pub(super) compaction: Arc<Compaction>,
    /// Parts are numbered in the order of their keys.
    pub(super) number: usize,
    merged: MergingCursor<RunCursor<TableRun>>,
    /// Whether the cursor is on an entry. `None`: it has not moved yet.
    is_on_entry: Option<bool>,
    filter: VersionFilter,
    cutter: OutputCutter<Boundary>,
    output: NewRun,
    counts: Counts,
    /// The keys of the part.
    keys: DeletedRange,
    /// A file of each source, for messages.
    paths: Vec<PathBuf>,
}

impl PartMerge {
    /// The merge of `part` of `compaction`, whose inputs are `runs`, the newest first.
    ///
    /// # Errors
    /// `InvalidArgument` when a run is not in order.
    pub(super) fn new(
        (compaction, number): (Arc<Compaction>, usize),
        part: &Part<Boundary>,
        runs: &[TableRun],
        filter: VersionFilter,
        cutter: OutputCutter<Boundary>,
    ) -> Result<Self> {
        let key = |at: &Boundary| at.key().expect("a part begins with a key").to_vec();
        let keys = DeletedRange { start: key(&part.from), end: part.to.as_ref().map(key) };
        let from = encoded(&keys.start, Trailer::NEWEST);
        let to = keys.end.as_ref().map(|to| encoded(to, Trailer::NEWEST));
        let end = to.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let cursor =
            |run: &TableRun| RunCursor::new(run.clone(), LAYOUT, (Bound::Included(&from[..]), end));
        let cursors = runs.iter().map(cursor).collect::<Result<Vec<_>>>()?;
        let path = |run: &TableRun| run.tables()[0].path().to_path_buf();
        Ok(Self {
            compaction,
            number,
            merged: MergingCursor::new(LAYOUT, cursors),
            is_on_entry: None,
            filter,
            cutter: cutter.for_part(part),
            output: NewRun::default(),
            counts: Counts::default(),
            keys,
            paths: runs.iter().map(path).collect(),
        })
    }

    /// Merges about [`STEP_BYTES`]. `false`: the part is done, and its last table is durable.
    ///
    /// # Errors
    /// `Corruption` of an input; `Io`.
    pub(super) fn step(&mut self, writer: TableWriter<'_>) -> Result<bool> {
        let mut is_on_entry = if let Some(is_on_entry) = self.is_on_entry {
            is_on_entry
        } else {
            self.begin()?;
            self.merged.next()?
        };
        let mut read = 0;
        while is_on_entry && read < STEP_BYTES {
            read += self.merge_entry(writer)?;
            is_on_entry = self.merged.next()?;
        }
        self.is_on_entry = Some(is_on_entry);
        if !is_on_entry {
            writer.end_last_table(&mut self.output)?;
        }
        Ok(is_on_entry)
    }

    /// Reads the range tombstones of the inputs. Those that go because of newer ones in their input go first: a union cuts
    /// fragments, and each piece has all the numbers of the whole.
    fn begin(&mut self) -> Result<()> {
        let mut ranges = Fragments::default();
        for input in &self.compaction.inputs {
            if let Some(fragments) = input.fragments()? {
                let clipped = fragments.clipped(&self.keys);
                let seen = self.filter.without_hidden(&clipped);
                self.counts.ranges_dropped += (clipped.numbers() - seen.numbers()) as u64;
                ranges = ranges.union(&seen);
            }
        }
        if !ranges.is_empty() {
            let (kept, dropped) = self.filter.judge_ranges(ranges);
            self.output = NewRun::with(&kept);
            self.counts.ranges_dropped += dropped;
        }
        Ok(())
    }

    /// Writes the entry under the cursor, or leaves it out. Returns its bytes.
    fn merge_entry(&mut self, writer: TableWriter<'_>) -> Result<u64> {
        let kind = self.present_kind()?;
        let (user, trailer) = internal_key::split(self.merged.key())
            .ok_or_else(|| self.corruption("a key shorter than its suffix"))?;
        let fate = self.filter.judge(user, trailer.sequence(), kind);
        self.counts.entries_read += 1;
        match fate {
            Fate::Kept { begins_key } => {
                // All versions of a key are in one table.
                if begins_key && self.cutter.cuts_before(self.filter.user()) {
                    let user = self.filter.user().key().expect("the key of the last version");
                    writer.end_table_before(&mut self.output, user)?;
                }
                let (key, value) = self.merged.entry()?;
                let bytes = (key.len() + value.len()) as u64;
                let grown = if trailer.kind() == Some(kind) {
                    writer.add(&mut self.output, key, value)?
                } else {
                    self.counts.expired += 1;
                    let (user, _) = internal_key::split(key).unwrap_or((key, trailer));
                    let tombstone = encoded(user, trailer.as_tombstone());
                    writer.add(&mut self.output, &tombstone, &[])?
                };
                self.cutter.add(grown);
                return Ok(bytes);
            }
            Fate::Hidden => self.counts.hidden_dropped += 1,
            Fate::Spent => self.counts.tombstones_dropped += 1,
        }
        Ok(self.merged.key().len() as u64)
    }

    /// The kind of the entry under the cursor. One that has expired for every reader is a tombstone.
    #[inline]
    fn present_kind(&mut self) -> Result<Kind> {
        let trailer = internal_key::split(self.merged.key()).map(|(_, trailer)| trailer);
        let kind = trailer.and_then(Trailer::kind);
        let kind = kind.ok_or_else(|| self.corruption("an entry of an unknown kind"))?;
        if kind != Kind::Expiring {
            return Ok(kind);
        }
        let (_, bytes) = self.merged.entry()?;
        let end = expiring::split(bytes).map(|(end, _)| end);
        let end = end.ok_or_else(|| self.corruption("an entry too short for its end"))?;
        Ok(if self.filter.has_expired(end) { Kind::Tombstone } else { kind })
    }

    #[cold]
    fn corruption(&self, what: &str) -> Error {
        Error::corruption(&self.paths[self.merged.source()], 0, what)
    }

    /// The tables of the part, which is done.
    pub(super) fn into_outputs(self) -> (Vec<NewTable>, Counts) {
        debug_assert_eq!(self.is_on_entry, Some(false), "every entry was merged");
        (self.output.into_tables(), self.counts)
    }

    /// Gives up, and removes the files of the part.
    pub(super) fn discard(self, writer: TableWriter<'_>) {
        writer.discard(self.output);
    }
}

impl fmt::Debug for PartMerge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartMerge").field("number", &self.number).finish_non_exhaustive()
    }
}
