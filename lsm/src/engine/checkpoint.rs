//! How a caller takes a checkpoint.

use std::path::Path;

use kv::{Error, Result, SequenceNumber};

use super::Lsm;
use crate::checkpoint::checkpoint;
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
}
