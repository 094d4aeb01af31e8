//! Asking the filter of a table.

use kv::Result;

use crate::block_source::BlockSource;
use crate::filter::{FilterDirectory, LINE_LEN, hint_of, is_set};
use crate::first_use::FirstUse;

/// The filter of one opened table.
#[derive(Debug)]
pub(crate) struct FilterReader {
    directory: FilterDirectory,
    /// Which chunks of a mapped filter were checked.
    first_use: FirstUse,
}

impl FilterReader {
    pub(crate) fn new(directory: FilterDirectory) -> Self {
        let first_use = FirstUse::new(directory.chunks());
        Self { directory, first_use }
    }

    pub(crate) fn directory(&self) -> &FilterDirectory {
        &self.directory
    }

    /// Whether the table may have a stem with this hash; never wrong about one that it has.
    ///
    /// # Errors
    /// `Corruption` when the part of the filter that tells is damaged; `Io`.
    #[inline]
    pub(crate) fn may_contain(&self, source: &BlockSource, hash: u64) -> Result<bool> {
        let line_at = self.directory.line_at(hash);
        let chunk = FilterDirectory::chunk_of(line_at);
        let at = self.directory.offset as usize + line_at;
        if let Some(bytes) = source.raw().mapped() {
            if source.checks_always() || !self.first_use.is_checked(chunk) {
                self.read_chunk(source, chunk)?;
                self.first_use.set_checked(chunk);
            }
            return Ok(self.has(&bytes[at..], hash));
        }
        let found = self.read_chunk(source, chunk)?;
        let at = at - self.directory.chunk_extent(chunk).start as usize;
        Ok(self.has(&source.bytes(&found)[at..], hash))
    }

    #[inline]
    fn has(&self, bytes: &[u8], hash: u64) -> bool {
        debug_assert!(bytes.len() >= LINE_LEN, "the lines lie in the file");
        let line = bytes.first_chunk();
        line.is_some_and(|line| is_set(line, hash, self.directory.format.probes))
    }

    /// About where the entry with this hash is in its data block. `None`: the filter has no hints.
    ///
    /// A hint is never checked, and may be any number. `mapped` is the file.
    #[inline]
    pub(crate) fn hint(&self, mapped: &[u8], hash: u64) -> Option<u8> {
        if !self.directory.format.has_hints {
            return None;
        }
        let at = self.directory.offset as usize + self.directory.line_at(hash) + LINE_LEN;
        let cells = mapped.get(at..)?.first_chunk()?;
        Some(hint_of(cells, hash))
    }

    pub(crate) fn read_chunk(
        &self,
        source: &BlockSource,
        chunk: usize,
    ) -> Result<crate::raw_file::RawBytes> {
        let is_right = |bytes: &[u8]| self.directory.is_right(chunk, bytes, source.seeds());
        source.read_filter(self.directory.chunk_extent(chunk), is_right)
    }
}
