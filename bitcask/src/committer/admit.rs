//! The conditions under which a batch may be written: steps 1 and 2 of committing.

use durable::is_disk_full;
use kv::{Durability, Error, Result};

use super::Committer;
use super::section::Section;
use crate::keydir::Reservation;
use crate::record::RecordWriter;

/// The largest batch, in bytes of log: offsets in one file must stay below 4 GiB.
const MAX_BATCH_BYTES: u64 = (4 << 30) - 4096;

impl Committer {
    /// Checks the size of the batch. If it has a put, applies back-pressure and requires the disk reserve.
    ///
    /// # Errors
    /// `InvalidArgument` for a batch that is too large; `Stalled`; `Io` with `StorageFull` while the disk reserve cannot be
    /// recreated.
    #[inline]
    pub(super) fn admit(&self, batch_len: u64, has_put: bool) -> Result<()> {
        if batch_len > MAX_BATCH_BYTES {
            let too_large = format!("a batch of {batch_len} bytes; the limit is {MAX_BATCH_BYTES}");
            return Err(Error::InvalidArgument(too_large));
        }
        if has_put {
            self.parts.pressure.throttle(batch_len)?;
            self.leave_space_for_deletes()?;
        }
        Ok(())
    }

    /// Refuses a put while the disk reserve is released and there is no space to recreate it: the put would take the space
    /// that deletes need.
    fn leave_space_for_deletes(&self) -> Result<()> {
        let store = &self.parts.store;
        match store.ensure_reserve() {
            // Files that a merge has replaced may still wait to be unlinked.
            Err(error) if is_disk_full(&error) => {
                self.parts.files.registry().reclaimer().reclaim();
                store.ensure_reserve()
            }
            ensured => ensured,
        }
    }

    /// Makes sure that the keydir has room for the keys of a batch that is about to be written. A batch that will wait for the
    /// disk keeps its room reserved.
    pub(super) fn check_room(
        &self,
        section: &Section,
        ops: &[RecordWriter<'_>],
        durability: Durability,
    ) -> Result<Option<Reservation>> {
        let keys = ops.iter().filter(|op| op.is_put()).map(|op| op.key);
        if durability == Durability::Sync || section.publication.position_to_wait_for().is_some() {
            return self.parts.keydir.reserve(keys).map(Some);
        }
        self.parts.keydir.check_room(keys).map(|()| None)
    }
}
