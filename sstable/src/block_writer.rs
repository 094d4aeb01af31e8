//! Storing blocks in a new file.

use durable::FileWriter;
use kv::{Error, Result};

use crate::compression::{Codec, Compressor};
use crate::filter::{FilterBuilder, LINE_LEN};
use crate::footer::Features;
use crate::handle::BlockHandle;
use crate::stored_block::{Seeds, TRAILER_LEN, trailer};

/// Stores blocks in a file, one behind the other.
#[derive(Debug)]
pub(crate) struct BlockWriter {
    pub(crate) writer: FileWriter,
    pub(crate) seeds: Seeds,
    pub(crate) compressor: Compressor,
    /// What a reader has to know for the blocks so far.
    pub(crate) required: Features,
}

impl BlockWriter {
    /// Stores a block that is read as it is.
    pub(crate) fn store(&mut self, block: &[u8]) -> Result<BlockHandle> {
        self.append(block, Codec::Plain)
    }

    /// Stores a block that may be compressed.
    pub(crate) fn store_compressed(&mut self, block: &[u8]) -> Result<BlockHandle> {
        match self.compressor.compress(block) {
            None => self.append(block, Codec::Plain),
            Some((codec, body)) => {
                self.required.require(codec);
                self.append(&body, codec)
            }
        }
    }

    fn append(&mut self, body: &[u8], codec: Codec) -> Result<BlockHandle> {
        let offset = self.writer.len_bytes();
        let len = u32::try_from(body.len());
        let len = len.map_err(|_| Error::InvalidArgument("a block of more than 4 GiB".into()))?;
        self.writer.append(body)?;
        self.writer.append(&trailer(body, codec, self.seeds, offset))?;
        let end = offset + u64::from(len) + TRAILER_LEN as u64;
        debug_assert_eq!(self.writer.len_bytes(), end, "a block and its trailer follow each other");
        Ok(BlockHandle { offset, len })
    }

    /// Stores the lines of `filter`, and returns the filter block. `None`: there is no filter.
    pub(crate) fn store_filter(&mut self, filter: FilterBuilder) -> Result<Option<Vec<u8>>> {
        let end = self.writer.len_bytes();
        let offset = end.next_multiple_of(LINE_LEN as u64);
        let Some((lines, directory)) = filter.finish(self.seeds, offset) else { return Ok(None) };
        debug_assert!(offset - end < LINE_LEN as u64, "less than a line of zeros");
        self.writer.append(&[0; LINE_LEN][..(offset - end) as usize])?;
        self.writer.append(&lines)?;
        Ok(Some(directory.encode()))
    }
}
