//! The log that is being written, and the file that names it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::publish::create_afresh;
use durable::{File, Fs, seeded_crc32};
use kv::{Error, Result};

use super::format::{Current, LogId};

/// A log longer than this is compacted, unless its entries alone are as long.
const LOG_LIMIT_BYTES: u64 = 2048;

/// The next `CURRENT`, before it counts.
pub(super) const TEMPORARY: &str = "CURRENT.tmp";

/// An open log.
#[derive(Debug)]
pub(super) struct Log {
    file: Arc<dyn File>,
    id: LogId,
    /// Where the next frame goes.
    end: u64,
    /// Up to here a power cut takes nothing.
    durable: u64,
    /// Where the first frame, with all entries, ends.
    base: u64,
    /// The checksum of everything up to `end`.
    sum: u32,
    /// The last frames, where a planted bug has not written them yet.
    held_back: Vec<u8>,
}

impl Log {
    /// A new, empty log. An orphan of an earlier crash that has the name is removed.
    pub(super) fn create(fs: &dyn Fs, dir: &Path, id: LogId) -> Result<Self> {
        let file = create_afresh(fs, &path(dir, id.number))?;
        Ok(Self { file, id, end: 0, durable: 0, base: 0, sum: 0, held_back: Vec::new() })
    }

    /// A log that goes on after the `contents` that recovery has read.
    pub(super) fn resume(fs: &dyn Fs, dir: &Path, id: LogId, contents: &[u8]) -> Result<Self> {
        let file = fs.open_writable(&path(dir, id.number))?;
        let (end, sum) = (contents.len() as u64, seeded_crc32(0, contents));
        Ok(Self { file, id, end, durable: end, base: 0, sum, held_back: Vec::new() })
    }

    pub(super) fn id(&self) -> LogId {
        self.id
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn durable(&self) -> u64 {
        self.durable
    }

    pub(super) fn is_worth_compacting(&self) -> bool {
        self.end > LOG_LIMIT_BYTES.max(2 * self.base)
    }

    pub(super) fn append(&mut self, frame: &[u8]) -> Result<()> {
        self.file.write_at(self.end, frame)?;
        self.advance(frame);
        if self.base == 0 {
            self.base = self.end;
        }
        Ok(())
    }

    /// A planted bug: like [`Log::append`], but the bytes are written later.
    pub(super) fn hold_back(&mut self, frame: &[u8]) {
        self.held_back.extend_from_slice(frame);
        self.advance(frame);
    }

    /// Takes away what an append without space may have left behind the end.
    pub(super) fn cut_back(&self) -> Result<()> {
        debug_assert!(self.held_back.is_empty(), "only a planted bug holds frames back");
        self.file.set_len(self.end)
    }

    pub(super) fn advance(&mut self, frame: &[u8]) {
        assert!(!frame.is_empty(), "a frame has a header");
        self.sum = seeded_crc32(self.sum, frame);
        self.end += frame.len() as u64;
    }

    /// A planted bug: writes the frames that were held back.
    pub(super) fn write_held_back(&mut self) -> Result<()> {
        let held_back = std::mem::take(&mut self.held_back);
        assert!(held_back.len() as u64 <= self.end, "the log counts the frames that wait");
        let at = self.end - held_back.len() as u64;
        if held_back.is_empty() { Ok(()) } else { self.file.write_at(at, &held_back) }
    }

    /// The file, to be synced without the log's lock.
    pub(super) fn file(&self) -> Arc<dyn File> {
        Arc::clone(&self.file)
    }

    /// The log is durable up to `end`.
    pub(super) fn note_durable(&mut self, end: u64) {
        assert!(end <= self.end, "durable up to {end} of {}", self.end);
        self.durable = self.durable.max(end);
    }

    /// Has `CURRENT` name this log: whole and durable, or as before.
    pub(super) fn write_current(&self, fs: &dyn Fs, is_closed: bool) -> Result<()> {
        self.prepare_current(fs, is_closed)?;
        self.swap_current(fs)
    }

    /// Makes the next `CURRENT`, durable under a temporary name. A failure changes nothing.
    pub(super) fn prepare_current(&self, fs: &dyn Fs, is_closed: bool) -> Result<()> {
        let closed = is_closed.then_some((self.end, self.sum));
        let temporary = create_afresh(fs, &self.dir()?.join(TEMPORARY))?;
        temporary.write_at(0, &Current { id: self.id, closed }.encode())?;
        temporary.sync()
    }

    /// Swaps in the `CURRENT` that was prepared. After a failure nobody knows which one counts.
    pub(super) fn swap_current(&self, fs: &dyn Fs) -> Result<()> {
        let dir = self.dir()?;
        fs.rename(&dir.join(TEMPORARY), &dir.join("CURRENT"))?;
        fs.sync_dir(dir)
    }

    fn dir(&self) -> Result<&Path> {
        self.file.path().parent().ok_or(Error::Unsupported("a log without directory"))
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // Only with the planted bug are frames held back. This write hides the bug from all suites but a real kill.
        self.write_held_back().unwrap_or_default();
    }
}

pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:06}.log"))
}

/// The number of the log called `name`.
pub(super) fn number_of(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".log")?.parse().ok()?;
    (format!("{number:06}.log") == name).then_some(number)
}
