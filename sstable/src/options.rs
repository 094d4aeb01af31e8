//! Options for building and reading tables.

use std::sync::Arc;

use kv::{Error, Result};

use crate::block::Restarts;
use crate::block_cache::BlockCache;
use crate::compression::Compression;
use crate::key_layout::KeyLayout;

/// How a table is built. A reader needs to know none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildOptions {
    /// How keys are made up.
    pub key_layout: KeyLayout,
    /// A data block is finished before it gets longer than this, about, counted before compression. An entry that is longer
    /// has a block of its own. From 64 bytes to 16 MiB. Default: 4 KiB.
    pub block_bytes: usize,
    /// The same for the blocks of the index. Default: 4 KiB.
    pub index_block_bytes: usize,
    /// How many entries of a data block share a restart point. Default: adaptive.
    pub restarts: Restarts,
    /// How data blocks are compressed. Default: not at all.
    pub compression: Compression,
    /// Bits of the filter for each stem; 0 for no filter. Default: 10, for about 1 % false positives.
    pub filter_bits_per_stem: u8,
    /// Whether each line of the filter has hints, which make it twice as long: look-ups in a mapped table load an entry and
    /// the heads of its block at the same time. With 10 bits of the filter for each stem, nine of ten hints are right; with
    /// 4 bits, four of ten. A table without a filter, or with compression, has none. Default: yes.
    pub hints: bool,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            key_layout: KeyLayout::PLAIN,
            block_bytes: 4 << 10,
            index_block_bytes: 4 << 10,
            restarts: Restarts::Adaptive,
            compression: Compression::None,
            filter_bits_per_stem: 10,
            hints: true,
        }
    }
}

impl BuildOptions {
    /// The shortest and the longest target for a block.
    const BLOCK_BYTES: std::ops::RangeInclusive<usize> = 64..=16 << 20;

    /// Whether the filter has hints: an entry of a compressed block has no place in the file.
    pub(crate) fn has_hints(&self) -> bool {
        self.hints && self.filter_bits_per_stem > 0 && self.compression == Compression::None
    }

    /// # Errors
    /// `InvalidArgument` for an option out of range.
    pub(crate) fn check(&self) -> Result<()> {
        for bytes in [self.block_bytes, self.index_block_bytes] {
            if !Self::BLOCK_BYTES.contains(&bytes) {
                return Err(Error::InvalidArgument(format!(
                    "a block has from 64 bytes to 16 MiB, not {bytes} bytes"
                )));
            }
        }
        if self.restarts == Restarts::Every(0) {
            return Err(Error::InvalidArgument("a group has at least one entry".into()));
        }
        Ok(())
    }
}

/// How a table is read.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// How bytes get from the file to the reader.
    pub mode: ReadMode,
    /// Keeps blocks that had to be copied: all of them with [`ReadMode::Positional`], compressed ones with
    /// [`ReadMode::Mapped`]. Shared by any number of tables. Without a cache, such a block is read each time.
    pub cache: Option<Arc<BlockCache>>,
}

/// How bytes get from the file to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ReadMode {
    /// Through a mapping, in place. Each block is checked at its first use. If the disk cannot read a page, or somebody
    /// truncates the file, the process ends with `SIGBUS`; see [`durable::File::map`]. A process that can have no
    /// further mapping reads by position.
    #[default]
    Mapped,
    /// By position, into memory. Each block is checked when it is read.
    Positional,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_need_a_filter_and_blocks_that_are_read_in_place() {
        let plain = BuildOptions::default();
        assert!(plain.has_hints());
        for without in [
            BuildOptions { hints: false, ..plain },
            BuildOptions { filter_bits_per_stem: 0, ..plain },
            BuildOptions { compression: Compression::Lz4, ..plain },
            BuildOptions { compression: Compression::Zstd(1), ..plain },
        ] {
            assert!(!without.has_hints(), "{without:?}");
        }
    }
}
