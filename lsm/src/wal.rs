//! The write-ahead log: its segments from the first byte to the removal.
//!
//! **Beginning** a segment: create it, write and sync its header, sync the directory, name it in the manifest. Only then is
//! anything appended to it, so recovery never has to guess which segments exist. Because that takes several syncs, the next
//! segment is prepared in the background when the active one is half full.
//!
//! **Ending** a segment: the commit section appends the end mark, and hands the segment over with the number of its newest
//! batch. Nobody syncs it for that: the next round of group commit does.
//!
//! **Retiring** a segment: when every batch of it is in a table, the edit that names the table removes the segment from the
//! manifest. Then it leaves the group commit unsynced, and its file is unlinked by a job. A segment is never used again.

use std::collections::VecDeque;
use std::sync::Arc;

use durable::log::{Position, PreparedSegment, Segment, SegmentLayout};
use durable::reclaim::FileReclaimer;
use durable::sync::Mutex;
use kv::Result;

use crate::file_ids::FileIds;
use crate::files::LOG;
use crate::lock_order::Lock;
use crate::state::Edit;
use crate::steps::Step;
use crate::store::Store;

/// The segments of the log that are not active.
#[derive(Debug)]
pub(crate) struct Wal {
    store: Arc<Store>,
    ids: Arc<FileIds>,
    reclaimer: Arc<FileReclaimer>,
    /// How large a segment is unless a batch needs a larger one, in bytes.
    usual_bytes: u64,
    /// The segment after the active one.
    prepared: PreparedSegment,
    /// The ended segments that the manifest still names, oldest first.
    ended: Mutex<VecDeque<EndedSegment>>,
}

#[derive(Clone, Copy, Debug)]
struct EndedSegment {
    id: u64,
    /// No batch in it has a higher number.
    newest: u64,
}

impl Wal {
    /// A log without segments.
    pub(crate) fn new(
        store: Arc<Store>,
        ids: Arc<FileIds>,
        reclaimer: Arc<FileReclaimer>,
        usual_bytes: u64,
    ) -> Self {
        let prepared = PreparedSegment::new(Lock::PreparedSegment.rank());
        let ended = Mutex::ranked(Lock::EndedSegments.rank(), VecDeque::new());
        Self { store, ids, reclaimer, usual_bytes, prepared, ended }
    }

    /// The prepared segment if it has room for a batch of `batch_len` bytes, else a new one.
    ///
    /// # Errors
    /// `Io`, with `StorageFull` when there is no space; `Poisoned`.
    pub(crate) fn next_segment(&self, batch_len: u64) -> Result<Segment> {
        let begin = |needed: u64| self.begin(needed.max(self.usual_bytes));
        let discard = |too_small: &Segment| {
            self.store.steps.run(Step::DiscardPrepared, || self.discard(too_small))
        };
        self.prepared.take(batch_len, discard, begin)
    }

    /// Begins the next segment if that has not happened yet.
    pub(crate) fn prepare(&self) {
        if !self.store.is_abandoned() && self.store.check().is_ok() {
            self.prepared.prepare(|| self.begin(self.usual_bytes));
        }
    }

    /// The active segment has ended. No batch in it has a higher number than `newest`.
    pub(crate) fn push_ended(&self, segment: &Segment, newest: u64) {
        let mut ended = self.ended.lock();
        let is_next =
            ended.back().is_none_or(|last| last.id < segment.id() && last.newest <= newest);
        assert!(is_next, "segments end in the order of the log");
        ended.push_back(EndedSegment { id: segment.id(), newest });
    }

    /// Prepares no segment any more: the store is being closed. A writer that needs one begins it itself, and reports.
    pub(crate) fn stop_preparing(&self) {
        self.prepared.stop();
    }

    /// The ended segments without a batch behind number `flushed`.
    pub(crate) fn ended_up_to(&self, flushed: u64) -> Vec<u64> {
        let ended = self.ended.lock();
        let goes = |segment: &&EndedSegment| {
            self.store.steps.check(Step::KeepUnflushedSegments, segment.newest <= flushed)
        };
        ended.iter().take_while(goes).map(|segment| segment.id).collect()
    }

    /// The manifest names a table with every batch before `position`, and no longer names `segments`, the oldest ones. They
    /// leave the group commit.
    pub(crate) fn retire(&self, position: Position, segments: &[u64]) {
        debug_assert!(segments.iter().all(|id| !self.store.state().logs.contains(id)));
        let mut ended = self.ended.lock();
        ended.retain(|segment| !segments.contains(&segment.id));
        drop(ended);
        self.store.steps.run(Step::RetireSegments, || {
            self.store.log().retire(position, segments);
        });
    }

    /// Has jobs unlink `segments`, which the manifest no longer names.
    pub(crate) fn unlink(&self, segments: &[u64]) {
        for &id in segments {
            let lifetime = self.reclaimer.track([LOG.name(id)]);
            lifetime.retire();
            // Nobody reads a log of an open store, so this is its last reader.
            drop(lifetime);
        }
    }

    /// Takes back the prepared segment, and prepares none any more. Then removes every segment: no batch of the log is
    /// needed any more. `active` is the end of the active segment, which gets no more appends.
    ///
    /// # Errors
    /// `Io`; `Poisoned`.
    pub(crate) fn close(&self, active: Position) -> Result<()> {
        drop(self.prepared.close());
        let state = self.store.state();
        let logs: Vec<u64> = state.logs.iter().copied().collect();
        if logs.is_empty() {
            return Ok(());
        }
        self.store.edit(&Edit::remove_logs(logs.clone()))?;
        self.retire(active, &logs);
        self.unlink(&logs);
        Ok(())
    }

    fn begin(&self, capacity: u64) -> Result<Segment> {
        let mut ids = self.ids.begin();
        loop {
            self.store.check_in_place()?;
            let id = ids.next()?;
            let (path, layout) = (self.store.log_path(id), SegmentLayout::Witnessed);
            // `None`: another program has a file of that name.
            if let Some(segment) = self.store.begin_segment(id, &path, capacity, layout)? {
                assert_eq!(segment.id(), id, "the segment has the number that was taken");
                let name = || self.store.edit(&Edit::begin_log(&segment.published()));
                let named = self.store.steps.run(Step::NameSegment, name);
                named.inspect_err(|_| self.store.remove_unnamed(segment.path()))?;
                return Ok(segment);
            }
        }
    }

    /// Takes back a segment that was begun and never written to.
    fn discard(&self, segment: &Segment) -> Result<()> {
        assert!(segment.is_empty(), "the segment has no batch");
        self.store.edit(&Edit::remove_logs(vec![segment.id()]))?;
        self.unlink(&[segment.id()]);
        Ok(())
    }
}
