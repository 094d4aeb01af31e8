//! The commit section: the only place that assigns sequence numbers and makes writes visible.
//!
//! A batch goes through these steps. The commit section is the part under one lock:
//!
//! 1. Before the section, a batch with a put is held back: it waits under back-pressure, and it fails with `StorageFull`
//!    while the disk reserve is released and there is no space to recreate it. A batch of tombstones passes.
//! 2. The writer enters the section. It refuses the batch if the store is closed or poisoned, or if the keydir has no room
//!    for the keys. A batch that will be queued keeps its room reserved until it is applied.
//! 3. The writer gives the batch the next sequence number and appends it to the active data file. If the batch does not
//!    fit, the writer first begins the next file. This may sync, or seal an older file, inside the section. If the disk is
//!    full, a batch of tombstones releases the disk reserve and tries again.
//! 4. If the batch need not be durable and no batch waits, the writer applies it to the keydir and publishes it. The write
//!    returns. Applying raises the [`BatchBarrier`], so a get sees the batch whole or not at all.
//! 5. Otherwise the batch joins the [`PublicationQueue`], and the section ends. A batch of any class queues behind an
//!    earlier one that waits for the disk, because batches become visible in the order of their numbers. The queue stores
//!    the position up to which the log must be durable. For class `Sync` the position is the end of the batch. For other
//!    classes it is the position of the previous queued batch.
//! 6. The writer waits until the log is durable up to that position: it syncs the log, alone or with others.
//! 7. The writer enters the section again and publishes the durable batches at the head of the queue, in order. It reads
//!    their records back from the log. Its own batch may have been published by another writer.
//!
//! After each publication, the undo lists of open views are brought back into their budget.
//!
//! A thread that panics inside the section poisons the store ([`EnteredSection`]).
//!
//! [`PublicationQueue`]: durable::log::publication::PublicationQueue

mod admit;
mod apply;
mod section;

use std::sync::Arc;

use durable::log::{EnteredSection, Position, Span, WriteCounts, Writer};
use durable::sync::{Mutex, MutexGuard};
use kv::{Durability, Error, Result, SequenceNumber};

use crate::background::Task;
use crate::batch_barrier::BatchBarrier;
use crate::components::Components;
use crate::keydir::{Keydir, Reservation};
use crate::lock_order::Lock;
use crate::record::RecordWriter;
use crate::steps::Step;
use crate::views::View;
use section::{LoggedBatch, Section};

/// Commits batches.
#[derive(Debug)]
pub(crate) struct Committer {
    parts: Components,
    /// How much memory the undo lists of open views may take.
    undo_bytes: u64,
    /// The batch that is being applied to the keydir.
    barrier: BatchBarrier,
    section: Mutex<Section>,
}

impl Committer {
    /// A committer for a store whose newest batch has the number `newest`.
    pub(crate) fn new(parts: Components, undo_bytes: u64, newest: u64) -> Self {
        let section = Section::new(Arc::clone(parts.store.log()), newest);
        Self {
            parts,
            undo_bytes,
            barrier: BatchBarrier::default(),
            section: Mutex::ranked(Lock::Commit.rank(), section),
        }
    }

    /// Waits while a batch is being applied, unless the record of write `found` is older than it.
    pub(crate) fn wait_unless_older(&self, found: Option<u64>) {
        self.barrier.wait_unless_older(found);
    }

    /// The newest visible batch.
    pub(crate) fn published(&self) -> u64 {
        self.section.lock().publication.visible()
    }

    pub(crate) fn counts(&self) -> WriteCounts {
        self.section.lock().counts
    }

    /// A view of everything that is visible now.
    ///
    /// # Errors
    /// `Closed`.
    pub(crate) fn open_view(&self) -> Result<View> {
        let store = &self.parts.store;
        let early = store.steps.too_early(Step::ReadViewTime, || store.now());
        let section = self.enter()?;
        let now = || early.unwrap_or_else(|| store.now());
        Ok(self.parts.views.open(section.publication.visible(), now))
    }

    /// Writes one batch, which has at most one operation for each key and is within its limits.
    pub(crate) fn commit(
        &self,
        ops: &[RecordWriter<'_>],
        durability: Durability,
    ) -> Result<SequenceNumber> {
        debug_assert!(!ops.is_empty(), "an empty batch writes nothing");
        let batch_len = Writer::batch_len(ops.iter().map(RecordWriter::payload_len));
        let has_put = ops.iter().any(RecordWriter::is_put);
        self.admit(batch_len, has_put)?;
        let mut section = self.enter_to_write(ops)?;
        self.parts.store.check()?;
        let room = self.check_room(&section, ops, durability)?;
        let span = self.append_with_reserve(&mut section, ops, batch_len, has_put)?;
        let own_end = || (durability == Durability::Sync).then(|| span.end());
        let before = section.publication.position_to_wait_for();
        let steps = &self.parts.store.steps;
        match (steps.run(Step::QueueUntilDurable, own_end).or(before), room) {
            (Some(durable_to), Some(room)) => {
                self.commit_when_durable(section, span, durable_to, room)
            }
            // The batch need not be durable, and no batch waits.
            _ => Ok(self.commit_now(section, ops, &span)),
        }
    }

    /// Appends the batch. If it has tombstones only and the disk is full, releases the disk reserve and tries again.
    #[inline]
    fn append_with_reserve(
        &self,
        section: &mut Section,
        ops: &[RecordWriter<'_>],
        batch_len: u64,
        has_put: bool,
    ) -> Result<Span> {
        let mut append = || self.append(section, ops, batch_len);
        let uses_no_reserve = self.parts.store.steps.check(Step::UseReserve, has_put);
        if uses_no_reserve { append() } else { self.parts.store.reserve().retry(append) }
    }

    /// Applies the batch that was just appended, and publishes it.
    #[inline]
    fn commit_now(
        &self,
        mut section: EnteredSection<'_, Section>,
        ops: &[RecordWriter<'_>],
        span: &Span,
    ) -> SequenceNumber {
        let sequence = section.newest;
        self.apply_batch(sequence, ops, span, section.file_number());
        section.publication.publish_now(sequence);
        let released = self.parts.views.keep_within(self.undo_bytes, ops.len());
        drop(section);
        drop(released);
        SequenceNumber(sequence)
    }

    /// Queues the batch that was just appended, leaves the section, and waits until the log is durable up to `durable_to` and
    /// the batch is visible.
    fn commit_when_durable(
        &self,
        mut section: EnteredSection<'_, Section>,
        span: Span,
        durable_to: Position,
        room: Reservation,
    ) -> Result<SequenceNumber> {
        let (sequence, file) = (section.newest, section.file_number());
        section.publication.push(sequence, durable_to, LoggedBatch { span, file, _room: room });
        drop(section);
        self.parts.store.steps.run(Step::AwaitPublication, || {
            let synced = self.parts.store.log().sync_to(durable_to);
            self.resolve(sequence, synced)
        })?;
        Ok(SequenceNumber(sequence))
    }

    /// Makes everything written so far durable, and visible.
    pub(crate) fn sync(&self) -> Result<()> {
        let section = self.enter()?;
        let (position, newest) = (section.writer.position(), section.newest);
        drop(section);
        self.parts.store.check()?;
        self.parts.store.log().sync_to(position)?;
        self.resolve(newest, Ok(()))
    }

    /// Ends the active file, so that everything written so far can be sealed. The next write begins another one. `false`:
    /// nothing was ended, because there is no active file or it is empty.
    pub(crate) fn end_active_file(&self) -> Result<bool> {
        let mut section = self.enter()?;
        self.parts.store.check()?;
        let has_records = section.writer.active().is_some_and(|active| !active.is_empty());
        if has_records {
            self.end_file(&mut section)?;
        }
        Ok(has_records)
    }

    /// Refuses further batches, ends the log, and makes its batches durable. The end mark is durable when the file is
    /// sealed.
    pub(crate) fn close(&self) -> Result<()> {
        let mut section = self.enter_any();
        section.closed = true;
        let position = section.writer.position();
        let ended = section.writer.end()?;
        drop(section);
        self.parts.store.log().sync_to(position)?;
        if let Some(ended) = ended {
            self.parts.sealer.push(ended);
        }
        Ok(())
    }

    /// Checks that the live counts of the data files agree with the keydir.
    ///
    /// # Panics
    /// When they do not.
    pub(crate) fn assert_live_counts(&self) {
        let _no_batch = self.section.lock();
        self.parts.files.assert_live_counts(&self.parts.keydir);
    }

    /// As [`Committer::enter`]. While other writers keep the section busy, prefetches the keydir entries of `ops`, so that
    /// the section does not wait for memory.
    fn enter_to_write(&self, ops: &[RecordWriter<'_>]) -> Result<EnteredSection<'_, Section>> {
        let keys = || ops.iter().take(Keydir::PREFETCHED).map(|op| op.key);
        let section = self.section.lock_spinning(|| self.parts.keydir.prefetch(keys()));
        let section = self.entered(section);
        if section.closed { Err(Error::Closed) } else { Ok(section) }
    }

    fn enter(&self) -> Result<EnteredSection<'_, Section>> {
        let section = self.enter_any();
        if section.closed { Err(Error::Closed) } else { Ok(section) }
    }

    /// Enters the section, also when the store is closed.
    fn enter_any(&self) -> EnteredSection<'_, Section> {
        self.entered(self.section.lock())
    }

    fn entered<'c>(&'c self, section: MutexGuard<'c, Section>) -> EnteredSection<'c, Section> {
        let store = &self.parts.store;
        EnteredSection::new(section, store.log(), store.path())
    }

    /// Gives the batch the next sequence number and appends it to the log.
    fn append(
        &self,
        section: &mut Section,
        ops: &[RecordWriter<'_>],
        batch_len: u64,
    ) -> Result<Span> {
        let sequence = section.next_sequence()?;
        if !section.writer.has_room(batch_len) {
            self.rotate(section, batch_len)?;
        }
        let store = &self.parts.store;
        let logged = store.steps.each(Step::LogRecords, ops);
        let frames = logged.iter().map(RecordWriter::frame);
        let span = store.allocating(|| section.writer.append(sequence, frames))?;
        debug_assert!(logged.len() < ops.len() || span.len == batch_len, "all of it was appended");
        debug_assert!(sequence > section.publication.visible(), "it is not visible yet");
        section.newest = sequence;
        section.counts.add(span.len, ops.iter().map(|op| (op.is_put(), op.user_bytes())));
        section.note_expiries(ops);
        if span.offset >= section.prepare_at {
            section.prepare_at = u64::MAX;
            self.parts.background.request(Task::PrepareFile);
        }
        Ok(span)
    }

    /// Ends the active file, if there is one, and queues it to be sealed.
    fn end_file(&self, section: &mut Section) -> Result<()> {
        if let Some(ended) = section.writer.end()? {
            // Drop the handle here. Otherwise the section would keep a file open after a merge removed it.
            section.active = None;
            self.parts.sealer.push(ended);
        }
        Ok(())
    }

    /// Goes on in a new data file with room for a batch of `batch_len` bytes.
    fn rotate(&self, section: &mut Section, batch_len: u64) -> Result<()> {
        let Components { sealer, rotation, files, store, survey, .. } = &self.parts;
        sealer.make_room()?;
        self.end_file(section)?;
        let segment = section.writer.begin(rotation.next_file(batch_len)?);
        debug_assert!(section.writer.has_room(batch_len), "the file was begun for the batch");
        section.prepare_at = segment.capacity() / 2;
        let handle = files.add_active(segment).map_err(|error| store.poison(error))?;
        section.active = Some(handle);
        survey.measure_pressure(section.publication.visible());
        Ok(())
    }
}
