//! The measurements of a phase: for each operation a histogram of the calls that were timed, and sums over all calls.
//!
//! `all` counts each operation of the workload once; the parts of a read-modify-write have statistics of their own.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::client::{Sample, Window};
use crate::operation::{Operation, RMW_GET, RMW_PUT};

/// The longest latency that is told apart, in nanoseconds; longer ones count as this.
const LONGEST_NS: u64 = 60_000_000_000;
/// Significant decimal digits of a latency.
const DIGITS: u8 = 3;
/// The parts of a read-modify-write, after the operations themselves.
pub(crate) const PARTS: [&str; 2] = ["rmw-get", "rmw-put"];
/// A stretch of untimed calls as long as this holds a call worth noting.
const LONG_STRETCH_NS: u64 = 10_000_000;
/// A call that begins this much later than intended counts as late.
const LATE_NS: u64 = 1_000_000;

/// Measurements of one or more threads.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    /// By operation, in the order of [`Operation::ALL`]; then the parts.
    stats: Vec<OperationStats>,
    /// Stretches of untimed calls that took [`LONG_STRETCH_NS`] or longer.
    long_stretches: Vec<u64>,
}

/// The measurements of one kind of operation, of one of its parts, or of all.
#[derive(Clone, Debug)]
pub(crate) struct OperationStats {
    /// The operation's name in the results.
    pub(crate) name: &'static str,
    /// How many operations there were; a sweep counts its entries.
    pub(crate) ops: u64,
    /// Calls of the engine: fewer than operations where these go in batches.
    pub(crate) calls: u64,
    /// Nanoseconds of each timed call, from its intended start; empty where calls were not timed one by one.
    pub(crate) latency: Histogram<u64>,
    /// The same from the actual start, where there is a schedule.
    pub(crate) service: Option<Histogram<u64>>,
    /// Time inside the timed calls.
    pub(crate) timed: Duration,
    /// Timed calls that began late.
    pub(crate) late: u64,
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
    /// Long stretches of untimed calls; only in the sum, because a stretch may hold calls of several kinds.
    pub(crate) long_stretches: Vec<u64>,
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_NS, DIGITS)
        .expect("the bounds and digits are constants that the histogram accepts")
}

impl OperationStats {
    /// Statistics without any call.
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            ops: 0,
            calls: 0,
            latency: histogram(),
            service: None,
            timed: Duration::ZERO,
            late: 0,
            not_found: 0,
            retries: 0,
            bytes_written: 0,
            bytes_read: 0,
            entries: 0,
            verified: 0,
            long_stretches: Vec::new(),
        }
    }

    /// Forgets every call and keeps the memory, but for the service times of a schedule.
    fn restart(&mut self) {
        let Self { name: _, latency, service, timed, long_stretches, .. } = self;
        latency.reset();
        *service = None;
        *timed = Duration::ZERO;
        long_stretches.clear();
        let Self { ops, calls, late, not_found, retries, entries, verified, .. } = self;
        for count in [ops, calls, late, not_found, retries, entries, verified] {
            *count = 0;
        }
        (self.bytes_written, self.bytes_read) = (0, 0);
        debug_assert!(self.latency.is_empty() && self.in_calls().is_none(), "nothing is left");
    }

    /// Records the time of a call.
    fn record(&mut self, took_ns: u64, late_ns: u64, has_schedule: bool) {
        self.latency.saturating_record((took_ns + late_ns).max(1));
        self.timed += Duration::from_nanos(took_ns);
        if has_schedule {
            self.service.get_or_insert_with(histogram).saturating_record(took_ns.max(1));
            self.late += u64::from(late_ns > LATE_NS);
        }
        debug_assert!(self.late <= self.latency.len(), "a late call was timed");
    }

    /// Time inside all calls, from the mean of the timed ones; `None` where none was timed.
    pub(crate) fn in_calls(&self) -> Option<Duration> {
        let timed = self.latency.len();
        debug_assert!(timed > 0 || self.timed.is_zero(), "time belongs to calls");
        (timed > 0).then(|| self.timed.mul_f64(self.calls as f64 / timed as f64))
    }

    /// Adds the measurements of another thread or another operation.
    pub(crate) fn add(&mut self, other: &Self) {
        self.ops += other.ops;
        self.calls += other.calls;
        self.latency.add(&other.latency).expect("all histograms have the same bounds");
        if let Some(service) = &other.service {
            let own = self.service.get_or_insert_with(histogram);
            own.add(service).expect("all histograms have the same bounds");
        }
        self.timed += other.timed;
        self.late += other.late;
        self.not_found += other.not_found;
        self.retries += other.retries;
        self.bytes_written += other.bytes_written;
        self.bytes_read += other.bytes_read;
        self.entries += other.entries;
        self.verified += other.verified;
    }
}

impl Recorder {
    /// An empty recorder with all of its memory touched, but for the service times of a schedule.
    pub(crate) fn new() -> Self {
        let names = Operation::ALL.map(Operation::name).into_iter().chain(PARTS);
        let stats = names.map(OperationStats::new).collect();
        let mut recorder = Self { stats, long_stretches: Vec::new() };
        assert_eq!(recorder.stats.len(), Operation::ALL.len() + PARTS.len());
        recorder.restart();
        recorder
    }

    /// Forgets everything and writes to all of the memory that it keeps.
    pub(crate) fn restart(&mut self) {
        self.stats.iter_mut().for_each(OperationStats::restart);
        self.long_stretches.clear();
    }

    /// How many operations were counted, the parts of others left out.
    pub(crate) fn ops(&self) -> u64 {
        self.stats[..Operation::ALL.len()].iter().map(|stats| stats.ops).sum()
    }

    /// The statistics of an operation, in which the judge counts.
    pub(crate) fn stats(&mut self, operation: Operation) -> &mut OperationStats {
        &mut self.stats[operation as usize]
    }

    /// Adds the times and sums of a window; the judge counts the operations.
    pub(crate) fn add_window(&mut self, window: &Window, has_schedule: bool) {
        for (stats, sums) in self.stats.iter_mut().zip(&window.sums) {
            stats.calls += sums.calls;
            stats.retries += sums.retries;
            stats.bytes_read += sums.bytes_read;
            stats.bytes_written += sums.bytes_written;
        }
        let mut last: Option<&Sample> = None;
        for sample in &window.samples {
            assert!(sample.start_ns <= sample.end_ns, "a call ends after it has begun");
            debug_assert!(last.is_none_or(|last| last.end_ns <= sample.start_ns), "in order");
            let took = sample.end_ns - sample.start_ns;
            let kind = sample.kind as usize;
            self.stats[kind].record(took, sample.late_ns, has_schedule);
            match last {
                // The second part of a read-modify-write: the whole took as long as both parts.
                Some(get) if kind == RMW_PUT => {
                    debug_assert!(get.kind as usize == RMW_GET && get.at == sample.at);
                    let whole = took + get.end_ns - get.start_ns;
                    let stats = self.stats(Operation::ReadModifyWrite);
                    stats.record(whole, sample.late_ns, has_schedule);
                }
                // Untimed calls came before this one. With a schedule each call is timed.
                Some(last) if sample.at > last.at + 1 && !has_schedule => {
                    let stretch = sample.start_ns - last.end_ns;
                    self.long_stretches.extend((stretch >= LONG_STRETCH_NS).then_some(stretch));
                }
                // No untimed call came before this one.
                _ => {}
            }
            last = Some(sample);
        }
    }

    /// Adds the measurements of another thread.
    pub(crate) fn add(&mut self, other: &Self) {
        assert_eq!(self.stats.len(), other.stats.len());
        for (stats, other) in self.stats.iter_mut().zip(&other.stats) {
            assert_eq!(stats.name, other.name);
            stats.add(other);
        }
        self.long_stretches.extend(&other.long_stretches);
    }

    /// The operations that took place, without their sum. The parts of `rmw` report the operation count of `rmw`.
    pub(crate) fn operations(&self) -> impl Iterator<Item = OperationStats> {
        let rmw = &self.stats[Operation::ReadModifyWrite as usize];
        let stats = self.stats.iter().enumerate().map(move |(kind, stats)| match kind {
            RMW_GET | RMW_PUT => OperationStats { ops: rmw.ops, calls: rmw.calls, ..stats.clone() },
            _ => stats.clone(),
        });
        stats.filter(|stats| stats.ops > 0)
    }

    /// The sum of all operations, without the parts.
    pub(crate) fn total(&self) -> OperationStats {
        let mut total = OperationStats::new("all");
        self.stats[..Operation::ALL.len()].iter().for_each(|stats| total.add(stats));
        total.long_stretches.clone_from(&self.long_stretches);
        assert_eq!(total.ops, self.ops(), "the sum counts each operation once");
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{StreamPosition, WindowCapacity};

    fn window(samples: &[(u32, usize, u64, u64)]) -> Window {
        let capacity =
            WindowCapacity { ops: 100, samples: samples.len(), ..WindowCapacity::default() };
        let mut window = Window::new(capacity);
        window.restart(StreamPosition::default(), 100);
        window.samples.extend(samples.iter().map(|&(at, kind, start_ns, end_ns)| Sample {
            at,
            kind: kind as u32,
            start_ns,
            end_ns,
            late_ns: 0,
        }));
        window
    }

    #[test]
    fn the_sum_counts_a_read_modify_write_once() {
        let mut window = window(&[
            (0, RMW_GET, 0, 10),
            (0, RMW_PUT, 15, 35),
            (1, Operation::Get as usize, 40, 45),
        ]);
        window.sums[Operation::ReadModifyWrite as usize].calls = 1;
        window.sums[Operation::Get as usize].calls = 1;
        let mut recorder = Recorder::new();
        recorder.add_window(&window, false);
        recorder.stats(Operation::ReadModifyWrite).ops += 1;
        recorder.stats(Operation::Get).ops += 1;
        let total = recorder.total();
        assert_eq!((total.ops, total.latency.len()), (2, 2));
        assert_eq!(total.in_calls(), Some(Duration::from_nanos(35)));
        assert_eq!(recorder.operations().count(), 4);
    }

    #[test]
    fn the_time_in_calls_counts_the_calls_that_were_not_timed() {
        let put = Operation::Put as usize;
        let mut window = window(&[(0, put, 0, 100), (17, put, 1000, 1200)]);
        window.sums[put].calls = 34;
        let mut recorder = Recorder::new();
        recorder.add_window(&window, false);
        assert_eq!(recorder.total().in_calls(), Some(Duration::from_nanos(34 * 150)));
    }

    #[test]
    fn a_stall_between_two_timed_calls_is_noted() {
        let put = Operation::Put as usize;
        let window = window(&[(0, put, 0, 100), (17, put, 20_000_100, 20_000_200)]);
        let mut recorder = Recorder::new();
        recorder.add_window(&window, false);
        assert_eq!(recorder.total().long_stretches, [20_000_000]);
    }

    #[test]
    fn a_latency_beyond_the_longest_still_counts() {
        let window = window(&[(0, Operation::Put as usize, 0, 100_000_000_000)]);
        let mut recorder = Recorder::new();
        recorder.add_window(&window, false);
        assert_eq!(recorder.total().latency.len(), 1);
    }

    #[test]
    fn with_a_schedule_a_latency_counts_from_the_intended_start() {
        let mut window = window(&[(0, Operation::Put as usize, 0, 100)]);
        window.samples[0].late_ns = 2_000_000;
        let mut recorder = Recorder::new();
        recorder.add_window(&window, true);
        let total = recorder.total();
        assert!(total.latency.max() >= 2_000_000 && total.late == 1);
        assert!(total.service.unwrap().max() < 200);
    }
}
