//! The state of the commit section.

use std::sync::Arc;

use durable::log::publication::PublicationQueue;
use durable::log::{GroupSync, WriteCounts, Writer};
use kv::{Error, Result};

use crate::internal_key::{SEQUENCE_LIMIT, Trailer};
use crate::memtable::{Memtable, entry_bytes};
use crate::record::Record;

/// The state of the commit section. Guarded by `Committer::section`.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) writer: Writer,
    /// The active memtable.
    pub(super) memtable: Arc<Memtable>,
    /// The newest number that was given to a batch.
    pub(super) newest: u64,
    /// Which batches are visible, and which wait for the disk.
    pub(super) publication: PublicationQueue<()>,
    /// When the active segment has grown to this many bytes, the next one is prepared.
    pub(super) prepare_at: u64,
    pub(super) closed: bool,
    pub(super) counts: WriteCounts,
    /// Ranges that batches have deleted.
    pub(super) range_deletes: u64,
}

impl Section {
    /// The section of a log that `sync` makes durable, after batch `newest`.
    pub(super) fn new(sync: Arc<GroupSync>, memtable: Arc<Memtable>, newest: u64) -> Self {
        Self {
            writer: Writer::new(sync),
            memtable,
            newest,
            publication: PublicationQueue::new(newest),
            prepare_at: u64::MAX,
            closed: false,
            counts: WriteCounts::default(),
            range_deletes: 0,
        }
    }

    /// The number of the next batch.
    ///
    /// # Errors
    /// `InvalidArgument` when the store has given all its numbers away.
    #[inline]
    pub(super) fn next_sequence(&self) -> Result<u64> {
        let next = self.newest + 1;
        if next < SEQUENCE_LIMIT {
            return Ok(next);
        }
        let last = SEQUENCE_LIMIT - 1;
        Err(Error::InvalidArgument(format!("the last sequence number, {last}, is used up")))
    }

    /// Whether the active memtable takes `records` without growing above `limit` bytes or having too many range tombstones.
    /// An empty one takes all.
    #[inline]
    pub(super) fn has_room(&self, records: &[Record<'_>], limit: u64) -> bool {
        let len = |record: &Record<'_>| entry_bytes(record.key.len() + record.value.len());
        let bytes: u64 = records.iter().map(len).sum();
        let fits = self.memtable.bytes().saturating_add(bytes) <= limit;
        let ranges = || records.iter().take_while(|record| record.deletes_range()).count();
        self.memtable.is_empty() || (fits && self.memtable.has_room_for_ranges(ranges()))
    }

    /// Inserts batch `sequence`, which is in the log.
    #[inline]
    pub(super) fn insert(&mut self, sequence: u64, records: &[Record<'_>]) {
        debug_assert!(sequence > self.publication.visible(), "it is not visible yet");
        if Record::delete_ranges(records) {
            let ranges = Record::deleted_ranges(records);
            self.range_deletes += ranges.len() as u64;
            self.memtable.insert_ranges(ranges, sequence);
        }
        for record in records {
            if let Some(kind) = record.meaning.entry() {
                self.memtable.insert(record.key, Trailer::new(sequence, kind), record.value);
            }
        }
    }
}
