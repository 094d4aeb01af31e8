//! Writing a file once, from its first byte to its last.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crc32fast::Hasher;
use kv::{Error, Result};

use crate::fs::{File, Fs};
use crate::publish::{PublishedFile, publish_in_place};

/// How many bytes are collected before they are written. Each write but the last one has this length and begins at a multiple
/// of it. A file system with large folios makes one folio of such a write.
///
/// A folio of 2 MiB is one entry of the page table, so random reads through a mapping miss the TLB less. But a virtual machine
/// gives its free blocks of 2 MiB back to the host, which the first write to such a block then waits for. Nobody gives smaller
/// blocks back. In a virtual machine (ext4 of Linux 6.18), 2 GiB written to new files took, in microseconds a MiB, from the
/// first quarter to the last one:
///
/// | bytes a write | | again |
/// |---|---|---|
/// | 64 KiB | 202, 195, 196, 202 | 467, 232, 230, 202 |
/// | 256 KiB | 167, 164, 165, 164 | 348, 218, 212, 189 |
/// | 1 MiB | 176, 303, 835, 2,584 | 235, 185, 183, 545 |
/// | 2 MiB | 806, 2,546, 2,536, 2,517 | 1,058, 2,640, 2,691, 2,715 |
///
/// An LSM tree that was filled in this way took puts of 1,000 bytes at 1.5 to 2.1 times the speed with 256 KiB. Its gets had
/// 0.92 to 0.98 of the speed.
const CHUNK_BYTES: usize = 256 << 10;

/// How many bytes are written before the system is asked to begin with their way to the disk. Without it, the sync at the
/// end writes the whole file in one burst, and other syncs of the disk wait for it.
const WRITEBACK_BYTES: u64 = 1 << 20;

/// A new file that is written front to back. It knows the length and the CRC-32 of its bytes at any time.
///
/// Dropped before [`FileWriter::finish`], it leaves a file that nothing names: an orphan, for its engine to remove.
///
/// ```
/// # use durable::{FileWriter, Fs, SimFs, crc32};
/// # use std::path::Path;
/// let fs = SimFs::new();
/// let mut writer = FileWriter::create(&fs, Path::new("table"))?;
/// writer.append(b"some ")?;
/// writer.append(b"bytes")?;
/// let written = writer.finish(&fs)?;
/// assert_eq!((written.file.len_bytes(), written.crc), (10, crc32(b"some bytes")));
/// # Ok::<_, kv::Error>(())
/// ```
#[derive(Debug)]
pub struct FileWriter {
    file: Arc<dyn File>,
    /// Bytes that were appended and not written yet, at most a chunk.
    buffer: Vec<u8>,
    /// How many bytes the buffer takes until it is written. None after a failure.
    room: usize,
    /// How many bytes were written to the file.
    written: u64,
    /// Of all bytes that were appended.
    hasher: Hasher,
    /// Up to where the system was asked to begin with the way to the disk.
    in_writeback: u64,
    /// Why an earlier write failed. The bytes of the file are unknown since then.
    failure: Option<Error>,
}

/// A file that was written whole and made durable.
#[derive(Debug)]
pub struct WrittenFile {
    /// The proof that a manifest asks for, with the length.
    pub file: PublishedFile,
    /// The CRC-32 of all its bytes.
    pub crc: u32,
}

impl FileWriter {
    /// A writer of a new file at `path`.
    ///
    /// # Errors
    /// `Io`; with `AlreadyExists` when the name is taken.
    pub fn create(fs: &dyn Fs, path: &Path) -> Result<Self> {
        fs.create(path).map(Self::new)
    }

    /// A writer of `file`, which has no bytes yet.
    pub fn new(file: Arc<dyn File>) -> Self {
        Self {
            file,
            buffer: Vec::with_capacity(CHUNK_BYTES),
            room: CHUNK_BYTES,
            written: 0,
            hasher: Hasher::new(),
            in_writeback: 0,
            failure: None,
        }
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// How many bytes were appended.
    #[inline]
    pub fn len_bytes(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Appends `bytes`. They may stay in memory until later.
    ///
    /// # Errors
    /// `Io`, which ends the file: every later call returns the same error.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        // The bytes are in the processor's caches now, and not any more when the chunk is written.
        self.hasher.update(bytes);
        if bytes.len() > self.room {
            return self.append_past_the_chunk(bytes);
        }
        self.collect(bytes);
        Ok(())
    }

    fn append_past_the_chunk(&mut self, mut bytes: &[u8]) -> Result<()> {
        while bytes.len() > self.room {
            let (first, rest) = bytes.split_at(self.room);
            self.collect(first);
            self.write_buffer()?;
            bytes = rest;
        }
        self.collect(bytes);
        Ok(())
    }

    #[inline]
    fn collect(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.room, "a chunk has one length");
        self.room -= bytes.len();
        self.buffer.extend_from_slice(bytes);
    }

    fn write_buffer(&mut self) -> Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        self.room = 0;
        self.write(&buffer)?;
        self.buffer = buffer;
        self.buffer.clear();
        self.room = CHUNK_BYTES;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        debug_assert!(self.written.is_multiple_of(CHUNK_BYTES as u64), "a chunk begins here");
        if let Err(error) = self.file.write_at(self.written, bytes) {
            return Err(self.failure.insert(error).clone());
        }
        self.written += bytes.len() as u64;
        if let Some(range) = due_for_writeback(self.in_writeback, self.written) {
            self.in_writeback = range.end;
            self.file.start_writeback(range);
        }
        Ok(())
    }

    /// Writes the rest, syncs the file, and makes its name durable.
    ///
    /// # Errors
    /// `Io`: how much of the file a crash leaves is unknown.
    ///
    /// # Panics
    /// When the file had bytes before.
    pub fn finish(mut self, fs: &dyn Fs) -> Result<WrittenFile> {
        self.write_buffer()?;
        let file = publish_in_place(fs, &*self.file)?;
        assert_eq!(file.len_bytes(), self.written, "the file has the bytes that were appended");
        Ok(WrittenFile { file, crc: self.hasher.finalize() })
    }
}

/// The bytes that start their way to the disk when `written` bytes were written, of which the first `started` have started.
fn due_for_writeback(started: u64, written: u64) -> Option<Range<u64>> {
    debug_assert!(started <= written, "only written bytes start");
    let end = written - written % WRITEBACK_BYTES;
    (end > started).then_some(started..end)
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use crate::{Access, Fault, Inject, Mapped, Plan, SimFs, crc32};

    #[test]
    fn a_file_has_the_appended_bytes_whatever_their_lengths() {
        let fs = SimFs::new();
        let lens = [0, 1, CHUNK_BYTES - 1, 1, 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 7, 10];
        let mut writer = FileWriter::create(&fs, Path::new("file")).unwrap();
        let mut expected = Vec::new();
        for (at, len) in lens.into_iter().enumerate() {
            let bytes = vec![at as u8 + 1; len];
            writer.append(&bytes).unwrap();
            expected.extend_from_slice(&bytes);
            assert_eq!(writer.len_bytes(), expected.len() as u64);
        }
        let written = writer.finish(&fs).unwrap();
        assert_eq!(fs.contents(Path::new("file")).unwrap(), expected);
        assert_eq!(written.file.len_bytes(), expected.len() as u64);
        assert_eq!(written.crc, crc32(&expected));
    }

    #[test]
    fn every_write_but_the_last_one_fills_a_chunk() {
        let fs = SimFs::new();
        let path = Path::new("file");
        let mut writer = FileWriter::create(&fs, path).unwrap();
        let part = vec![7; CHUNK_BYTES / 3 + 1];
        for parts in 1..10 {
            writer.append(&part).unwrap();
            let appended = parts * part.len();
            let written = fs.contents(path).unwrap().len();
            assert_eq!(written, appended - appended % CHUNK_BYTES);
        }
        writer.finish(&fs).unwrap();
        assert_eq!(fs.contents(path).unwrap(), vec![7; 9 * part.len()]);
    }

    /// A file that notes which bytes start their way to the disk.
    #[derive(Debug)]
    struct Noted {
        file: Arc<dyn File>,
        started: Mutex<Vec<Range<u64>>>,
    }

    impl File for Noted {
        fn path(&self) -> &Path {
            self.file.path()
        }

        fn len(&self) -> Result<u64> {
            self.file.len()
        }

        fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
            self.file.read_at(offset, buf)
        }

        fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
            self.file.write_at(offset, bytes)
        }

        fn set_len(&self, len: u64) -> Result<()> {
            self.file.set_len(len)
        }

        fn start_writeback(&self, range: Range<u64>) {
            self.started.lock().push(range);
        }

        fn sync(&self) -> Result<()> {
            self.file.sync()
        }

        fn map(&self, access: Access) -> Result<Arc<dyn Mapped>> {
            self.file.map(access)
        }
    }

    #[test]
    fn each_written_mebibyte_starts_its_way_to_the_disk_before_the_next_one_is_written() {
        let fs = SimFs::new();
        let file = fs.create(Path::new("file")).unwrap();
        let noted = Arc::new(Noted { file, started: Mutex::default() });
        let file: Arc<dyn File> = Arc::clone(&noted) as _;
        let mut writer = FileWriter::new(file);
        for started in 0..4 {
            writer.append(&vec![7; WRITEBACK_BYTES as usize]).unwrap();
            let expected: Vec<Range<u64>> =
                (0..started).map(|at| at * WRITEBACK_BYTES..(at + 1) * WRITEBACK_BYTES).collect();
            assert_eq!(*noted.started.lock(), expected, "the last chunk is in memory");
        }
        writer.finish(&fs).unwrap();
    }

    #[test]
    fn a_write_that_failed_ends_the_file() {
        // Call 0 creates the file, call 1 is the first write.
        let fs = Inject::over_sim(SimFs::new(), Plan::once(1, Fault::NoSpace));
        let mut writer = FileWriter::create(&fs, Path::new("file")).unwrap();
        writer.append(&vec![1; CHUNK_BYTES]).unwrap();
        let first = writer.append(&[2; 10]).unwrap_err();
        assert!(first.is_out_of_resources());
        let again = writer.append(&vec![3; CHUNK_BYTES]).unwrap_err();
        assert_eq!(again.to_string(), first.to_string());
        assert!(writer.finish(&fs).is_err(), "the disk would take the bytes now");
    }

    #[test]
    fn whole_mebibytes_start_their_way_to_the_disk_once() {
        assert_eq!(due_for_writeback(0, WRITEBACK_BYTES - 1), None);
        assert_eq!(due_for_writeback(0, WRITEBACK_BYTES), Some(0..WRITEBACK_BYTES));
        assert_eq!(due_for_writeback(WRITEBACK_BYTES, WRITEBACK_BYTES + 5), None);
        let far = 5 * WRITEBACK_BYTES + 1;
        assert_eq!(
            due_for_writeback(WRITEBACK_BYTES, far),
            Some(WRITEBACK_BYTES..5 * WRITEBACK_BYTES)
        );
    }
}
