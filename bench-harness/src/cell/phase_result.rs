//! The measurements of one phase: by its clients, and by the operating system.

use std::path::Path;
use std::time::Duration;

use kv::Durability;

use super::Job;
use super::memory_use::MemoryUse;
use super::phase_clients::PhaseTimes;
use super::phase_streams::PhaseStreams;
use super::settle::{Deferred, EngineWork, Settled};
use crate::disk_use::DiskUse;
use crate::model::Live;
use crate::operation::Operation;
use crate::process_counters::{Counters, CpuTime};
use crate::recorder::{OperationStats, Recorder};

/// How often a log-structured engine must have written its data before its speed may be called steady.
const STEADY_OVERWRITES: u64 = 3;

/// A phase that was cut short has a figure from this time and this number of operations on.
const LEAST_TIME: Duration = Duration::from_millis(10);
const LEAST_OPS: u64 = 1_000;
/// Or from this share of the asked time and this number of operations on.
const LEAST_SHARE: f64 = 0.1;
const LEAST_OPS_OF_SHARE: u64 = 100;

/// The measurements of one phase by its clients, by a sweep or by a reopening.
pub(super) struct PhaseResult {
    /// The sum of all operations.
    pub(super) total: OperationStats,
    /// Each operation.
    pub(super) operations: Vec<(String, OperationStats)>,
    /// Threads that ran them.
    pub(super) threads: u32,
    /// Time from the first call to the end of the last, without pauses.
    pub(super) wall: Duration,
    /// Time that the clock stood still while full windows were judged.
    pub(super) paused: Duration,
    /// Time of the same operations before the clock was started.
    pub(super) warm_up: Option<Duration>,
    /// CPU time of the process, without pauses.
    pub(super) cpu: Option<CpuTime>,
    /// Work of the engine's threads in pauses before the last one.
    work_in_pauses: EngineWork,
    /// The sum of the client in the background.
    pub(super) background: Option<OperationStats>,
    /// The time that the loop takes for an operation.
    pub(super) loop_ns: Option<f64>,
    /// The same for the client in the background.
    pub(super) background_loop_ns: Option<f64>,
    /// Operations a second that were asked for.
    pub(super) target_rate: Option<f64>,
    /// Whether the second half of the phase ran at one speed ([`super::ops_over_time`]).
    is_even: Option<bool>,
    /// Bytes written since the store was made.
    pub(super) written_bytes: u64,
    /// Calls that put, of all clients: one sync serves at most one call of each.
    put_calls: u64,
    /// The clients, the one in the background included.
    clients: u32,
    /// Time to open the store.
    pub(super) open: Option<Duration>,
    /// Time to close it before.
    pub(super) close: Option<Duration>,
    /// Operations of the schedule that were due and had not begun.
    pub(super) missed_ops: u64,
    /// The time that was asked for.
    pub(super) asked: Option<Duration>,
    /// Whether the limit of the cell ended the phase, or one that it depends on.
    pub(super) cut_short: bool,
}

/// The resources that the process used in one phase.
pub(super) struct ResourceUse {
    /// Bytes that the process read and wrote.
    pub(super) counters: Counters,
    /// The memory of the process and of the engine's files.
    pub(super) memory: MemoryUse,
    /// The final sync, and the work that the engine put off until then.
    pub(super) settled: Settled,
    /// Syncs that the engine counted.
    pub(super) fsyncs: Option<u64>,
    /// The disk's own time for a sync, before the phase and after it.
    pub(super) probes: (Option<f64>, Option<f64>),
    /// The engine's files.
    pub(super) disk: DiskUse,
    /// The entries that the engine holds by the model.
    pub(super) live: Live,
}

impl PhaseResult {
    /// The measurements of streams of operations; with `target_rate`, on a schedule.
    pub(super) fn from_clients(
        times: &PhaseTimes<'_>,
        streams: &PhaseStreams,
        target_rate: Option<f64>,
    ) -> Self {
        let own = times.counted.operations().map(|stats| (stats.name.to_string(), stats));
        let background = times.background.into_iter().flat_map(Recorder::operations);
        let background = background.map(|stats| (format!("background:{}", stats.name), stats));
        let has_schedule = !streams.arrivals.is_empty();
        Self {
            operations: own.chain(background).collect(),
            threads: streams.steps.len() as u32,
            put_calls: put_calls(times.counted) + times.background.map_or(0, put_calls),
            clients: streams.threads() as u32,
            paused: times.paused,
            background: times.background.map(Recorder::total),
            cpu: Some(times.cpu),
            work_in_pauses: times.work_in_pauses,
            target_rate: target_rate.filter(|_| has_schedule),
            is_even: times.ops_over_time.is_even(),
            missed_ops: times.missed_ops,
            cut_short: times.cut_short,
            ..Self::from_stats(times.counted.total(), times.wall)
        }
    }

    /// The measurements of `total`, which one thread made in `wall`; everything else is absent.
    pub(super) fn from_stats(total: OperationStats, wall: Duration) -> Self {
        Self {
            total,
            operations: Vec::new(),
            threads: 1,
            wall,
            paused: Duration::ZERO,
            warm_up: None,
            cpu: None,
            work_in_pauses: EngineWork::default(),
            background: None,
            loop_ns: None,
            background_loop_ns: None,
            target_rate: None,
            is_even: None,
            written_bytes: 0,
            put_calls: 0,
            clients: 1,
            open: None,
            close: None,
            missed_ops: 0,
            asked: None,
            cut_short: false,
        }
    }

    /// Bytes of keys and values that all clients wrote, the one in the background included.
    pub(super) fn bytes_written(&self) -> u64 {
        self.total.bytes_written + self.background.as_ref().map_or(0, |stats| stats.bytes_written)
    }

    /// Bytes of keys and values that all clients read, the same way.
    pub(super) fn bytes_read(&self) -> u64 {
        self.total.bytes_read + self.background.as_ref().map_or(0, |stats| stats.bytes_read)
    }

    /// The fewest syncs without which the puts cannot be durable.
    pub(super) fn least_fsyncs(&self) -> u64 {
        assert!(self.clients > 0, "a phase has a client");
        let least = self.put_calls.div_ceil(u64::from(self.clients));
        debug_assert!(least <= self.put_calls, "a sync serves a call");
        least
    }

    /// Whether the second half of the phase ran at one speed on a store that had been written over; `None` for a phase too
    /// short to say.
    pub(super) fn is_steady(&self, live: Live) -> Option<bool> {
        let live_bytes = live.key_bytes + live.value_bytes;
        let has_overwritten =
            self.bytes_written() == 0 || self.written_bytes >= STEADY_OVERWRITES * live_bytes;
        self.is_even.map(|is_even| is_even && has_overwritten)
    }

    /// The work that the engine did for the phase while the clock stood still; `None` where nobody waited for it.
    pub(super) fn deferred(&self, settled: Settled) -> Option<Deferred> {
        let mut deferred = settled.deferred?;
        deferred.work += self.work_in_pauses;
        assert!(deferred.work.time >= self.work_in_pauses.time, "work is summed up");
        Some(deferred)
    }

    /// CPU time for an operation without that of the loop, with that of `deferred` work. The process has one clock, so
    /// operations of the background count like the others.
    pub(super) fn cpu_ns_per_op(&self, deferred: Option<Deferred>) -> Option<f64> {
        let (cpu, loop_ns) = self.cpu.zip(self.loop_ns)?;
        let background_ops = self.background.as_ref().map_or(0, |stats| stats.ops);
        let ops = self.total.ops + background_ops;
        // A client that waits for its moment spins: with a schedule, its share is unknown.
        if self.target_rate.is_some() || ops == 0 {
            return None;
        }
        let loops = loop_ns * self.total.ops as f64
            + self.background_loop_ns.unwrap_or(loop_ns) * background_ops as f64;
        let total = cpu.total + deferred.map_or(Duration::ZERO, |deferred| deferred.work.cpu);
        let cpu_ns = ((total.as_nanos() as f64 - loops) / ops as f64).max(0.0);
        assert!(cpu_ns.is_finite(), "{cpu_ns} is a time");
        Some(cpu_ns)
    }

    /// Whether a phase that was cut short is long enough for a figure; others are as long as was asked for.
    pub(super) fn has_figure(&self) -> bool {
        let is_long = self.wall >= LEAST_TIME && self.total.ops >= LEAST_OPS;
        let has_share = self.asked.is_some_and(|asked| self.wall >= asked.mul_f64(LEAST_SHARE));
        !self.cut_short || is_long || (has_share && self.total.ops >= LEAST_OPS_OF_SHARE)
    }
}

/// The identity of a cell: the fields that all of its rows share.
pub(super) struct CellIdentity<'j> {
    /// The order that the cell carries out.
    pub(super) job: &'j Job,
    /// The version of the engine.
    pub(super) engine_version: &'j str,
    /// The class that the engine keeps.
    pub(super) durability: Durability,
}

impl CellIdentity<'_> {
    /// The directory of the cell.
    pub(super) fn directory(&self) -> &Path {
        &self.job.directory
    }
}

/// Calls that put. A deletion of an absent key has nothing to sync.
fn put_calls(recorder: &Recorder) -> u64 {
    let is_put = |stats: &OperationStats| {
        [Operation::Put, Operation::Insert, Operation::ReadModifyWrite]
            .into_iter()
            .any(|operation| operation.name() == stats.name)
    };
    recorder.operations().filter(is_put).map(|stats| stats.calls).sum()
}

#[cfg(test)]
mod tests {
    use super::super::ops_over_time::OpsOverTime;
    use super::*;

    #[test]
    fn work_in_pauses_is_deferred_work() {
        let work = EngineWork { cpu: Duration::from_millis(3), time: Duration::from_millis(2) };
        let mut result = PhaseResult::from_stats(OperationStats::new("all"), Duration::ZERO);
        result.work_in_pauses = work;
        assert_eq!(result.deferred(Settled::default()), None);
        let deferred = Some(Deferred { work, is_at_rest: true });
        let both = result.deferred(Settled { deferred, ..Settled::default() }).unwrap();
        assert_eq!((both.work.cpu, both.work.time), (2 * work.cpu, 2 * work.time));
    }

    #[test]
    fn a_sync_that_some_clients_share_is_one_more() {
        let mut result = PhaseResult::from_stats(OperationStats::new("all"), Duration::ZERO);
        (result.put_calls, result.clients) = (5, 2);
        assert_eq!(result.least_fsyncs(), 3);
    }

    /// A result of 10 operations with so much CPU time and a loop of 100 ns, beside 10 of a background.
    fn with_background() -> PhaseResult {
        let stats = |bytes| OperationStats {
            ops: 10,
            bytes_read: bytes,
            bytes_written: bytes,
            ..OperationStats::new("all")
        };
        let mut result = PhaseResult::from_stats(stats(1), Duration::from_secs(1));
        result.background = Some(stats(2));
        let total = Duration::from_micros(4);
        result.cpu = Some(CpuTime { total, ..CpuTime::default() });
        (result.loop_ns, result.background_loop_ns) = (Some(100.0), Some(50.0));
        result
    }

    #[test]
    fn bytes_are_those_of_all_clients() {
        let result = with_background();
        assert_eq!((result.bytes_read(), result.bytes_written()), (3, 3));
    }

    #[test]
    fn cpu_time_is_without_the_loops_and_with_deferred_work_and_unknown_on_a_schedule() {
        let mut result = with_background();
        assert_eq!(result.cpu_ns_per_op(None), Some((4_000.0 - 1_500.0) / 20.0));
        let work = EngineWork { cpu: Duration::from_micros(1), time: Duration::ZERO };
        let deferred = Some(Deferred { work, is_at_rest: true });
        assert_eq!(result.cpu_ns_per_op(deferred), Some((5_000.0 - 1_500.0) / 20.0));
        result.target_rate = Some(1.0);
        assert_eq!(result.cpu_ns_per_op(None), None);
    }

    #[test]
    fn a_speed_is_steady_from_the_third_overwrite_on() {
        let mut result = with_background();
        result.is_even = Some(true);
        let live = Live { entries: 1, key_bytes: 4, value_bytes: 6 };
        let steady = [29, 30].map(|written| {
            result.written_bytes = written;
            result.is_steady(live)
        });
        assert_eq!(steady, [Some(false), Some(true)]);
    }

    #[test]
    fn the_work_in_pauses_is_that_of_the_clients() {
        let recorder = Recorder::new();
        let work = EngineWork { cpu: Duration::from_millis(3), time: Duration::from_millis(2) };
        let times = PhaseTimes {
            counted: &recorder,
            background: None,
            wall: Duration::from_secs(1),
            paused: Duration::from_millis(5),
            cpu: CpuTime::default(),
            work_in_pauses: work,
            ops_over_time: OpsOverTime::default(),
            missed_ops: 0,
            cut_short: false,
        };
        let streams = PhaseStreams::of_one_thread(Vec::new());
        assert_eq!(PhaseResult::from_clients(&times, &streams, None).work_in_pauses, work);
    }
}
