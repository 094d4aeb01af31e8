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
use std::io::ErrorKind;
use std::sync::Arc;

use durable::log::{Position, Segment, SegmentLayout, Writer};
use durable::reclaim::FileReclaimer;
use durable::sync::Mutex;
use kv::Result;

use crate::file_ids::FileIds;
use crate::files::LOG;
use crate::lock_order::Lock;
use crate::state::Edit;
use crate::store::Store;

/// The segments of the log that are not active.
#[derive(Debug)]
pub(crate) struct Wal {
    store: Arc<Store>,
    ids: Arc<FileIds>,
    reclaimer: Arc<FileReclaimer>,
    /// How large a segment is unless a batch needs a larger one, in bytes.
    usual_bytes: u64,
    /// Held while a segment is begun.
    prepared: Mutex<Prepared>,
    /// The ended segments that the manifest still names, oldest first.
    ended: Mutex<VecDeque<EndedSegment>>,
}

/// The segment after the active one. Guarded by `Wal::prepared`.
#[derive(Debug, Default)]
struct Prepared {
    /// It was begun ahead of need.
    segment: Option<Segment>,
    /// The store is being closed: no segment is prepared any more.
    closed: bool,
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
        let prepared = Mutex::ranked(Lock::PreparedSegment.rank(), Prepared::default());
        let ended = Mutex::ranked(Lock::EndedSegments.rank(), VecDeque::new());
        Self { store, ids, reclaimer, usual_bytes, prepared, ended }
    }

    /// The prepared segment if it has room for a batch of `batch_len` bytes, else a new one.
    ///
    /// # Errors
    /// `Io`, with `StorageFull` when there is no space; `Poisoned`.
    pub(crate) fn next_segment(&self, batch_len: u64) -> Result<Segment> {
        let needed = Writer::capacity_for(batch_len);
        let mut prepared = self.prepared.lock();
        match prepared.segment.take() {
            Some(segment) if needed <= segment.capacity() => return Ok(segment),
            // An empty segment would end the log before the segments after it, so it is kept until the manifest no longer
            // names it.
            Some(too_small) => {
                if let Err(error) = self.discard(&too_small) {
                    prepared.segment = Some(too_small);
                    return Err(error);
                }
            }
            None => {}
        }
        debug_assert!(prepared.segment.is_none(), "it was taken or discarded");
        self.begin(needed.max(self.usual_bytes))
    }

    /// Begins the next segment if that has not happened yet. A failure loses nothing: the writer that needs the segment
    /// begins it again, and reports.
    pub(crate) fn prepare(&self) {
        let mut prepared = self.prepared.lock();
        let is_wanted = prepared.segment.is_none() && !prepared.closed;
        if is_wanted && !self.store.is_abandoned() && self.store.check().is_ok() {
            prepared.segment = self.begin(self.usual_bytes).ok();
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
        self.prepared.lock().closed = true;
    }

    /// The ended segments without a batch behind number `flushed`.
    pub(crate) fn ended_up_to(&self, flushed: u64) -> Vec<u64> {
        let ended = self.ended.lock();
        ended.iter().take_while(|segment| segment.newest <= flushed).map(|one| one.id).collect()
    }

    /// The manifest names a table with every batch before `position`, and no longer names `segments`, the oldest ones.
    pub(crate) fn retire(&self, position: Position, segments: &[u64]) {
        debug_assert!(segments.iter().all(|id| !self.store.state().logs.contains(id)));
        let mut ended = self.ended.lock();
        ended.retain(|segment| !segments.contains(&segment.id));
        drop(ended);
        self.store.log().retire(position, segments);
        for &id in segments {
            unlink(&self.reclaimer, id);
        }
    }

    /// Takes back the prepared segment, and prepares none any more. Then removes every segment: no batch of the log is
    /// needed any more. `active` is the end of the active segment, which gets no more appends.
    ///
    /// # Errors
    /// `Io`; `Poisoned`.
    pub(crate) fn close(&self, active: Position) -> Result<()> {
        let mut prepared = self.prepared.lock();
        prepared.closed = true;
        drop(prepared.segment.take());
        drop(prepared);
        let state = self.store.state();
        let logs: Vec<u64> = state.logs.iter().copied().collect();
        if logs.is_empty() {
            return Ok(());
        }
        self.store.edit(&Edit::remove_logs(logs.clone()))?;
        self.retire(active, &logs);
        Ok(())
    }

    fn begin(&self, capacity: u64) -> Result<Segment> {
        let mut ids = self.ids.begin();
        loop {
            self.store.check_in_place()?;
            let id = ids.next()?;
            if let Some(segment) = self.create(id, capacity)? {
                assert_eq!(segment.id(), id, "the segment has the number that was taken");
                let named = self.store.edit(&Edit::begin_log(&segment.published()));
                named.inspect_err(|_| self.remove_unnamed(&segment))?;
                return Ok(segment);
            }
        }
    }

    /// Removes a file after the edit that names it has failed. In a poisoned store the edit may be durable, so the file
    /// stays.
    fn remove_unnamed(&self, segment: &Segment) {
        if self.store.check().is_ok() {
            drop(self.store.fs().remove(segment.path()));
        }
    }

    /// Creates log `id`. `None`: another program has a file of that name, which stays as it is.
    fn create(&self, id: u64, capacity: u64) -> Result<Option<Segment>> {
        let (fs, path) = (self.store.fs(), self.store.log_path(id));
        let layout = SegmentLayout::Witnessed;
        let identity = self.store.identity(id);
        let file = match Segment::create_file(fs, &path, capacity, layout, identity) {
            Err(error) if error.io_kind() == Some(ErrorKind::AlreadyExists) => return Ok(None),
            // Without space or file handles: the file may exist, and the manifest does not name it.
            Err(error) => {
                drop(fs.remove(&path));
                return Err(error);
            }
            Ok(file) => file,
        };
        match Segment::begin(fs, file) {
            // The directory could not be opened, and the file was removed again.
            Err(error) if error.is_out_of_file_handles() => Err(error),
            begun => begun.map(Some).map_err(|error| self.store.poison(error)),
        }
    }

    /// Takes back a segment that was begun and never written to.
    fn discard(&self, segment: &Segment) -> Result<()> {
        assert!(segment.is_empty(), "the segment has no batch");
        self.store.edit(&Edit::remove_logs(vec![segment.id()]))?;
        unlink(&self.reclaimer, segment.id());
        Ok(())
    }
}

/// Has a job unlink log `id`, which the manifest no longer names.
pub(crate) fn unlink(reclaimer: &Arc<FileReclaimer>, id: u64) {
    let lifetime = reclaimer.track([LOG.name(id)]);
    lifetime.retire();
    // Nobody reads a log of an open store, so this is its last reader.
    drop(lifetime);
}
