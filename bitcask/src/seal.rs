//! Data files come and go here: beginning one, preparing the next one ahead of need, and sealing those that are full.
//!
//! **Beginning** a file: create it, write and sync its header, sync the directory, name it in the manifest. Only then
//! is anything appended to it, so recovery never has to guess which files exist. Because that takes several syncs, the
//! next file is prepared in the background when the active one is half full.
//!
//! **Sealing** a file, in the background: give back its spare space and sync it; read it back, which checks every
//! record once more, and build its hint file; publish that (write, sync, rename, sync the directory); name both with
//! their lengths and checksums in the manifest; from then on read the file through a mapping. A crash between any two
//! steps leaves either an unsealed file, which recovery seals, or a sealed one.
//!
//! A hint that cannot be written because the disk is full costs nothing but a slower opening: the file is sealed without
//! one. A disk that fails in any other way poisons the store.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use durable::JobClass;
use durable::log::{SEGMENT_HEADER_LEN, Segment, SegmentIdentity, Writer};
use durable::manifest::Stamp;
use durable::publish::PublishedFile;
use kv::{Error, Result};

use crate::commit::Commit;
use crate::data_file::{DataFile, FileTable};
use crate::deleter::MAX_FILES;
use crate::engine::Inner;
use crate::files::DATA;
use crate::planted::Mistake;
use crate::sealed_file::{SealedFile, describe, write_hint};
use crate::state::Edit;

/// With this many full files waiting to be sealed, a writer that fills another one seals the oldest itself.
const MAX_UNSEALED: usize = 12;

impl Inner {
    /// Goes on in a new data file with room for a batch of `batch_len` bytes.
    pub(crate) fn rotate(&self, commit: &mut Commit, batch_len: u64) -> Result<()> {
        self.relieve_sealing()?;
        if let Some(ended) = commit.writer.end()? {
            self.unsealed.lock().push_back(ended);
            self.submit(JobClass::Urgent, "bitcask-seal", |inner| drop(inner.seal_oldest()));
        }
        let segment = commit.writer.begin(self.next_file(batch_len)?);
        commit.prepare_at = segment.capacity() / 2;
        let Some(life) = self.deleter.begin_life(segment.id()) else {
            let path = segment.path().display();
            let what = format!("{path} would be data file number {MAX_FILES}");
            return Err(self.sync.poison(Error::InvalidArgument(what)));
        };
        life.first_expiry.learn(None);
        commit.active = Some(Arc::clone(&life));
        self.change_files(|table| table.insert(Arc::new(DataFile::active(segment, life))));
        if let Some(merge) = &self.options.merge {
            self.measure_pressure(commit.published, merge);
        }
        Ok(())
    }

    /// The prepared data file if it has room for a batch of `batch_len` bytes, else a new one.
    fn next_file(&self, batch_len: u64) -> Result<Segment> {
        let usual = self.options.data_file_bytes;
        let needed = Writer::capacity_for(batch_len);
        let mut next = self.next_file.lock();
        match next.prepared.take() {
            Some(prepared) if needed <= usual => return Ok(prepared),
            // A begun file that stayed empty would end the log before the files after it, so it is kept until the
            // manifest has forgotten it.
            Some(too_small) => {
                if let Err(error) = self.discard(&too_small) {
                    next.prepared = Some(too_small);
                    return Err(error);
                }
            }
            None => {}
        }
        self.begin_file(&mut next, needed.max(usual))
    }

    /// Creates a data file and names it in the manifest.
    fn begin_file(&self, next: &mut NextFile, capacity: u64) -> Result<Segment> {
        self.dir.check_in_place()?;
        let id = next.take_id();
        let Stamp { open_epoch: epoch, edit_number } = self.manifest.stamp();
        let identity = SegmentIdentity { store: self.manifest.store_id(), id, epoch, edit_number };
        let path = self.dir_path.join(DATA.name(id));
        let fs = &*self.options.env.fs;
        let file = match Segment::create_file(fs, &path, capacity) {
            // Somebody else's file has the name, and keeps it.
            Err(error) if error.io_kind() == Some(std::io::ErrorKind::AlreadyExists) => {
                return self.begin_file(next, capacity);
            }
            created => created?,
        };
        let begun = Segment::begin(fs, file, identity, capacity);
        let segment = begun.map_err(|error| self.sync.poison(error))?;
        if !self.options.has(Mistake::ForgetToNameFile) {
            let named = self.edit(&Edit::begin(&segment.published()));
            if let Err(error) = named {
                // Unless the store is poisoned, the manifest certainly does not name the file.
                if self.sync.check().is_ok() {
                    drop(fs.remove(segment.path()));
                }
                return Err(error);
            }
        }
        Ok(segment)
    }

    /// Takes back a file that was begun and never written to.
    pub(crate) fn discard(&self, segment: &Segment) -> Result<()> {
        self.edit(&Edit::remove(segment.id()))?;
        // The manifest has forgotten the file, so whatever is left of it is removed at the next opening.
        drop(self.options.env.fs.remove(segment.path()));
        Ok(())
    }

    /// Begins the next data file if there is none in store.
    pub(crate) fn prepare_next(&self) {
        let mut next = self.next_file.lock();
        if next.prepared.is_none() && !self.is_closed() && self.sync.check().is_ok() {
            // Failing here loses nothing: the writer that needs the file begins it, and reports.
            next.prepared = self.begin_file(&mut next, self.options.data_file_bytes).ok();
        }
    }

    /// Publishes another file table.
    pub(crate) fn change_files<T>(&self, change: impl FnOnce(&mut FileTable) -> T) -> T {
        let _changing = self.table_change.lock();
        let mut table = FileTable::clone(&self.files.load_full());
        let result = change(&mut table);
        self.files.store(Arc::new(table));
        result
    }

    fn relieve_sealing(&self) -> Result<()> {
        while self.unsealed.lock().len() >= MAX_UNSEALED {
            self.counters.seal_stalls.fetch_add(1, Ordering::Relaxed);
            self.seal_oldest()?;
        }
        Ok(())
    }

    /// Seals the oldest full file. `false`: there is none.
    pub(crate) fn seal_oldest(&self) -> Result<bool> {
        let _one_at_a_time = self.sealing.lock();
        self.dir.check_in_place()?;
        let Some(segment) = self.unsealed.lock().front().cloned() else { return Ok(false) };
        let published = self.sync.finish(&segment)?;
        let described = self.describe_and_hint(&segment, published);
        let mut sealed = described.map_err(|error| self.sync.poison(error))?;
        let (published, hint) = sealed.take_proofs();
        self.edit(&Edit::seal(&published, hint, sealed.facts))?;
        // Where this fails, for want of file handles say, the file is read through its segment as before.
        drop(self.read_sealed(segment.identity(), segment.path()));
        self.unsealed.lock().pop_front();
        self.consider_merging();
        Ok(true)
    }

    /// Reads a finished segment back, and writes its hint file.
    pub(crate) fn describe_and_hint(
        &self,
        segment: &Segment,
        published: PublishedFile,
    ) -> Result<SealedFile> {
        let mut described = None;
        segment.read(0, segment.end() as usize, &mut |bytes| {
            described = Some(describe(bytes, segment.identity(), segment.path(), &mut |_, _| ()));
        })?;
        let nothing = || Error::corruption(segment.path(), 0, "nothing was read back");
        let (mut facts, hint_bytes) = described.ok_or_else(nothing)??;
        if self.options.has(Mistake::SealWithWrongLength) {
            facts.len -= 8;
        }
        // Reading took a while.
        self.dir.check_in_place()?;
        let hint = write_hint(&*self.options.env.fs, &self.dir_path, segment.id(), &hint_bytes);
        let hint = hint.map_err(|error| self.sync.poison(error))?;
        self.counters.hints_failed.fetch_add(u64::from(hint.is_none()), Ordering::Relaxed);
        Ok(SealedFile::new(facts, hint_bytes, published, hint))
    }

    /// Seals what was written so far, so that a merge can have it.
    pub(crate) fn seal_active(&self) -> Result<()> {
        let mut commit = self.commit.lock();
        if commit.closed {
            return Err(Error::Closed);
        }
        self.sync.check()?;
        if commit.writer.active().is_some_and(|active| active.end() > SEGMENT_HEADER_LEN) {
            self.rotate(&mut commit, 0)?;
        }
        drop(commit);
        while self.seal_oldest()? {}
        Ok(())
    }

    /// Lets readers read a sealed file in place.
    fn read_sealed(&self, identity: SegmentIdentity, path: &Path) -> Result<()> {
        let table = self.files.load_full();
        let Some(unsealed) = table.with_id(identity.id) else { return Ok(()) };
        let (fs, life) = (&*self.options.env.fs, Arc::clone(&unsealed.life));
        let file = DataFile::sealed(fs, path, identity, self.options.read, life)?;
        self.change_files(|table| table.insert(Arc::new(file)));
        Ok(())
    }

    /// Queues background work, which ends quietly if the store is gone by then.
    pub(crate) fn submit(&self, class: JobClass, name: &'static str, work: fn(&Self)) {
        let weak = self.weak.clone();
        self.jobs.submit(class, name, move || {
            if let Some(inner) = weak.upgrade() {
                work(&inner);
            }
        });
    }
}

/// The data file after the active one.
#[derive(Debug)]
pub(crate) struct NextFile {
    /// It was begun ahead of need.
    pub(crate) prepared: Option<Segment>,
    /// The id of the file to be begun next.
    pub(crate) id: u64,
}

impl NextFile {
    /// An id that no file has had.
    pub(crate) fn take_id(&mut self) -> u64 {
        self.id += 1;
        self.id - 1
    }
}

/// The full files that are not sealed yet, oldest first.
pub(crate) type Unsealed = VecDeque<Arc<Segment>>;
