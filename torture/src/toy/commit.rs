//! The state behind the toy's lock: the log, the numbers, and the queue of batches that wait for the disk.

use std::collections::VecDeque;

use durable::is_disk_full;
use kv::memory::MemoryEngine;
use kv::{Durability, Error, Kv as _, Op, Result, SequenceNumber, WriteBatch};

use super::bug::Bug;
use super::format;
use super::log::Log;

#[derive(Debug)]
pub(super) struct State {
    pub(super) log: Log,
    /// The newest number given out.
    pub(super) newest: SequenceNumber,
    /// Written and not visible yet, in the order of their numbers.
    waiting: VecDeque<Waiting>,
    /// The failure after which nothing is written any more.
    pub(super) failure: Option<Error>,
    pub(super) is_closed: bool,
    /// A compaction is queued.
    pub(super) is_queued: bool,
    pub(super) bug: Option<Bug>,
}

#[derive(Debug)]
struct Waiting {
    batch: WriteBatch,
    /// The batch becomes visible once the log is durable up to here.
    durable_to: u64,
}

impl State {
    pub(super) fn new(log: Log, newest: SequenceNumber, bug: Option<Bug>) -> Self {
        let (waiting, failure) = (VecDeque::new(), None);
        Self { log, newest, waiting, failure, is_closed: false, is_queued: false, bug }
    }

    pub(super) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Refuses calls on a closed engine, and writes after a failure.
    pub(super) fn check(&self) -> Result<()> {
        if self.is_closed {
            return Err(Error::Closed);
        }
        self.refuse_if_failed()
    }

    pub(super) fn refuse_if_failed(&self) -> Result<()> {
        let refused = |cause: &Error| Error::Poisoned { cause: Box::new(cause.clone()) };
        self.failure.as_ref().map_or(Ok(()), |cause| Err(refused(cause)))
    }

    /// Passes `result` on and remembers its failure: the content of the disk is unknown from here on.
    pub(super) fn failing<T>(&mut self, result: Result<T>) -> Result<T> {
        result.inspect_err(|error| self.failure = Some(error.clone()))
    }

    /// Appends the frame of `batch` and returns its number.
    pub(super) fn append(&mut self, batch: &WriteBatch) -> Result<SequenceNumber> {
        let sequence = self.newest.next();
        let ops: Vec<Op<'_>> = batch.ops().collect();
        let forgotten = usize::from(self.has(Bug::LastOperationForgotten) && ops.len() > 1);
        let ops = &ops[..ops.len() - forgotten];
        let pieces = if self.has(Bug::BatchInPieces) { 1 } else { ops.len() };
        for ops in ops.chunks(pieces) {
            let frame = format::frame(&self.log, sequence, ops);
            if self.has(Bug::FramesHeldBack) {
                self.log.hold_back(&frame);
            } else {
                let appended = self.log.append(&frame);
                appended.map_err(|error| self.refuse(error, &frame))?;
            }
        }
        assert!(sequence > self.newest, "numbers ascend");
        self.newest = sequence;
        Ok(sequence)
    }

    /// An append of `frame` has failed. If it found no space, the log is cut back, and the store goes on. After any other
    /// failure the content of the log is unknown.
    fn refuse(&mut self, error: Error, frame: &[u8]) -> Error {
        if !is_disk_full(&error) || self.has(Bug::FullDiskPoisons) {
            self.failure = Some(error.clone());
        } else if self.has(Bug::LengthAdvancesWithoutSpace) {
            self.log.advance(frame);
        } else if let Err(cause) = self.log.cut_back() {
            self.failure = Some(cause);
        }
        error
    }

    /// Makes a batch that was appended visible at once if nothing holds it back. Otherwise the batch waits, and the
    /// result says how far the log must be durable.
    pub(super) fn enqueue(
        &mut self,
        batch: &WriteBatch,
        durability: Durability,
        memory: &MemoryEngine,
    ) -> Result<Option<u64>> {
        let durable_to = match (durability, self.waiting.back()) {
            (Durability::Sync, _) => self.log.end(),
            (_, Some(earlier)) => earlier.durable_to,
            (_, None) => return self.show(batch, memory).map(|()| None),
        };
        if self.has(Bug::VisibleBeforeSync) {
            self.show(batch, memory)?;
            return Ok(Some(durable_to));
        }
        assert!(durable_to <= self.log.end(), "a batch that waits is in the log");
        let last = self.waiting.back();
        assert!(last.is_none_or(|last| last.durable_to <= durable_to), "the queue is in order");
        self.waiting.push_back(Waiting { batch: batch.clone(), durable_to });
        Ok(Some(durable_to))
    }

    /// The log is durable up to `end`: publishes the waiting batches that this covers.
    pub(super) fn publish(&mut self, end: u64, memory: &MemoryEngine) -> Result<()> {
        self.log.note_durable(end);
        let durable =
            if self.has(Bug::WholeQueuePublished) { u64::MAX } else { self.log.durable() };
        while self.waiting.front().is_some_and(|head| head.durable_to <= durable) {
            let Some(head) = self.waiting.pop_front() else { break };
            self.show(&head.batch, memory)?;
            if self.has(Bug::AcknowledgedBeforeVisible) {
                break;
            }
        }
        Ok(())
    }

    /// Whether a batch waits for the disk.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Syncs the log under the lock, and publishes everything.
    pub(super) fn sync_all(&mut self, memory: &MemoryEngine) -> Result<()> {
        let synced = self.log.write_held_back().and_then(|()| self.log.file().sync());
        if self.has(Bug::WritesAfterFailedSync) { synced } else { self.failing(synced) }?;
        self.publish(self.log.end(), memory)
    }

    pub(super) fn show(&self, batch: &WriteBatch, memory: &MemoryEngine) -> Result<()> {
        if !self.has(Bug::BatchVisibleInPieces) {
            return memory.write(batch, Durability::None).map(drop);
        }
        for op in batch.ops() {
            let mut piece = WriteBatch::new();
            match op {
                Op::Put { key, value } | Op::PutExpiring { key, value, .. } => {
                    piece.put(key, value)
                }
                Op::Delete { key } => piece.delete(key),
            };
            memory.write(&piece, Durability::None)?;
            std::thread::yield_now();
        }
        Ok(())
    }
}
