//! The memory that one thread writes its measurements and the stamps of all answers to.
//!
//! It is allocated and touched before the engine is opened, and never grows while the clock runs. When it is full, the
//! window ends: the clock stops, the judge reads the window, and the next one begins.

use std::time::Instant;

use super::StreamPosition;
use crate::operation::Operation;

/// The stamp of a get that found nothing. Versions begin at 1.
pub(crate) const NOT_FOUND: u32 = 0;
/// The stamp of an answer that cannot be right; [`Window::complaint`] says why.
pub(crate) const WRONG: u32 = u32::MAX;

/// How many kinds of operation there are.
const KINDS: usize = Operation::ALL.len();

/// A call whose time was taken.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// The operation, as an index into those of the window.
    pub(crate) at: u32,
    /// The kind of operation or its part, as an index into the recorder's statistics.
    pub(crate) kind: u32,
    /// The begin of the call, in nanoseconds since the begin of the window.
    pub(crate) start_ns: u64,
    /// Its end.
    pub(crate) end_ns: u64,
    /// How much later than intended it began; 0 without a schedule.
    pub(crate) late_ns: u64,
}

/// The stamp of an entry that a scan read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EntryStamp {
    /// The key that the value belongs to, by the header of the value.
    pub(crate) id: u32,
    /// Its version.
    pub(crate) version: u32,
    /// The digest of the key's bytes.
    pub(crate) key_digest: u64,
}

/// Sums of one kind of operation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    /// Calls of the engine.
    pub(crate) calls: u64,
    /// Writes that the engine asked to try again.
    pub(crate) retries: u64,
    /// Bytes of keys and values read.
    pub(crate) bytes_read: u64,
    /// Bytes of keys and values written.
    pub(crate) bytes_written: u64,
}

/// The stamps and the measurements of the operations of one thread, from one stop of the clock to the next.
#[derive(Debug)]
pub(crate) struct Window {
    /// The position of the thread when the window began.
    pub(crate) start: StreamPosition,
    /// Operations in it.
    pub(crate) ops: u32,
    /// One stamp for each get (a version) and each scan (how many entries), in order.
    pub(crate) answers: Vec<u32>,
    /// The entries of the scans, in order.
    pub(crate) entries: Vec<EntryStamp>,
    /// The calls whose time was taken, in order.
    pub(crate) samples: Vec<Sample>,
    /// Sums by operation.
    pub(crate) sums: [Sums; KINDS],
    /// The first answer that cannot be right, whatever was written.
    pub(crate) complaint: Option<String>,
    /// Calls of the schedule that were due and had not begun when the window ended.
    pub(crate) missed: u64,
    /// When the window began.
    pub(crate) begun: Instant,
    /// When the thread ended its part.
    pub(crate) ended: Instant,
    /// The most operations until the next restart.
    pub(crate) most_ops: u32,
    /// The most operations that the memory was made for.
    capacity_ops: u32,
}

/// How much a window can hold.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WindowCapacity {
    /// Operations.
    pub(crate) ops: u32,
    /// Stamps of gets and scans.
    pub(crate) answers: usize,
    /// Calls whose time is taken.
    pub(crate) samples: usize,
    /// Entries of scans.
    pub(crate) entries: usize,
}

impl WindowCapacity {
    /// The capacity that both need.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            ops: self.ops.max(other.ops),
            answers: self.answers.max(other.answers),
            samples: self.samples.max(other.samples),
            entries: self.entries.max(other.entries),
        }
    }
}

impl Window {
    /// An empty window with all of its memory touched.
    pub(crate) fn new(capacity: WindowCapacity) -> Self {
        let now = Instant::now();
        Self {
            start: StreamPosition::default(),
            ops: 0,
            answers: touched(capacity.answers, WRONG),
            entries: touched(capacity.entries, EntryStamp { id: WRONG, ..EntryStamp::default() }),
            samples: touched(capacity.samples, Sample { at: u32::MAX, ..Sample::default() }),
            sums: [Sums::default(); KINDS],
            complaint: None,
            missed: 0,
            begun: now,
            ended: now,
            most_ops: capacity.ops,
            capacity_ops: capacity.ops,
        }
    }

    /// Empties the window for the next operations, at most `most_ops`, from `start` on.
    pub(crate) fn restart(&mut self, start: StreamPosition, most_ops: u32) {
        assert!(most_ops <= self.capacity_ops, "the memory was made for fewer operations");
        self.start = start;
        self.ops = 0;
        self.answers.clear();
        self.entries.clear();
        self.samples.clear();
        self.sums = [Sums::default(); KINDS];
        self.complaint = None;
        self.missed = 0;
        self.most_ops = most_ops;
        self.begun = Instant::now();
        self.ended = self.begun;
    }

    /// Nanoseconds from the window's begin to `moment`.
    pub(crate) fn since_begin(&self, moment: Instant) -> u64 {
        moment.saturating_duration_since(self.begun).as_nanos() as u64
    }
}

/// An empty vector of capacity `len` whose memory is resident.
fn touched<T: Clone>(len: usize, filler: T) -> Vec<T> {
    let mut memory = vec![filler; len];
    memory.clear();
    debug_assert!(memory.capacity() >= len, "no window grows while the clock runs");
    memory
}
