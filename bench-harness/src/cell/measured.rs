//! From measurements to rows.

use std::path::Path;
use std::time::Duration;

use hdrhistogram::Histogram;
use kv::Durability;

use super::Job;
use super::clients::Clients;
use super::crew::CrewTimes;
use super::memory_use::MemoryUse;
use crate::model::Live;
use crate::recorder::{Line, Recorder};
use crate::row::{Row, SCHEMA_VERSION, is_reached};
use crate::system::{Counters, CpuTime, DiskUse};

/// A stall is longer than this.
const STALL_NS: u64 = 10_000_000;
/// A stall is longer than this many medians.
const STALL_MEDIANS: u64 = 100;

/// How often a log-structured engine must have written its data before its speed may be called steady.
const STEADY_OVERWRITES: u64 = 3;

/// The measurements of one phase by its clients.
pub(super) struct Measured {
    /// The sum of all operations.
    pub(super) total: Line,
    /// Each operation.
    lines: Vec<(String, Line)>,
    /// Threads that ran them.
    threads: u32,
    /// Time from the first call to the end of the last, without pauses.
    wall: Duration,
    /// Time that the clock stood still while full windows were judged.
    pub(super) paused: Duration,
    /// Time of the same operations before the clock was started.
    pub(super) warm_up: Option<Duration>,
    /// CPU time of the process, without pauses.
    pub(super) cpu: Option<CpuTime>,
    /// What the loop takes for an operation.
    pub(super) loop_ns: Option<f64>,
    /// Operations a second that were asked for.
    target_rate: Option<f64>,
    /// Whether the second half of the phase ran at one speed.
    is_even: Option<bool>,
    /// Bytes written since the store was made.
    pub(super) written_bytes: u64,
    /// Time to open the store.
    pub(super) open: Option<Duration>,
    /// Whether the limit of the cell ended the phase.
    cut_short: bool,
}

/// The measurements of one phase from outside.
pub(super) struct Outside {
    /// The resources that the process used.
    pub(super) counters: Counters,
    /// The memory of the process and of the engine's files.
    pub(super) memory: MemoryUse,
    /// Time of the final sync.
    pub(super) settle: Duration,
    /// Syncs that the engine counted.
    pub(super) fsyncs: Option<u64>,
    /// The disk's own time for a sync, before the phase and after it.
    pub(super) probes: (Option<f64>, Option<f64>),
    /// The engine's files.
    pub(super) disk: DiskUse,
    /// The entries that the engine holds by the model.
    pub(super) live: Live,
}

impl Measured {
    /// The measurements of streams of operations; with `target_rate`, on a schedule.
    pub(super) fn from_crew(
        times: &CrewTimes<'_>,
        clients: &Clients,
        target_rate: Option<f64>,
    ) -> Self {
        let own = times.main.lines().map(|line| (line.name.to_string(), line));
        let background = times.background.into_iter().flat_map(Recorder::lines);
        let background = background.map(|line| (format!("background:{}", line.name), line));
        let has_schedule = !clients.arrivals.is_empty();
        Self {
            lines: own.chain(background).collect(),
            threads: clients.steps.len() as u32,
            paused: times.paused,
            cpu: Some(times.cpu),
            target_rate: target_rate.filter(|_| has_schedule),
            is_even: times.series.is_steady(),
            cut_short: times.cut_short,
            ..Self::from_line(times.main.total(), times.wall)
        }
    }

    /// The measurements of a single operation that took `wall`.
    pub(super) fn from_line(total: Line, wall: Duration) -> Self {
        Self {
            total,
            lines: Vec::new(),
            threads: 1,
            wall,
            paused: Duration::ZERO,
            warm_up: None,
            cpu: None,
            loop_ns: None,
            target_rate: None,
            is_even: None,
            written_bytes: 0,
            open: None,
            cut_short: false,
        }
    }

    /// The rows of the phase: the sum first, with the measurements from outside, then each operation.
    pub(super) fn rows(&self, cell: &CellKey<'_>, phase: &str, outside: &Outside) -> Vec<Row> {
        let common = self.common(cell, phase, outside);
        let mut all = self.timed_row(&common, "all", &self.total);
        let settled = throughput(&self.total, self.wall + outside.settle);
        all.settled_throughput_ops_s = settled.filter(|_| self.total.bytes_written > 0);
        all.open_ms = self.open.map(|time| time.as_secs_f64() * 1e3);
        self.add_outside(&mut all, cell, outside);
        let mut rows = vec![all];
        rows.extend(self.lines.iter().map(|(name, line)| self.timed_row(&common, name, line)));
        rows
    }

    fn common(&self, cell: &CellKey<'_>, phase: &str, outside: &Outside) -> Row {
        let Live { entries, key_bytes, value_bytes } = outside.live;
        let mean = |bytes: u64| (entries > 0).then(|| round(bytes as f64 / entries as f64));
        Row {
            schema_version: SCHEMA_VERSION,
            run_id: cell.job.run_id.clone(),
            block: cell.job.block,
            order: cell.job.order,
            engine: cell.job.engine.clone(),
            engine_version: cell.engine_version.to_string(),
            workload: cell.job.workload_name.clone(),
            threads: self.threads,
            durability: cell.durability.to_string(),
            phase: phase.to_string(),
            records: entries,
            key_bytes: mean(key_bytes),
            value_bytes: mean(value_bytes),
            live_bytes: key_bytes + value_bytes,
            duration_s: round(self.wall.as_secs_f64()),
            target_rate: self.target_rate,
            cut_short: self.cut_short,
            ..Row::default()
        }
    }

    fn add_outside(&self, row: &mut Row, cell: &CellKey<'_>, outside: &Outside) {
        let per = |part: Option<u64>, whole: u64| {
            part.filter(|_| whole > 0).map(|part| round(part as f64 / whole as f64))
        };
        let counters = outside.counters;
        self.add_times(row, outside);
        outside.memory.fill(row, cell.job.limit_memory_bytes);
        row.io_write_bytes = counters.write_bytes;
        row.io_read_bytes = counters.read_bytes;
        row.io_wchar = counters.wchar;
        row.io_rchar = counters.rchar;
        row.fsyncs = outside.fsyncs;
        (row.probe_before_ns, row.probe_after_ns) = outside.probes;
        row.disk_alloc_bytes = Some(outside.disk.allocated_bytes);
        row.disk_apparent_bytes = Some(outside.disk.apparent_bytes);
        row.write_amp = per(counters.write_bytes, self.total.bytes_written);
        row.read_amp = per(counters.rchar, self.total.bytes_read);
        if cell.durability > Durability::None {
            row.space_amp = per(row.disk_alloc_bytes, row.live_bytes);
        }
    }

    fn add_times(&self, row: &mut Row, outside: &Outside) {
        row.loop_ns = self.loop_ns.map(round);
        row.paused_s = self.cpu.map(|_| round(self.paused.as_secs_f64()));
        row.warm_up_s = self.warm_up.map(|time| round(time.as_secs_f64()));
        row.cpu_user_s = self.cpu.map(|cpu| round(cpu.user_s));
        row.cpu_sys_s = self.cpu.map(|cpu| round(cpu.sys_s));
        // A client that waits for its moment spins: with a schedule, its share cannot be told.
        let is_closed = self.target_rate.is_none() && self.total.ops > 0;
        row.cpu_ns_per_op =
            self.cpu.zip(self.loop_ns).filter(|_| is_closed).map(|(cpu, loop_ns)| {
                let whole = cpu.total.as_nanos() as f64 / self.total.ops as f64;
                round((whole - loop_ns).max(0.0))
            });
        let overwritten = outside.live.key_bytes + outside.live.value_bytes;
        let has_settled =
            self.total.bytes_written == 0 || self.written_bytes >= STEADY_OVERWRITES * overwritten;
        row.steady = self.is_even.map(|is_even| is_even && has_settled);
    }

    /// The row of one operation: its times and sums.
    fn timed_row(&self, common: &Row, op: &str, line: &Line) -> Row {
        let rate = throughput(line, self.wall);
        let all_rate = throughput(&self.total, self.wall);
        let is_overloaded = self.target_rate.is_some_and(|target| !is_reached(all_rate, target));
        let threads = if op.starts_with("background:") { 1 } else { self.threads };
        let timed = !line.latency.is_empty() && !is_overloaded;
        let percentile = |p| quantile(&line.latency, p).filter(|_| timed);
        let mean = || line.latency.mean();
        let longest = line.long_stretches.iter().copied().max().unwrap_or_default();
        let (stalls, stall_ns) = stalls(line);
        Row {
            op: op.to_string(),
            ops: line.ops,
            not_found: line.not_found,
            retries: line.retries,
            throughput_ops_s: rate,
            call_s: line.in_calls().map(|time| round(time.as_secs_f64() / f64::from(threads))),
            timed_calls: (line.calls > 0).then(|| line.latency.len()),
            entries: line.entries,
            user_bytes_written: line.bytes_written,
            user_bytes_read: line.bytes_read,
            lat_mean_ns: timed.then(|| round(mean())),
            lat_p50_ns: percentile(0.5),
            lat_p90_ns: percentile(0.9),
            lat_p99_ns: percentile(0.99),
            lat_p999_ns: percentile(0.999),
            lat_p9999_ns: percentile(0.9999),
            lat_max_ns: timed.then(|| line.latency.max().max(longest)),
            service_p99_ns: line.service.as_ref().and_then(|service| quantile(service, 0.99)),
            achieved_rate: rate.filter(|_| self.target_rate.is_some()),
            late_ops: self.target_rate.map(|_| line.late),
            stall_ms: timed.then(|| round(stall_ns as f64 / 1e6)),
            stalls: timed.then_some(stalls),
            verified: line.verified,
            ..common.clone()
        }
    }
}

/// The fields that all rows of a cell share.
pub(super) struct CellKey<'j> {
    /// The order that the cell carries out.
    pub(super) job: &'j Job,
    /// The version of the engine.
    pub(super) engine_version: &'j str,
    /// The class that the engine keeps.
    pub(super) durability: Durability,
}

impl CellKey<'_> {
    /// The directory of the cell.
    pub(super) fn directory(&self) -> &Path {
        &self.job.directory
    }
}

/// A percentile, from ten samples beyond it on.
fn quantile(latency: &Histogram<u64>, p: f64) -> Option<u64> {
    let is_enough = latency.len() as f64 >= 10.0 / (1.0 - p);
    is_enough.then(|| latency.value_at_quantile(p))
}

/// Operations a second.
fn throughput(line: &Line, time: Duration) -> Option<f64> {
    (!time.is_zero()).then(|| round(line.ops as f64 / time.as_secs_f64()))
}

/// Calls that were much longer than the others: how many, and how long together. A long stretch of untimed calls
/// counts as one.
fn stalls(line: &Line) -> (u64, u64) {
    let threshold = STALL_NS.max(STALL_MEDIANS * line.latency.value_at_quantile(0.5));
    let long = line.latency.iter_recorded().filter(|at| at.value_iterated_to() > threshold);
    let (count, ns) = long.fold((0, 0), |(count, ns), at| {
        let here = at.count_since_last_iteration();
        (count + here, ns + here * at.value_iterated_to())
    });
    let stretches = line.long_stretches.iter().filter(|stretch| **stretch > threshold);
    stretches.fold((count, ns), |(count, ns), stretch| (count + 1, ns + stretch))
}

/// Six decimals: more would only be noise in the files.
fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}
