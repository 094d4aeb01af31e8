//! Reading blocks: from the mapping in place, or through the block cache.

use std::ops::Range;
use std::sync::Arc;

use kv::{Bytes, Error, Result};

use crate::block_cache::{BlockCache, BlockKey};
use crate::compression::{Codec, decompress};
use crate::damage::{Checked, Damage};
use crate::first_use::FirstUse;
use crate::footer::Footer;
use crate::handle::BlockHandle;
use crate::raw_file::{RawBytes, RawFile};
use crate::stored_block::{Seeds, TRAILER_LEN, check, split};

/// Bytes of a slot of [`FirstUse`]. Blocks do not overlap, so at most one block of this length or more begins in a slot. A
/// shorter one is checked at each use, which takes a tenth of a microsecond.
const SLOT_BYTES: u64 = 1 << 10;

/// The blocks of one table.
#[derive(Debug)]
pub(crate) struct BlockSource {
    raw: RawFile,
    seeds: Seeds,
    /// Where the blocks end and the footer begins.
    limit: u64,
    /// Whether the footer says that some blocks are compressed.
    has_codecs: bool,
    /// Which mapped blocks were checked. `None`: every read checks.
    first_use: Option<FirstUse>,
    cache: Option<TableCache>,
}

/// The part of a cache that belongs to one opened table.
///
/// The cache knows the blocks under one number and the parts of the filter under another one. A forged filter may lie over a
/// block. It never gets the cached bytes of the block, which have another length.
#[derive(Debug)]
struct TableCache {
    cache: Arc<BlockCache>,
    blocks: u64,
    filter: u64,
}

impl BlockSource {
    /// The blocks of the table that `footer` ends.
    pub(crate) fn new(raw: RawFile, footer: &Footer, cache: Option<Arc<BlockCache>>) -> Self {
        assert_eq!(raw.len(), footer.file_len, "a footer of this file");
        let limit = raw.len() - crate::footer::FOOTER_LEN as u64;
        let first_use = raw.map().map(|_| FirstUse::new((limit / SLOT_BYTES) as usize + 1));
        let cache = cache.map(|cache| {
            let (blocks, filter) = (cache.number_table(), cache.number_table());
            TableCache { cache, blocks, filter }
        });
        let has_codecs = footer.required != crate::footer::Features::default();
        Self { raw, seeds: Seeds::of(footer.id), limit, has_codecs, first_use, cache }
    }

    /// The same blocks, each of them checked at every read.
    pub(crate) fn checking_always(mut self) -> Self {
        self.first_use = None;
        self
    }

    pub(crate) fn raw(&self) -> &RawFile {
        &self.raw
    }

    pub(crate) fn raw_mut(&mut self) -> &mut RawFile {
        &mut self.raw
    }

    pub(crate) fn seeds(&self) -> Seeds {
        self.seeds
    }

    /// Where the blocks end and the footer begins.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Whether every read of a mapped block checks it.
    pub(crate) fn checks_always(&self) -> bool {
        self.first_use.is_none()
    }

    /// A `Corruption` in the block that begins at `offset`.
    #[cold]
    pub(crate) fn corruption(&self, offset: u64, damage: Damage) -> Error {
        debug_assert!(offset <= self.limit, "a block begins before the footer");
        Error::corruption(self.raw.file().path(), offset + damage.at as u64, damage.what)
    }

    /// The bytes that a read has found.
    #[inline]
    pub(crate) fn bytes<'b>(&'b self, found: &'b RawBytes) -> &'b [u8] {
        self.raw.bytes(found)
    }

    /// The bytes of the block at `handle`, as [`BlockSource::read`] finds them. A block that is not in its place in the mapping
    /// goes to `room`.
    #[inline]
    pub(crate) fn look<'b>(
        &'b self,
        handle: BlockHandle,
        room: &'b mut Option<RawBytes>,
    ) -> Result<&'b [u8]> {
        if let Some(bytes) = self.checked_in_place(handle) {
            return Ok(bytes);
        }
        Ok(self.bytes(room.insert(self.read(handle)?)))
    }

    /// The block at `handle`, if it is mapped as it is and was checked before.
    #[inline]
    fn checked_in_place(&self, handle: BlockHandle) -> Option<&[u8]> {
        let first_use = self.first_use.as_ref()?;
        let end = handle.offset.checked_add(u64::from(handle.len) + TRAILER_LEN as u64)?;
        if self.has_codecs || u64::from(handle.len) < SLOT_BYTES || end > self.limit {
            return None;
        }
        if !first_use.is_checked((handle.offset / SLOT_BYTES) as usize) {
            return None;
        }
        let start = handle.offset as usize;
        self.raw.mapped()?.get(start..start + handle.len as usize)
    }

    /// The block at `handle`, checked and decompressed.
    ///
    /// # Errors
    /// `Corruption` when it is not the block that was written there; `Io`.
    #[inline]
    pub(crate) fn read(&self, handle: BlockHandle) -> Result<RawBytes> {
        let stored = self.extent(handle)?;
        if self.raw.map().is_some() {
            self.read_mapped(handle, stored)
        } else {
            self.through_cache(self.block_key(handle), || self.read_by_position(handle, stored))
        }
    }

    /// Where the body and the trailer are in the file.
    #[inline]
    fn extent(&self, handle: BlockHandle) -> Result<Range<u64>> {
        let len = u64::from(handle.len) + TRAILER_LEN as u64;
        match handle.offset.checked_add(len) {
            Some(end) if end <= self.limit => Ok(handle.offset..end),
            _ => {
                let damage = Damage::new(0, "a block that does not lie in the file");
                Err(self.corruption(handle.offset.min(self.limit), damage))
            }
        }
    }

    #[inline]
    fn read_mapped(&self, handle: BlockHandle, stored: Range<u64>) -> Result<RawBytes> {
        debug_assert!(
            stored.start <= stored.end && stored.end <= self.limit,
            "an extent was checked"
        );
        let slot = (handle.offset / SLOT_BYTES) as usize;
        let first_use = self.first_use.as_ref();
        let first_use = first_use.filter(|_| u64::from(handle.len) >= SLOT_BYTES);
        let is_checked = first_use.is_some_and(|first_use| first_use.is_checked(slot));
        let start = stored.start as usize;
        let body = start..start + handle.len as usize;
        if is_checked && !self.has_codecs {
            return Ok(RawBytes::Mapped(body));
        }
        let found = self.raw.read(stored)?;
        let bytes = self.raw.bytes(&found);
        let damage = |damage| self.corruption(handle.offset, damage);
        let (codec, packed) = if is_checked {
            split(bytes).map_err(damage)?
        } else {
            let checked = self.check(bytes, handle).map_err(damage)?;
            if let Some(first_use) = first_use {
                first_use.set_checked(slot);
            }
            checked
        };
        if codec == Codec::Plain {
            return Ok(RawBytes::Mapped(body));
        }
        let decompress = || decompress(codec, packed).map(Bytes::from).map_err(damage);
        self.through_cache(self.block_key(handle), decompress)
    }

    fn read_by_position(&self, handle: BlockHandle, stored: Range<u64>) -> Result<Bytes> {
        debug_assert_eq!(stored.end - stored.start, u64::from(handle.len) + TRAILER_LEN as u64);
        let stored = self.raw.copy(stored)?;
        let damage = |damage| self.corruption(handle.offset, damage);
        let (codec, body) = self.check(&stored, handle).map_err(damage)?;
        if codec == Codec::Plain {
            return Ok(stored.slice(..handle.len as usize));
        }
        decompress(codec, body).map(Bytes::from).map_err(damage)
    }

    fn check<'b>(&self, stored: &'b [u8], handle: BlockHandle) -> Checked<(Codec, &'b [u8])> {
        let (codec, body) = check(stored, self.seeds, handle.offset)?;
        if codec != Codec::Plain && !self.has_codecs {
            return Err(Damage::new(body.len(), "a codec that the footer does not name"));
        }
        Ok((codec, body))
    }

    /// The name of the block at `handle` in the cache. `None`: there is no cache.
    fn block_key(&self, handle: BlockHandle) -> Option<BlockKey> {
        self.cache.as_ref().map(|cache| BlockKey { table: cache.blocks, offset: handle.offset })
    }

    /// The bytes with the name `key` in the cache, or those that `read` finds, which the cache takes then.
    fn through_cache(
        &self,
        key: Option<BlockKey>,
        read: impl FnOnce() -> Result<Bytes>,
    ) -> Result<RawBytes> {
        let (Some(TableCache { cache, .. }), Some(key)) = (&self.cache, key) else {
            return read().map(RawBytes::Copied);
        };
        if let Some(block) = cache.get(key) {
            return Ok(RawBytes::Copied(block));
        }
        let block = read()?;
        cache.insert(key, block.clone());
        Ok(RawBytes::Copied(block))
    }

    /// The raw bytes of `extent`, a part of the filter. `is_right` checks them when they are read from the file.
    pub(crate) fn read_filter(
        &self,
        extent: Range<u64>,
        is_right: impl FnOnce(&[u8]) -> bool,
    ) -> Result<RawBytes> {
        debug_assert!(extent.start < extent.end && extent.end <= self.limit, "lines of the filter");
        let check = |bytes: &[u8]| {
            let damage = Damage::new(0, "the checksum of a part of the filter does not match");
            if is_right(bytes) { Ok(()) } else { Err(self.corruption(extent.start, damage)) }
        };
        if self.raw.map().is_some() {
            let found = self.raw.read(extent.clone())?;
            check(self.raw.bytes(&found))?;
            return Ok(found);
        }
        let key = self.cache.as_ref();
        let key = key.map(|cache| BlockKey { table: cache.filter, offset: extent.start });
        self.through_cache(key, || {
            let bytes = self.raw.copy(extent.clone())?;
            check(&bytes).map(|()| bytes)
        })
    }
}
