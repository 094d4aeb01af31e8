//! The log of the yardstick: mapped segments whose space is written ahead, one always in reserve.
//!
//! A thread makes the next segment once an eighth of the current one is full, so that no write waits for a file. An opening
//! that finds segments starts no thread, and makes and maps no segment. The first write makes one; the first read of a
//! segment maps it. Concurrent syncs form a group: one caller syncs for all that wrote before it began.
//!
//! Where writes wait for syncs, the thread fills a segment with zeros and syncs them. A later sync then has nothing but
//! data to write. Where they do not, the log writes a few zeros ahead of each append: they are in the processor's cache
//! when the data takes their place, and no page was cleaned and write-protected before its first append. A segment that was
//! synced in advance made each page fault at its first write, and the appender waited for the disk.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use durable::{Access, Fs, LogFile, Mapped, OsFs};
use kv::{Error, Result};
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::maker::{Maker, SEGMENT_BYTES};
use super::slot::{SEGMENTS_END, Slot};

/// Once this much of a segment is full, the next one is made.
const RESERVE_AT: u64 = SEGMENT_BYTES / 8;
/// Segments whose places are allocated together: an opening allocates few.
const CHUNK: usize = 1 << 7;
/// More segments than any run of the harness fills: 256 GiB.
const MOST_SEGMENTS: u32 = 1 << 14;
const _: () = assert!(MOST_SEGMENTS <= SEGMENTS_END);

#[derive(Debug)]
enum Segment {
    /// Written by this process.
    Open(Arc<dyn LogFile>),
    /// Found when the engine was opened, and mapped by its first read.
    Sealed(Arc<dyn Mapped>),
}

/// Places of segments: each is filled once.
type Chunk = Box<[OnceLock<Segment>]>;

/// All segments.
#[derive(Debug)]
pub(super) struct Segments {
    fs: OsFs,
    directory: PathBuf,
    chunks: Box<[OnceLock<Chunk>]>,
    /// How many segments were found when the engine was opened.
    sealed: u32,
    /// Whether segments are filled and synced before they are used.
    fills: bool,
    tail: Mutex<Tail>,
    syncs: Mutex<Syncs>,
    synced: Condvar,
}

/// The end of the log.
#[derive(Debug)]
pub(super) struct Tail {
    /// The segment that is written, and the end of its records.
    segment: u32,
    end: u64,
    /// The next segment that nobody asked the maker for.
    asked: u32,
    /// Started by the first request.
    maker: Option<Maker>,
    /// Memory to put a batch together in.
    pub(super) buffer: Vec<u8>,
}

/// A place in the log, in the order of the writes.
type Position = (u32, u64);

#[derive(Debug, Default)]
struct Syncs {
    /// Everything before it is durable.
    done: Position,
    is_running: bool,
    /// How often the disk was asked.
    count: u64,
}

impl Segments {
    /// The segments in `directory`, ready to be appended to: the first `known` and those that follow them. With `fills`,
    /// segments are filled and synced before they are used. Where there are none, the first is made.
    pub(super) fn open(fs: OsFs, directory: &Path, known: u32, fills: bool) -> Result<Self> {
        let is_there = |number: &u32| path(directory, *number).exists();
        let sealed = known + (known..MOST_SEGMENTS).take_while(is_there).count() as u32;
        let tail = Tail { segment: sealed, end: 0, asked: sealed, maker: None, buffer: Vec::new() };
        let segments = Self {
            fs,
            directory: directory.to_path_buf(),
            chunks: (0..MOST_SEGMENTS as usize / CHUNK).map(|_| OnceLock::new()).collect(),
            sealed,
            fills,
            tail: Mutex::new(tail),
            syncs: Mutex::new(Syncs { done: (sealed, 0), ..Syncs::default() }),
            synced: Condvar::new(),
        };
        if sealed == 0 {
            segments.add(&mut segments.tail.lock())?;
        }
        Ok(segments)
    }

    /// How many segments there were when the engine was opened.
    pub(super) fn sealed(&self) -> u32 {
        self.sealed
    }

    /// Asks the maker for `segment`, once.
    fn ask(&self, tail: &mut Tail, segment: u32) -> Result<()> {
        if segment < tail.asked {
            return Ok(());
        }
        let maker = tail.maker.get_or_insert_with(|| Maker::start(self.fs.clone(), self.fills));
        maker.ask(path(&self.directory, segment))?;
        tail.asked = segment + 1;
        Ok(())
    }

    /// Makes the tail's segment, or takes the one in reserve.
    fn add(&self, tail: &mut Tail) -> Result<()> {
        let place = self.place(tail.segment);
        let place = place.ok_or(Error::Unsupported("more than 256 GiB in a yardstick"))?;
        self.ask(tail, tail.segment)?;
        let maker = tail.maker.as_ref().ok_or(Error::Closed)?;
        let log = maker.take()?;
        place.get_or_init(|| Segment::Open(log));
        Ok(())
    }

    /// The place of a segment; `None` after the last chunk.
    fn place(&self, number: u32) -> Option<&OnceLock<Segment>> {
        let (chunk, at) = (number as usize / CHUNK, number as usize % CHUNK);
        let empty = || (0..CHUNK).map(|_| OnceLock::new()).collect();
        Some(&self.chunks.get(chunk)?.get_or_init(empty)[at])
    }

    /// A segment that is open or can be mapped.
    #[inline]
    fn segment(&self, number: u32) -> Result<&Segment> {
        let chunk = self.chunks.get(number as usize / CHUNK).and_then(OnceLock::get);
        match chunk.and_then(|chunk| chunk[number as usize % CHUNK].get()) {
            Some(segment) => Ok(segment),
            None => self.map(number),
        }
    }

    #[cold]
    fn map(&self, number: u32) -> Result<&Segment> {
        let path = path(&self.directory, number);
        let place = self.place(number).filter(|_| number < self.sealed);
        let Some(place) = place else {
            return Err(Error::corruption(path, 0, "a slot names a segment that was never made"));
        };
        let mapped = self.fs.open(&path)?.map(Access::Random)?;
        Ok(place.get_or_init(|| Segment::Sealed(mapped)))
    }

    /// The end of the log, for one writer at a time.
    pub(super) fn lock(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock()
    }

    /// Appends the tail's buffer and returns where it begins.
    pub(super) fn append(&self, tail: &mut Tail) -> Result<(u32, u64)> {
        let len = tail.buffer.len() as u64;
        if len > SEGMENT_BYTES {
            return Err(Error::Unsupported("batches beyond 16 MiB in a yardstick"));
        }
        if tail.end + len > SEGMENT_BYTES {
            (tail.segment, tail.end) = (tail.segment + 1, 0);
        }
        if tail.end == 0 && self.log(tail.segment).is_err() {
            self.add(tail)?;
        }
        let start = tail.end;
        let log = self.log(tail.segment)?;
        if !self.fills {
            log.reserve(start + len)?;
        }
        log.append(start, &tail.buffer)?;
        tail.end += len;
        debug_assert!(tail.end <= SEGMENT_BYTES, "a segment was overrun");
        if tail.end >= RESERVE_AT {
            self.ask(tail, tail.segment + 1)?;
        }
        Ok((tail.segment, start))
    }

    /// The log of a segment that this process writes.
    fn log(&self, segment: u32) -> Result<&Arc<dyn LogFile>> {
        match self.place(segment).and_then(OnceLock::get) {
            Some(Segment::Open(log)) => Ok(log),
            _ => Err(Error::Closed),
        }
    }

    /// Calls `read` with the record that `slot` names.
    #[inline]
    pub(super) fn read(&self, slot: &Slot, read: &mut dyn FnMut(&[u8])) -> Result<()> {
        let (start, len) = (slot.offset as usize, slot.len as usize);
        match self.segment(slot.segment)? {
            Segment::Open(log) => log.read(u64::from(slot.offset), len, read),
            Segment::Sealed(mapped) => {
                let Some(bytes) = mapped.bytes().get(start..start + len) else {
                    let path = path(&self.directory, slot.segment);
                    let what = "a slot names a record past the end of the segment";
                    return Err(Error::corruption(path, u64::from(slot.offset), what));
                };
                read(bytes);
                Ok(())
            }
        }
    }

    /// The bytes of a segment that was found, records and the space after them.
    pub(super) fn sealed_bytes(&self, segment: u32) -> Result<&[u8]> {
        match self.segment(segment)? {
            Segment::Sealed(mapped) => Ok(mapped.bytes()),
            Segment::Open(_) => Ok(&[]),
        }
    }

    /// Makes everything durable that was appended before the call.
    pub(super) fn sync(&self) -> Result<()> {
        let wanted = self.position();
        let mut syncs = self.syncs.lock();
        while syncs.done < wanted {
            if syncs.is_running {
                self.synced.wait(&mut syncs);
                continue;
            }
            syncs.is_running = true;
            let first = syncs.done.0;
            drop(syncs);
            let target = self.position();
            let result = (first..=target.0).try_for_each(|number| self.log(number)?.sync());
            syncs = self.syncs.lock();
            syncs.is_running = false;
            self.synced.notify_all();
            result?;
            syncs.done = target;
            syncs.count += 1;
        }
        Ok(())
    }

    fn position(&self) -> Position {
        let tail = self.tail.lock();
        (tail.segment, tail.end)
    }

    /// How often the disk was asked to sync.
    pub(super) fn sync_count(&self) -> u64 {
        self.syncs.lock().count
    }

    /// How many segments hold records. Gives back the space after the last of them, and removes the reserve. A later
    /// append begins another segment.
    pub(super) fn finish(&self) -> Result<u32> {
        let mut tail = self.tail.lock();
        if let Some(maker) = tail.maker.take() {
            maker.stop();
        }
        for reserve in tail.segment + 1..tail.asked {
            let path = path(&self.directory, reserve);
            if path.exists() {
                self.fs.remove(&path)?;
            }
        }
        if tail.end > 0 {
            let log = self.log(tail.segment)?;
            log.finish(tail.end)?;
            log.sync()?;
            (tail.segment, tail.end) = (tail.segment + 1, 0);
            self.syncs.lock().done = (tail.segment, 0);
        }
        tail.asked = tail.segment;
        Ok(tail.segment)
    }
}

impl Drop for Segments {
    fn drop(&mut self) {
        // Nothing of this engine may touch the directory once it is gone.
        if let Some(maker) = self.tail.get_mut().maker.take() {
            maker.stop();
        }
    }
}

fn path(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("{number:06}.log"))
}
