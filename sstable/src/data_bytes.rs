//! How many bytes the entries of a range of keys take in a table.

use std::ops::Bound;

use kv::Result;

use crate::block_walk::BlockWalk;
use crate::bounds::Bounds;
use crate::stored_block::TRAILER_LEN;
use crate::table::Table;

impl Table {
    /// The bytes of the data blocks that can have a key in `bounds`, as they lie in the file. At least the bytes of those that have
    /// one, and at most those of one more block at each end. Reads two blocks of the index, and no data block.
    ///
    /// # Errors
    /// `InvalidArgument` for inverted bounds, and for one that is shorter than a suffix; `Corruption`, `Io`.
    pub fn data_bytes_in(&self, bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> Result<u64> {
        let bounds = Bounds::new(self.key_layout(), bounds)?;
        let mut walk = BlockWalk::default();
        let first = match bounds.start() {
            Some(start) => walk.seek(self, start)?,
            None => walk.first(self)?,
        };
        let last = match bounds.end() {
            Some(end) => walk.seek(self, end)?,
            None => walk.last(self)?,
        };
        let (Some(first), Some(last)) = (first, last) else { return Ok(0) };
        let end = last.offset.saturating_add(u64::from(last.len) + TRAILER_LEN as u64);
        // Only in a forged index does the last block lie before the first one.
        Ok(end.saturating_sub(first.offset))
    }
}
