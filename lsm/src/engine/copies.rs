//! How a caller takes a checkpoint, and reads a store without writing to it.

use std::path::Path;

use kv::{Error, Result, SequenceNumber};

use super::Lsm;
use crate::checkpoint::checkpoint;
use crate::options::Options;
use crate::reader::Reader;
use crate::steps::Step;

impl Lsm {
    /// Makes a copy of the store in the directory `path`, which must be empty or not be there. The copy is a store of its own,
    /// durable when this returns, and has every batch that was written before the call. Returns the number of the newest
    /// batch in it.
    ///
    /// Flushes first. Then it links each table into the directory, or copies it where the file systems differ. Writers and
    /// compactions go on meanwhile. A linked table takes no further space until one of the two stores compacts it; it is not
    /// read, so use [`Lsm::verify`] on the copy to know that it is undamaged.
    ///
    /// A checkpoint that failed or was interrupted leaves a directory that no opening takes for a store. Another checkpoint to
    /// it begins anew.
    ///
    /// # Errors
    /// As [`Lsm::flush`]; `InvalidArgument` for an empty path; `Io`, with `AlreadyExists` when the directory is not empty; `Locked` when somebody else makes a store
    /// there; `Corruption` of a table that had to be copied. After a failed sync at the end, `Io` and a whole store are both
    /// possible.
    pub fn checkpoint(&self, path: impl AsRef<Path>) -> Result<SequenceNumber> {
        let path = path.as_ref();
        if path.as_os_str().is_empty() {
            return Err(Error::InvalidArgument("the path of the checkpoint is empty".into()));
        }
        self.parts.store.steps.run(Step::FlushForCheckpoint, || self.flush())?;
        let copied = checkpoint(&self.parts.store, &self.parts.versions, path);
        // Once the store is closed, another opening may have removed a table.
        let copied = copied.or_else(|error| self.parts.background.check_open().and(Err(error)))?;
        Ok(SequenceNumber(copied))
    }

    /// Opens the store in the directory `path` for reading, beside a writer in this process or another one, or without one.
    /// Takes no lock and changes nothing, so the store may lie on a full or read-only disk.
    ///
    /// Shows the state at the time of the call, and others after [`Reader::refresh`]. All tables are open while they are shown:
    /// each takes a mapping or a file handle, as `Options::read` says.
    ///
    /// # Errors
    /// `Io`, with `NotFound` when there is no store; `Corruption`, naming file and offset; `InvalidArgument` for an empty path,
    /// for a store of another engine or a newer format, and for an unfinished checkpoint. After 16 attempts that a writer has
    /// made vain, the error of the last one.
    pub fn open_read_only(path: impl AsRef<Path>, options: Options) -> Result<Reader> {
        if path.as_ref().as_os_str().is_empty() {
            return Err(Error::InvalidArgument("the path of the store is empty".into()));
        }
        Reader::open(path.as_ref(), options)
    }
}
