//! The commit section: the only place where sequence numbers are made and writes become visible.
//!
//! Under one lock a batch gets its number, is appended to the active data file and, if nothing earlier is still
//! waiting for the disk, enters the keydir. A batch of class `Sync` waits instead: it becomes visible once it is
//! durable, and every later batch of any class waits behind it, because batches become visible in the order of their
//! numbers. The waiting ones stand in a queue; whoever finds the head of the queue durable publishes it, reading the
//! records back from the log.
//!
//! Lock order: the merge that goes on; commit; the next file; sealing; the queue of unsealed files; the manifest; the change of the file table;
//! the open views; a shard of the keydir. The locks inside `durable::log` are taken last and hold none of these.

use std::collections::VecDeque;
use std::sync::Arc;

use durable::JobClass;
use durable::log::{FrameView, Position, Span, Writer, frame_len};
use kv::{Durability, Error, Result, SequenceNumber};

use crate::deleter::Life;
use crate::engine::Inner;
use crate::keydir::{Keydir, Location, Version};
use crate::planted::Mistake;
use crate::record::{Encoded, Record};

/// The largest batch, in bytes of log: offsets in one file must stay below 4 GiB.
const MAX_BATCH_BYTES: u64 = (4 << 30) - 4096;

/// What the commit section owns.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) writer: Writer,
    /// The active data file.
    pub(crate) active: Option<Arc<Life>>,
    /// The newest number given away.
    pub(crate) newest: u64,
    /// The newest number that readers see.
    pub(crate) published: u64,
    /// Written and not visible yet, in order.
    waiting: VecDeque<Waiting>,
    /// When the active file has grown to this, the next one is prepared.
    pub(crate) prepare_at: u64,
    pub(crate) closed: bool,
    pub(crate) counts: Counts,
}

/// What has been written through this handle.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) batches: u64,
    pub(crate) puts: u64,
    pub(crate) deletes: u64,
    pub(crate) user_bytes: u64,
    pub(crate) log_bytes: u64,
}

/// A batch that is in the log and not in the keydir.
#[derive(Debug)]
struct Waiting {
    span: Span,
    file: u16,
    sequence: u64,
    /// How far the log must be durable before the batch may be seen.
    durable_to: Position,
}

impl Commit {
    pub(crate) fn new(writer: Writer, newest: u64) -> Self {
        Self {
            writer,
            active: None,
            newest,
            published: newest,
            waiting: VecDeque::new(),
            prepare_at: u64::MAX,
            closed: false,
            counts: Counts::default(),
        }
    }

    fn count(&mut self, ops: &[Encoded<'_>], log_bytes: u64) {
        self.counts.batches += 1;
        self.counts.log_bytes += log_bytes;
        for op in ops {
            self.counts.puts += u64::from(op.is_put());
            self.counts.deletes += u64::from(!op.is_put());
            self.counts.user_bytes += op.user_bytes();
        }
    }

    /// Notes in the active file when the puts of a batch expire, before any of them is visible.
    fn note_expiries(&self, ops: &[Encoded<'_>]) {
        let active = self.active.as_ref().expect("the segment just written to");
        for expires_at in ops.iter().filter_map(Encoded::expires_at) {
            active.first_expiry.note(expires_at);
        }
    }
}

impl Inner {
    /// Writes one batch, which is canonical and within its limits.
    pub(crate) fn commit(
        &self,
        ops: &[Encoded<'_>],
        durability: Durability,
    ) -> Result<SequenceNumber> {
        let batch_len = Writer::batch_len(ops.iter().map(Encoded::payload_len));
        if batch_len > MAX_BATCH_BYTES {
            let what = format!("a batch of {batch_len} bytes; the limit is {MAX_BATCH_BYTES}");
            return Err(Error::InvalidArgument(what));
        }
        let early = self.options.has(Mistake::AcknowledgeBeforeSync);
        let durability = if early { Durability::Buffered } else { durability };
        if ops.iter().any(Encoded::is_put) {
            self.admit(batch_len)?;
        }
        let mut commit = self.commit.lock();
        if commit.closed {
            return Err(Error::Closed);
        }
        self.sync.check()?;
        if self.keydir.is_full() && ops.iter().any(Encoded::is_put) {
            return Err(Error::InvalidArgument("the key directory is full; delete keys".into()));
        }
        if !commit.writer.has_room(batch_len) {
            self.rotate(&mut commit, batch_len)?;
        }
        let sequence = commit.newest + 1;
        let forgotten = usize::from(self.options.has(Mistake::ForgetLastRecordOfBatch));
        let logged = &ops[..(ops.len() - forgotten).max(1)];
        let span = commit.writer.append(sequence, logged.iter().map(Encoded::frame))?;
        commit.newest = sequence;
        commit.count(ops, span.len);
        commit.note_expiries(ops);
        if span.offset >= commit.prepare_at {
            commit.prepare_at = u64::MAX;
            self.submit(JobClass::Urgent, "bitcask-prepare", Self::prepare_next);
        }
        let durable_to = match (durability, commit.waiting.back()) {
            (Durability::Sync, _) => span.end(),
            (_, Some(earlier)) => earlier.durable_to,
            (_, None) => {
                self.publish(&mut commit, ops, &span);
                return Ok(SequenceNumber(sequence));
            }
        };
        let file = commit.active.as_ref().expect("the segment just written to").number;
        commit.waiting.push_back(Waiting { span, file, sequence, durable_to });
        drop(commit);
        match self.sync.sync_to(durable_to) {
            Err(_) if self.options.has(Mistake::AcknowledgeFailedSync) => {}
            synced => synced?,
        }
        self.publish_durable(sequence)?;
        Ok(SequenceNumber(sequence))
    }

    /// Makes everything written so far durable, and visible.
    pub(crate) fn sync_all(&self) -> Result<()> {
        let commit = self.commit.lock();
        if commit.closed {
            return Err(Error::Closed);
        }
        let (position, newest) = (commit.writer.position(), commit.newest);
        drop(commit);
        self.sync.check()?;
        self.sync.sync_to(position)?;
        self.publish_durable(newest)
    }

    /// Publishes a batch that nothing earlier waits before.
    fn publish(&self, commit: &mut Commit, ops: &[Encoded<'_>], span: &Span) {
        let file = commit.active.as_ref().expect("the segment just written to").number;
        let mut offset = span.offset;
        let _applying = self.applying.begin(commit.newest, ops.len());
        for some in ops.chunks(Keydir::WARMED) {
            if some.len() > 1 {
                self.keydir.warm(some.iter().map(|op| op.key));
            }
            for op in some {
                let len = frame_len(op.payload_len()) as u64;
                let location = Location { file, offset, len };
                self.apply(op.key, op.is_put().then_some(location), commit.newest);
                offset += len;
            }
        }
        commit.published = commit.newest;
        self.views.keep_within(self.options.undo_bytes);
    }

    /// Publishes every waiting batch whose turn has come, at least up to `sequence`, which is durable.
    fn publish_durable(&self, sequence: u64) -> Result<()> {
        let mut commit = self.commit.lock();
        if commit.published >= sequence {
            return Ok(());
        }
        let durable = self.sync.durable();
        while commit.waiting.front().is_some_and(|head| head.durable_to <= durable) {
            let Some(head) = commit.waiting.pop_front() else { break };
            self.publish_from_log(&head).map_err(|error| self.sync.poison(error))?;
            commit.published = head.sequence;
            self.views.keep_within(self.options.undo_bytes);
        }
        Ok(())
    }

    fn publish_from_log(&self, waiting: &Waiting) -> Result<()> {
        let Waiting { span, file, sequence, .. } = waiting;
        let _applying = self.applying.begin(*sequence, usize::MAX);
        let (segment, path) = (&span.segment, span.segment.path());
        let mut offset = span.offset;
        let mut result = Ok(());
        segment.read(span.offset, span.len as usize, &mut |bytes| {
            result = (|| {
                while offset < span.offset + span.len {
                    let rest = &bytes[(offset - span.offset) as usize..];
                    let frame = FrameView::expect(rest, segment.salt(), offset, path)?;
                    let record = Record::decode(&frame, path)?;
                    let location = Location { file: *file, offset, len: frame.len() };
                    let put = matches!(record, Record::Put { .. });
                    self.apply(record.key(), put.then_some(location), *sequence);
                    offset = frame.end();
                }
                Ok(())
            })();
        })?;
        result
    }

    /// Enters one record into the keydir; `None` deletes.
    fn apply(&self, key: &[u8], location: Option<Location>, sequence: u64) {
        let undo = self.views.undo();
        let replaced = match location {
            Some(location) => self.keydir.put(key, Version { location, sequence }, undo),
            None if self.options.has(Mistake::ForgetDeletion) => None,
            None => self.keydir.remove(key, sequence, undo),
        };
        let files = self.files.load();
        if let Some(location) = location
            && let Some(file) = files.get(location.file)
        {
            file.life.live.add(location);
        }
        // A file that a merge has just taken out needs no count any more.
        if let Some(old) = replaced
            && let Some(file) = files.get(old.location.file)
        {
            file.life.live.subtract(old.location);
        }
    }
}
