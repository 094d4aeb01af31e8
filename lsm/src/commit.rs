//! The commit queue: the only place that assigns sequence numbers and makes writes visible.
//!
//! A batch goes through these steps. The commit section is the part under one lock:
//!
//! 1. The writer is held back if flushes or compactions fall behind (`back_pressure`). Then it enters the section. It refuses
//!    the batch if the store is closed or poisoned.
//! 2. **Room.** If the active memtable is full, the writer seals it. With too many sealed memtables it flushes the oldest
//!    one first. If the active segment is full, it ends that and begins the next one. It makes sure that the log owns the
//!    space of the batch.
//! 3. **Validation.** A caller of [`Committer::commit`] may pass a check. It runs here, with the number that the batch will
//!    get, and sees every earlier batch, also those that are not visible yet. If it fails, nothing has happened. After it
//!    only a failure that poisons the store is possible.
//! 4. **Append.** The writer gives the batch its number and appends it to the active segment.
//! 5. **Insert.** It inserts the batch into the active memtable. Nobody sees it there, because the visible number is lower.
//! 6. **Publish.** If the batch need not be durable and no batch waits, the writer raises the visible number, and the write
//!    returns.
//! 7. Otherwise the batch joins the [`PublicationQueue`], and the section ends. A batch of any class queues behind an
//!    earlier one that waits for the disk, because batches become visible in the order of their numbers.
//! 8. The writer waits until the log is durable up to the position that the queue states: it syncs the log, alone or with
//!    others. A flush of the memtable ends the wait as well.
//! 9. The writer enters the section again and publishes the durable batches at the head of the queue, in order.
//!
//! A batch whose sync fails stays in the memtable, and the visible number never reaches it. The store is poisoned.
//!
//! A thread that panics inside the section poisons the store ([`EnteredSection`]).
//!
//! [`PublicationQueue`]: durable::log::publication::PublicationQueue

mod section;

use std::sync::Arc;

use durable::log::{EnteredSection, Position, Span, WriteCounts, Writer};
use durable::sync::{Mutex, MutexGuard};
use kv::{Durability, Error, Result, SequenceNumber};

use crate::back_pressure::BackPressure;
use crate::background::{Background, Task};
use crate::flush::Flusher;
use crate::lock_order::Lock;
use crate::record::Record;
use crate::steps::Step;
use crate::store::Store;
use crate::version::VersionSet;
use crate::wal::Wal;
use section::Section;

/// The largest batch, in bytes of log: offsets in one segment must stay below 4 GiB.
const MAX_BATCH_BYTES: u64 = (4 << 30) - 4096;

/// The caller's check of a batch, given the number that the batch will get.
pub(crate) type Validate<'v> = &'v mut dyn FnMut(SequenceNumber) -> Result<()>;

/// Commits batches.
#[derive(Debug)]
pub(crate) struct Committer {
    store: Arc<Store>,
    wal: Arc<Wal>,
    versions: Arc<VersionSet>,
    flusher: Arc<Flusher>,
    background: Arc<Background>,
    pressure: Arc<BackPressure>,
    /// When the active memtable is sealed, in bytes.
    memtable_bytes: u64,
    section: Mutex<Section>,
}

/// The components that a committer works with.
pub(crate) struct CommitParts {
    pub(crate) store: Arc<Store>,
    pub(crate) wal: Arc<Wal>,
    pub(crate) versions: Arc<VersionSet>,
    pub(crate) flusher: Arc<Flusher>,
    pub(crate) background: Arc<Background>,
    pub(crate) pressure: Arc<BackPressure>,
}

impl Committer {
    /// A committer for a store whose newest batch is the visible one.
    pub(crate) fn new(parts: CommitParts, memtable_bytes: u64) -> Self {
        let CommitParts { store, wal, versions, flusher, background, pressure } = parts;
        let active = Arc::clone(&versions.load().active);
        let section = Section::new(Arc::clone(store.log()), active, versions.visible());
        let section = Mutex::ranked(Lock::Commit.rank(), section);
        Self { store, wal, versions, flusher, background, pressure, memtable_bytes, section }
    }

    /// What was written, and how many of the deletes in it are of ranges.
    pub(crate) fn counts(&self) -> (WriteCounts, u64) {
        let section = self.section.lock();
        (section.counts, section.range_deletes)
    }

    /// Writes one batch, which has at most one operation for each key and is within its limits. `validate` is the caller's
    /// check, step 3.
    ///
    /// # Errors
    /// Those of `validate`; `InvalidArgument` for a batch that is too large; `Io`, with `StorageFull` when there is no
    /// space; `Stalled` when compactions are behind and make no progress, or `Corruption` if a damaged table stops them;
    /// `Poisoned`; `Closed`.
    pub(crate) fn commit(
        &self,
        records: &[Record<'_>],
        durability: Durability,
        validate: Option<Validate<'_>>,
    ) -> Result<SequenceNumber> {
        let batch_len = Writer::batch_len(records.iter().map(Record::payload_len));
        if batch_len > MAX_BATCH_BYTES {
            let too_large = format!("a batch of {batch_len} bytes; the limit is {MAX_BATCH_BYTES}");
            return Err(Error::InvalidArgument(too_large));
        }
        self.pressure.throttle(batch_len)?;
        let mut section = self.enter()?;
        self.store.check()?;
        let sequence = section.next_sequence()?;
        self.make_room(&mut section, records, batch_len)?;
        let is_validated = validate.is_some();
        if let Some(validate) = validate {
            validate(SequenceNumber(sequence))?;
        }
        if records.is_empty() {
            return Ok(SequenceNumber(section.publication.visible()));
        }
        let appended = self.append(&mut section, sequence, records);
        // A caller whose check has passed was promised that the batch is written, or that nothing is written any more.
        let span = appended
            .map_err(|error| if is_validated { self.store.poison(error) } else { error })?;
        section.insert(sequence, records);
        let own_end = || (durability == Durability::Sync).then(|| span.end());
        let own_end = self.store.steps.run(Step::QueueUntilDurable, own_end);
        if let Some(durable_to) = own_end.or(section.publication.position_to_wait_for()) {
            return self.commit_when_durable(section, durable_to);
        }
        // The batch need not be durable, and no batch waits.
        section.publication.publish_now(sequence);
        self.versions.publish(sequence);
        Ok(SequenceNumber(sequence))
    }

    /// Queues the batch that was just inserted, leaves the section, and waits until the log is durable up to `durable_to`
    /// and the batch is visible.
    fn commit_when_durable(
        &self,
        mut section: EnteredSection<'_, Section>,
        durable_to: Position,
    ) -> Result<SequenceNumber> {
        let sequence = section.newest;
        section.publication.push(sequence, durable_to, ());
        drop(section);
        self.store.steps.run(Step::AwaitPublication, || {
            let synced = self.store.log().sync_to(durable_to);
            self.resolve(sequence, synced)
        })?;
        Ok(SequenceNumber(sequence))
    }

    /// Publishes every durable batch that has no waiting predecessor, after the sync for batch `sequence` has ended.
    ///
    /// # Errors
    /// Batch `sequence` is not visible, and never will be in this handle. The store is poisoned.
    fn resolve(&self, sequence: u64, synced: Result<()>) -> Result<()> {
        let mut section = self.enter_any();
        let before = section.publication.visible();
        let synced = synced.map(|()| self.store.log().durable());
        let resolved =
            section.publication.sync_ended(sequence, synced, &mut |_sequence, ()| Ok(()));
        let visible = section.publication.visible();
        debug_assert!(before <= visible && visible <= section.newest, "in order");
        if visible > before {
            self.versions.publish(visible);
        }
        resolved
    }

    /// Makes everything written so far durable, and visible.
    ///
    /// # Errors
    /// `Io`, `Poisoned`, `Closed`.
    pub(crate) fn sync(&self) -> Result<()> {
        let section = self.enter()?;
        let (position, newest) = (section.writer.position(), section.newest);
        drop(section);
        self.store.check()?;
        self.store.log().sync_to(position)?;
        self.resolve(newest, Ok(()))
    }

    /// Seals the active memtable, unless it is empty.
    ///
    /// # Errors
    /// As [`Flusher::make_room`]; `Poisoned`; `Closed`.
    pub(crate) fn seal(&self) -> Result<()> {
        let mut section = self.enter()?;
        self.store.check()?;
        self.seal_active(&mut section)
    }

    /// Refuses further batches, and seals the active memtable. Returns the end of the log.
    ///
    /// # Errors
    /// `Poisoned`.
    pub(crate) fn close(&self) -> Result<Position> {
        let mut section = self.enter_any();
        section.closed = true;
        self.store.check()?;
        if !section.memtable.is_empty() {
            section.memtable = self.versions.seal(section.newest, section.writer.position());
        }
        Ok(section.writer.position())
    }

    /// Step 2.
    #[inline]
    fn make_room(
        &self,
        section: &mut Section,
        records: &[Record<'_>],
        batch_len: u64,
    ) -> Result<()> {
        if !section.has_room(records, self.memtable_bytes) {
            self.seal_active(section)?;
        }
        if records.is_empty() {
            return Ok(());
        }
        if !section.writer.has_room(batch_len) {
            self.rotate(section, batch_len)?;
        }
        section.writer.reserve(batch_len)
    }

    fn seal_active(&self, section: &mut Section) -> Result<()> {
        if section.memtable.is_empty() {
            return Ok(());
        }
        self.flusher.make_room()?;
        section.memtable = self.versions.seal(section.newest, section.writer.position());
        self.pressure.measure(&self.versions);
        self.background.request(Task::Flush);
        Ok(())
    }

    /// Goes on in a new segment with room for a batch of `batch_len` bytes.
    fn rotate(&self, section: &mut Section, batch_len: u64) -> Result<()> {
        if let Some(ended) = section.writer.end()? {
            self.wal.push_ended(&ended, section.newest);
        }
        let segment = section.writer.begin(self.wal.next_segment(batch_len)?);
        debug_assert!(section.writer.has_room(batch_len), "the segment was begun for the batch");
        section.prepare_at = segment.capacity() / 2;
        Ok(())
    }

    /// Step 4.
    #[inline]
    fn append(&self, section: &mut Section, sequence: u64, records: &[Record<'_>]) -> Result<Span> {
        let logged = self.store.steps.each(Step::LogRecords, records);
        let span = section.writer.append(sequence, logged.iter().map(Record::frame))?;
        section.newest = sequence;
        let counted = records.iter().map(|record| (record.is_put(), record.user_bytes()));
        section.counts.add(span.len, counted);
        if span.offset >= section.prepare_at {
            section.prepare_at = u64::MAX;
            self.background.request(Task::PrepareSegment);
        }
        Ok(span)
    }

    fn enter(&self) -> Result<EnteredSection<'_, Section>> {
        let section = self.entered(self.section.lock_spinning(|| ()));
        if section.closed { Err(Error::Closed) } else { Ok(section) }
    }

    /// Enters the section, also when the store is closed.
    fn enter_any(&self) -> EnteredSection<'_, Section> {
        self.entered(self.section.lock())
    }

    fn entered<'c>(&'c self, section: MutexGuard<'c, Section>) -> EnteredSection<'c, Section> {
        EnteredSection::new(section, self.store.log(), self.store.path())
    }
}
