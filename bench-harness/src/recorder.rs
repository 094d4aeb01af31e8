//! The measurements of one thread: a latency histogram for each operation, and sums.
//!
//! `all` counts each operation of the workload once; the parts of a read-modify-write have lines of their own.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::operation::Operation;

/// The longest latency that is told apart, in nanoseconds; longer ones count as this.
const LONGEST_NS: u64 = 60_000_000_000;
/// Significant decimal digits of a latency.
const DIGITS: u8 = 3;
/// The parts of a read-modify-write, after the operations themselves.
const PARTS: [&str; 2] = ["rmw-get", "rmw-put"];

/// Measurements of one or more threads.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    lines: Vec<Line>,
}

/// The measurements of one operation.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// The operation's name in the results.
    pub(crate) name: &'static str,
    /// How many operations there were; a sweep counts its entries.
    pub(crate) ops: u64,
    /// Nanoseconds of each call; empty where calls were not timed one by one.
    pub(crate) latency: Histogram<u64>,
    /// Time inside the engine.
    pub(crate) busy: Duration,
    /// Reads that found nothing, rightly.
    pub(crate) not_found: u64,
    /// Writes that were told to try again.
    pub(crate) retries: u64,
    /// Bytes of keys and values written.
    pub(crate) bytes_written: u64,
    /// Bytes of keys and values read.
    pub(crate) bytes_read: u64,
    /// Entries that scans read.
    pub(crate) entries: u64,
    /// Answers that were compared with the model: values, entries of scans, and rightly empty ones.
    pub(crate) verified: u64,
}

/// The outcome of one call: the operations, bytes and entries that it moved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpSample {
    /// Operations that the call carried: 1, or those of a batch.
    pub(crate) ops: u64,
    /// Whether a key was read.
    pub(crate) is_read: bool,
    /// Whether a read found nothing.
    pub(crate) not_found: bool,
    /// How often a write was told to try again.
    pub(crate) retries: u64,
    /// Bytes of keys and values written.
    pub(crate) bytes_written: u64,
    /// Bytes of keys and values read.
    pub(crate) bytes_read: u64,
    /// Entries that a scan read.
    pub(crate) entries: u64,
}

impl Default for OpSample {
    fn default() -> Self {
        Self {
            ops: 1,
            is_read: false,
            not_found: false,
            retries: 0,
            bytes_written: 0,
            bytes_read: 0,
            entries: 0,
        }
    }
}

impl Line {
    /// A line without any call.
    pub(crate) fn new(name: &'static str) -> Self {
        let latency = Histogram::new_with_bounds(1, LONGEST_NS, DIGITS)
            .expect("the bounds and digits are constants that the histogram accepts");
        Self {
            name,
            ops: 0,
            latency,
            busy: Duration::ZERO,
            not_found: 0,
            retries: 0,
            bytes_written: 0,
            bytes_read: 0,
            entries: 0,
            verified: 0,
        }
    }

    fn record(&mut self, time: Duration, sample: OpSample) {
        debug_assert!(sample.ops > 0 && !(sample.not_found && sample.entries > 0));
        self.ops += sample.ops;
        self.latency.saturating_record((time.as_nanos() as u64).max(1));
        self.busy += time;
        self.not_found += u64::from(sample.not_found);
        self.retries += sample.retries;
        self.bytes_written += sample.bytes_written;
        self.bytes_read += sample.bytes_read;
        self.entries += sample.entries;
        self.verified += sample.entries + u64::from(sample.is_read);
    }

    /// Adds the measurements of another thread or another operation.
    pub(crate) fn add(&mut self, other: &Self) {
        self.ops += other.ops;
        self.latency.add(&other.latency).expect("all histograms have the same bounds");
        self.busy += other.busy;
        self.not_found += other.not_found;
        self.retries += other.retries;
        self.bytes_written += other.bytes_written;
        self.bytes_read += other.bytes_read;
        self.entries += other.entries;
        self.verified += other.verified;
    }
}

impl Recorder {
    /// An empty recorder. Memory is touched only where something is recorded.
    pub(crate) fn new() -> Self {
        let names = Operation::ALL.map(Operation::name).into_iter().chain(PARTS);
        Self { lines: names.map(Line::new).collect() }
    }

    /// Counts one call.
    pub(crate) fn record(&mut self, operation: Operation, time: Duration, sample: OpSample) {
        self.lines[operation as usize].record(time, sample);
    }

    /// Counts the two parts of a read-modify-write.
    pub(crate) fn record_parts(&mut self, get: Duration, put: Duration) {
        let parts = &mut self.lines[Operation::ALL.len()..];
        debug_assert_eq!(parts.len(), PARTS.len());
        parts[0].record(get, OpSample::default());
        parts[1].record(put, OpSample::default());
    }

    /// Adds the measurements of another thread.
    pub(crate) fn add(&mut self, other: &Self) {
        assert_eq!(self.lines.len(), other.lines.len());
        for (line, other) in self.lines.iter_mut().zip(&other.lines) {
            assert_eq!(line.name, other.name);
            line.add(other);
        }
    }

    /// The operations that took place, without their sum.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.ops > 0)
    }

    /// The sum of all operations, without the parts.
    pub(crate) fn total(&self) -> Line {
        let mut total = Line::new("all");
        self.lines[..Operation::ALL.len()].iter().for_each(|line| total.add(line));
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_counts_a_read_modify_write_once() {
        let mut recorder = Recorder::new();
        let time = Duration::from_nanos;
        recorder.record(Operation::ReadModifyWrite, time(30), OpSample::default());
        recorder.record_parts(time(10), time(20));
        recorder.record(Operation::Get, time(5), OpSample::default());
        assert_eq!(recorder.total().ops, 2);
        assert_eq!(recorder.total().busy, time(35));
        assert_eq!(recorder.lines().count(), 4);
    }

    #[test]
    fn a_latency_beyond_the_longest_still_counts() {
        let mut recorder = Recorder::new();
        recorder.record(Operation::Put, Duration::from_secs(100), OpSample::default());
        assert_eq!(recorder.total().ops, 1);
    }

    #[test]
    fn a_batch_is_one_call_and_as_many_operations_as_it_carries() {
        let mut recorder = Recorder::new();
        let batch = OpSample { ops: 100, ..OpSample::default() };
        recorder.record(Operation::Put, Duration::from_nanos(50), batch);
        assert_eq!((recorder.total().ops, recorder.total().latency.len()), (100, 1));
    }
}
