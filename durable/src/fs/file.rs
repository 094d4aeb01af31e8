//! Open files, and the bytes of a mapped one.

use std::fmt::Debug;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use kv::Result;

/// How many bytes [`File::read_in_pieces`] reads at a time.
const PIECE_BYTES: u64 = 1 << 20;

/// An open file. Reads and writes name their position; there is no shared cursor.
pub trait File: Debug + Send + Sync {
    /// The path that the file was opened under.
    fn path(&self) -> &Path;

    /// Its length in bytes.
    ///
    /// # Errors
    /// `Io`.
    fn len(&self) -> Result<u64>;

    /// Whether it has no bytes.
    ///
    /// # Errors
    /// `Io`.
    fn is_empty(&self) -> Result<bool> {
        self.len().map(|len| len == 0)
    }

    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// `Io`; with `UnexpectedEof` when the file ends before `buf` is full.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()>;

    /// Reads the whole file once, from the first byte to the last. Calls `visit` with the offset and the bytes of each
    /// piece, which is at most 1 MiB long. The pages that this brings into memory leave it again behind the pass. So a pass
    /// over a file does not evict the pages that other readers use.
    ///
    /// # Errors
    /// `Io`; and the first error that `visit` returns.
    fn read_in_pieces(&self, visit: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        read_pieces(self.len()?, &mut |offset, piece| self.read_at(offset, piece), visit)
    }

    /// Writes all of `bytes` at `offset`, growing the file if need be. Durable after [`File::sync`].
    ///
    /// # Errors
    /// `Io`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()>;

    /// Cuts or zero-extends the file. Durable after [`File::sync`].
    ///
    /// # Errors
    /// `Io`.
    fn set_len(&self, len: u64) -> Result<()>;

    /// Has the system begin to write the bytes of `range` to the disk, so that a later sync finds little left to write.
    /// Makes nothing durable, reports no failure, and may do nothing.
    fn start_writeback(&self, range: Range<u64>) {
        debug_assert!(range.start <= range.end, "a range goes forward");
    }

    /// Makes the bytes and the length durable.
    ///
    /// # Errors
    /// `Io`: which of the bytes became durable is unknown, and a second attempt proves nothing. Poison the store.
    fn sync(&self) -> Result<()>;

    /// Maps the whole file, read-only, as it is now. For files that no longer change. `access` is advice to the page
    /// cache and changes no result.
    ///
    /// On a real disk this is a memory mapping: if another process truncates the file, or the disk cannot read a page,
    /// access ends the process with `SIGBUS`. Check the length against the manifest first.
    ///
    /// # Errors
    /// `Io`. When the process has as many mappings as it may have (`vm.max_map_count`), or no memory for one,
    /// [`Error::is_out_of_resources`](kv::Error::is_out_of_resources) holds: read the file by position instead, as
    /// [`read_whole`](crate::read_whole) does.
    fn map(&self, access: Access) -> Result<Arc<dyn Mapped>>;
}

/// In which order the bytes of a mapping are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Single records, anywhere in the file. A page that is missing from memory is read alone: reading ahead would fetch
    /// 32 pages and more for one record, and evict as many (measured in a store of twice the memory: 63 times slower).
    Random,
    /// Once, from the first byte to the last. The kernel reads ahead. Pages that were not in memory before leave it at
    /// [`Mapped::release`], or when the mapping is dropped.
    Sequential,
}

/// The bytes of a mapped file.
pub trait Mapped: Debug + Send + Sync {
    /// All of them.
    fn bytes(&self) -> &[u8];

    /// Enters the pages that are in memory into the page table of the process (`MADV_POPULATE_READ`, Linux 5.14; elsewhere
    /// nothing happens). The first read of each then costs no page fault. Reads nothing from the disk. Takes
    /// time in proportion to the pages: call it in the background.
    fn populate(&self) {}

    /// The bytes of `range` are about to be read, in order (`MADV_WILLNEED`; elsewhere nothing happens). The system reads
    /// those of their pages from the disk that are not in memory, several at a time, while the caller goes on. For a walk
    /// through an [`Access::Random`] mapping, which reads each missing page alone otherwise.
    fn prefetch(&self, range: Range<usize>) {
        debug_assert!(range.end <= self.bytes().len(), "only bytes of the file are read");
    }

    /// The reader of an [`Access::Sequential`] mapping will not come back to the bytes before `end`: those of their
    /// pages that were not in memory when the file was mapped leave it now. The bytes stay readable.
    fn release(&self, end: usize) {
        debug_assert!(end <= self.bytes().len(), "only bytes of the file are released");
    }
}

/// Reads `len` bytes with `read`, piece by piece, and shows each piece to `visit`.
pub(crate) fn read_pieces(
    len: u64,
    read: &mut dyn FnMut(u64, &mut [u8]) -> Result<()>,
    visit: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut buffer = vec![0; len.min(PIECE_BYTES) as usize];
    let mut offset = 0;
    while offset < len {
        let piece = &mut buffer[..(len - offset).min(PIECE_BYTES) as usize];
        read(offset, piece)?;
        visit(offset, piece)?;
        offset += piece.len() as u64;
    }
    assert_eq!(offset, len, "the pieces cover the file");
    Ok(())
}
