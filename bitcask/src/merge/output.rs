//! The files that a merge makes.

use std::path::PathBuf;
use std::sync::Arc;

use durable::log::{Frame, GroupSync, Segment, SegmentIdentity, Writer};
use durable::manifest::Stamp;
use kv::{Error, Result};

use crate::data_file::DataFile;
use crate::deleter::MAX_FILES;
use crate::engine::Inner;
use crate::files::DATA;
use crate::sealed_file::SealedFile;
use crate::state::{Blocked, Edit};

/// A data file that is being written by a merge.
#[derive(Debug)]
pub(super) struct Output {
    writer: Writer,
    /// The output is a log of its own.
    sync: Arc<GroupSync>,
    segment: Arc<Segment>,
    /// The deletions in it that had to be kept.
    blocked: Vec<Blocked>,
}

/// One that is whole.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) file: Arc<DataFile>,
    pub(super) sealed: SealedFile,
    pub(super) blocked: Vec<Blocked>,
}

impl Output {
    /// Begins an output with room for `capacity` bytes.
    pub(super) fn begin(inner: &Inner, capacity: u64) -> Result<Self> {
        let mut next = inner.next_file.lock();
        let fs = &*inner.options.env.fs;
        loop {
            inner.dir.check_in_place()?;
            let id = next.take_id();
            inner.edit(&Edit::reserve(id))?;
            let Stamp { open_epoch: epoch, edit_number } = inner.manifest.stamp();
            let store = inner.manifest.store_id();
            let identity = SegmentIdentity { store, id, epoch, edit_number };
            let path = inner.dir_path.join(DATA.name(id));
            let file = match Segment::create_file(fs, &path, capacity) {
                // Somebody else's file has the name, and keeps it.
                Err(error) if error.io_kind() == Some(std::io::ErrorKind::AlreadyExists) => {
                    continue;
                }
                created => created.inspect_err(|_| drop(fs.remove(&path)))?,
            };
            let begun = Segment::begin(fs, file, identity, capacity);
            let segment = begun.map_err(|error| inner.sync.poison(error))?;
            let sync = Arc::new(GroupSync::new());
            let mut writer = Writer::new(Arc::clone(&sync));
            let segment = writer.begin(segment);
            return Ok(Self { writer, sync, segment, blocked: Vec::new() });
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.segment.path().to_path_buf()
    }

    pub(super) fn has_room(&self, batch_len: u64) -> bool {
        self.writer.has_room(batch_len)
    }

    /// Appends what is left of batch `sequence`.
    #[expect(single_use_lifetimes, reason = "an anonymous lifetime is not stable here")]
    pub(super) fn append<'f>(
        &mut self,
        inner: &Inner,
        sequence: u64,
        frames: impl ExactSizeIterator<Item = Frame<'f>>,
    ) -> Result<()> {
        let appended = self.writer.append(sequence, frames);
        appended.map(drop).map_err(|error| self.judge(inner, error))
    }

    /// Without space nothing has happened; any other failure is one of the disk, and poisons the store.
    fn judge(&self, inner: &Inner, error: Error) -> Error {
        if self.sync.check().is_ok() { error } else { inner.sync.poison(error) }
    }

    /// Notes that a deletion of `bytes` was copied because of the file `blocker`.
    pub(super) fn block(&mut self, blocker: u64, bytes: u64) {
        let file = self.segment.id();
        match self.blocked.iter_mut().find(|blocked| blocked.blocker == blocker) {
            Some(blocked) => blocked.bytes += bytes,
            None => self.blocked.push(Blocked { file, blocker, bytes }),
        }
    }

    /// Makes it whole and durable, and opens it for reading.
    pub(super) fn finish(mut self, inner: &Inner) -> Result<Finished> {
        self.writer.end().map_err(|error| self.judge(inner, error))?;
        let published = self.segment.finish();
        let published = published.map_err(|error| inner.sync.poison(error))?;
        let sealed = inner.describe_and_hint(&self.segment, published)?;
        let too_many = || Error::InvalidArgument(format!("more than {MAX_FILES} data files"));
        let life = inner.deleter.begin_life(self.segment.id()).ok_or_else(too_many)?;
        life.first_expiry.learn(sealed.facts.expiring.first());
        let (fs, identity) = (&*inner.options.env.fs, self.segment.identity());
        let file = DataFile::sealed(fs, self.segment.path(), identity, inner.options.read, life)?;
        Ok(Finished { file: Arc::new(file), sealed, blocked: self.blocked })
    }
}
