//! The log of the yardstick: mapped segments whose space is written ahead, one always in reserve.
//!
//! A thread makes the next segment once an eighth of the current one is full, so that no write waits for a file. An opening
//! that finds segments does not wait for a new one; the first write does. Concurrent syncs form a group: one caller syncs
//! for all that wrote before it began.
//!
//! Where writes wait for syncs, the thread fills a segment with zeros and syncs them, so that a later sync has nothing but
//! data to write. Where they do not, the log writes a few zeros ahead of each append: they are in the processor's cache
//! when the data takes their place, and no page was cleaned and write-protected before its first append. A segment that was
//! filled and synced ahead made every page a fault, and the appender waited for the disk.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use durable::{Access, Fs, LogFile, Mapped, OsFs};
use kv::{Error, Result};
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::table::Slot;

/// Bytes of a segment, and so of the largest batch.
const SEGMENT_BYTES: u64 = 16 << 20;
/// Once this much of a segment is full, the next one is made.
const RESERVE_AT: u64 = SEGMENT_BYTES / 8;
/// More segments than any run of the harness fills.
const MOST_SEGMENTS: usize = 1 << 14;

#[derive(Debug)]
enum Segment {
    /// Written by this process.
    Open(Arc<dyn LogFile>),
    /// Found when the engine was opened.
    Sealed(Arc<dyn Mapped>),
}

/// All segments.
#[derive(Debug)]
pub(super) struct Segments {
    files: Box<[OnceLock<Segment>]>,
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
    /// `None` once the engine is going.
    maker: Option<Maker>,
    /// Memory to put a batch together in.
    pub(super) buffer: Vec<u8>,
}

/// The thread that makes segments: it takes numbers and hands over logs.
#[derive(Debug)]
struct Maker {
    requests: Sender<u32>,
    reserve: Receiver<Result<Arc<dyn LogFile>>>,
    thread: JoinHandle<()>,
}

impl Tail {
    /// Asks the maker for `segment`, once.
    fn ask(&mut self, segment: u32) -> Result<()> {
        if segment < self.asked {
            return Ok(());
        }
        self.asked = segment + 1;
        let maker = self.maker.as_ref().ok_or(Error::Closed)?;
        maker.requests.send(segment).map_err(|_| Error::Closed)
    }
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
    /// The segments in `directory`, of which the first `sealed` are kept, ready to be appended to. With `fills`, segments
    /// are filled and synced before they are used.
    pub(super) fn open(directory: &Path, sealed: u32, fills: bool) -> Result<Self> {
        let fs = OsFs::default();
        let files: Box<[_]> = (0..MOST_SEGMENTS).map(|_| OnceLock::new()).collect();
        for number in 0..sealed {
            let bytes = fs.open(&path(directory, number))?.map(Access::Random)?;
            files[number as usize].get_or_init(|| Segment::Sealed(bytes));
        }
        let (requests, numbers) = channel();
        let (sender, reserve) = channel();
        let directory = directory.to_path_buf();
        let maker = std::thread::spawn(move || {
            // Requests end, and a send fails, when the engine is gone.
            let mut made = numbers.iter().map(|number| create(&fs, &directory, number, fills));
            while made.next().is_some_and(|new| sender.send(new).is_ok()) {}
        });
        let maker = Some(Maker { requests, reserve, thread: maker });
        let mut tail = Tail { segment: sealed, end: 0, asked: sealed, maker, buffer: Vec::new() };
        tail.ask(sealed)?;
        let segments = Self {
            files,
            fills,
            tail: Mutex::new(tail),
            syncs: Mutex::new(Syncs { done: (sealed, 0), ..Syncs::default() }),
            synced: Condvar::new(),
        };
        if sealed == 0 {
            segments.add(&segments.tail.lock())?;
        }
        Ok(segments)
    }

    /// Puts the segment in reserve in the place of the tail's.
    fn add(&self, tail: &Tail) -> Result<()> {
        let maker = tail.maker.as_ref().ok_or(Error::Closed)?;
        let log = maker.reserve.recv().map_err(|_| Error::Closed)??;
        let place = self.files.get(tail.segment as usize);
        let place = place.ok_or(Error::Unsupported("more than 256 GiB in a yardstick"))?;
        place.get_or_init(|| Segment::Open(log));
        Ok(())
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
            tail.ask(tail.segment + 1)?;
            (tail.segment, tail.end) = (tail.segment + 1, 0);
        }
        if self.files.get(tail.segment as usize).is_none_or(|place| place.get().is_none()) {
            self.add(tail)?;
        }
        let start = tail.end;
        let log = self.log(tail.segment)?;
        if !self.fills {
            log.reserve(start + len)?;
        }
        log.append(start, &tail.buffer)?;
        tail.end += len;
        if tail.end >= RESERVE_AT {
            tail.ask(tail.segment + 1)?;
        }
        Ok((tail.segment, start))
    }

    fn log(&self, segment: u32) -> Result<&Arc<dyn LogFile>> {
        match self.files[segment as usize].get() {
            Some(Segment::Open(log)) => Ok(log),
            _ => Err(Error::Closed),
        }
    }

    /// Calls `read` with the record that `slot` names.
    pub(super) fn read(&self, slot: &Slot, read: &mut dyn FnMut(&[u8])) -> Result<()> {
        let (start, len) = (slot.offset as usize, slot.len as usize);
        match self.files[slot.segment as usize].get() {
            Some(Segment::Open(log)) => log.read(u64::from(slot.offset), len, read),
            Some(Segment::Sealed(mapped)) => {
                read(&mapped.bytes()[start..start + len]);
                Ok(())
            }
            None => Err(Error::Closed),
        }
    }

    /// The bytes of a segment that was found, records and what is behind them.
    pub(super) fn sealed_bytes(&self, segment: u32) -> Option<&[u8]> {
        match self.files[segment as usize].get()? {
            Segment::Sealed(mapped) => Some(mapped.bytes()),
            Segment::Open(_) => None,
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

    /// How many segments hold records, and gives back the space behind the last of them.
    pub(super) fn finish(&self) -> Result<u32> {
        let tail = self.tail.lock();
        if tail.end == 0 {
            return Ok(tail.segment);
        }
        self.log(tail.segment)?.finish(tail.end)?;
        Ok(tail.segment + 1)
    }
}

impl Drop for Segments {
    fn drop(&mut self) {
        // Nothing of this engine may touch the directory once it is gone.
        if let Some(Maker { requests, reserve, thread }) = self.tail.get_mut().maker.take() {
            drop((requests, reserve));
            thread.join().unwrap_or_default();
        }
    }
}

fn create(fs: &OsFs, directory: &Path, number: u32, fills: bool) -> Result<Arc<dyn LogFile>> {
    let path = path(directory, number);
    if path.exists() {
        // A reserve that an earlier opening did not use.
        fs.remove(&path)?;
    }
    let log = fs.create_log(&path, SEGMENT_BYTES)?;
    if fills {
        log.reserve(SEGMENT_BYTES)?;
        log.sync()?;
    }
    fs.sync_dir(directory)?;
    Ok(log)
}

fn path(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("{number:06}.log"))
}

/// How many segments there are in `directory`.
pub(super) fn count(directory: &Path) -> u32 {
    let is_there = |number: &u32| path(directory, *number).exists();
    (0..MOST_SEGMENTS as u32).take_while(is_there).count() as u32
}
