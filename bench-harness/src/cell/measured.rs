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
use crate::row::{Row, SCHEMA_VERSION, keeps_up};
use crate::system::{Counters, CpuTime, DiskUse};

/// A stall is longer than this.
const STALL_NS: u64 = 10_000_000;
/// A stall is longer than this many medians.
const STALL_MEDIANS: u64 = 100;

/// How often a log-structured engine must have written its data before its speed may be called steady.
const STEADY_OVERWRITES: u64 = 3;

/// A phase that was cut short has a figure from this time and this number of operations on.
const LEAST_TIME: Duration = Duration::from_millis(10);
const LEAST_OPS: u64 = 1_000;
/// Or from this share of the asked time and this number of operations on.
const LEAST_SHARE: f64 = 0.1;
const LEAST_OPS_OF_SHARE: u64 = 100;

/// The measurements of one phase by its clients.
pub(super) struct Measured {
    /// The sum of all operations.
    pub(super) total: Line,
    /// Each operation.
    lines: Vec<(String, Line)>,
    /// Threads that ran them.
    threads: u32,
    /// Time from the first call to the end of the last, without pauses.
    pub(super) wall: Duration,
    /// Time that the clock stood still while full windows were judged.
    pub(super) paused: Duration,
    /// Time of the same operations before the clock was started.
    pub(super) warm_up: Option<Duration>,
    /// CPU time of the process, without pauses.
    pub(super) cpu: Option<CpuTime>,
    /// The sum of the client in the background.
    pub(super) background: Option<Line>,
    /// What the loop takes for an operation.
    pub(super) loop_ns: Option<f64>,
    /// The same for the client in the background.
    pub(super) background_loop_ns: Option<f64>,
    /// Operations a second that were asked for.
    target_rate: Option<f64>,
    /// Whether the second half of the phase ran at one speed.
    is_even: Option<bool>,
    /// Bytes written since the store was made.
    pub(super) written_bytes: u64,
    /// Time to open the store.
    pub(super) open: Option<Duration>,
    /// Operations of the schedule that were due and had not begun.
    missed_ops: u64,
    /// The time that was asked for.
    pub(super) asked: Option<Duration>,
    /// Whether the limit of the cell ended the phase, or one that it depends on.
    pub(super) cut_short: bool,
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
            background: times.background.map(Recorder::total),
            cpu: Some(times.cpu),
            target_rate: target_rate.filter(|_| has_schedule),
            is_even: times.series.is_steady(),
            missed_ops: times.missed_ops,
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
            background: None,
            loop_ns: None,
            background_loop_ns: None,
            target_rate: None,
            is_even: None,
            written_bytes: 0,
            open: None,
            missed_ops: 0,
            asked: None,
            cut_short: false,
        }
    }

    /// Bytes of keys and values that all clients wrote, the one in the background included.
    pub(super) fn bytes_written(&self) -> u64 {
        self.total.bytes_written + self.background.as_ref().map_or(0, |line| line.bytes_written)
    }

    /// CPU time for an operation without that of the loop. The process has one clock, so operations of the background
    /// count like the others.
    pub(super) fn cpu_ns_per_op(&self) -> Option<f64> {
        let (cpu, loop_ns) = self.cpu.zip(self.loop_ns)?;
        let beside = self.background.as_ref().map_or(0, |line| line.ops);
        let ops = self.total.ops + beside;
        // A client that waits for its moment spins: with a schedule, its share is unknown.
        if self.target_rate.is_some() || ops == 0 {
            return None;
        }
        let loops = loop_ns * self.total.ops as f64
            + self.background_loop_ns.unwrap_or(loop_ns) * beside as f64;
        Some(((cpu.total.as_nanos() as f64 - loops) / ops as f64).max(0.0))
    }

    /// The rows of the phase: the sum first, with the measurements from outside, then each operation.
    pub(super) fn rows(&self, cell: &CellKey<'_>, phase: &str, outside: &Outside) -> Vec<Row> {
        let common = self.common(cell, phase, outside);
        let mut all = self.timed_row(&common, "all", &self.total);
        let settled = throughput(&self.total, self.wall + outside.settle);
        all.settled_throughput_ops_s = settled.filter(|_| self.bytes_written() > 0);
        all.open_ms = self.open.map(|time| time.as_secs_f64() * 1e3);
        self.add_outside(&mut all, cell, outside);
        all.missed_ops = self.target_rate.map(|_| self.missed_ops);
        let mut rows = vec![all];
        rows.extend(self.lines.iter().map(|(name, line)| self.timed_row(&common, name, line)));
        if !self.has_figure() {
            rows.iter_mut().for_each(remove_figures);
        }
        rows
    }

    /// Whether a phase that was cut short is long enough for a figure; others are as long as was asked for.
    pub(super) fn has_figure(&self) -> bool {
        let is_long = self.wall >= LEAST_TIME && self.total.ops >= LEAST_OPS;
        let has_share = self.asked.is_some_and(|asked| self.wall >= asked.mul_f64(LEAST_SHARE));
        !self.cut_short || is_long || (has_share && self.total.ops >= LEAST_OPS_OF_SHARE)
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
        let bytes_read =
            self.total.bytes_read + self.background.as_ref().map_or(0, |line| line.bytes_read);
        row.write_amp = per(counters.write_bytes, self.bytes_written());
        row.read_amp = per(counters.rchar, bytes_read);
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
        row.cpu_ns_per_op = self.cpu_ns_per_op().map(round);
        let overwritten = outside.live.key_bytes + outside.live.value_bytes;
        let has_settled =
            self.bytes_written() == 0 || self.written_bytes >= STEADY_OVERWRITES * overwritten;
        row.steady = self.is_even.map(|is_even| is_even && has_settled);
    }

    /// The row of one operation: its times and sums.
    fn timed_row(&self, common: &Row, op: &str, line: &Line) -> Row {
        let rate = throughput(line, self.wall);
        let has_schedule = self.target_rate.is_some();
        let is_overloaded = has_schedule && !keeps_up(self.total.ops, self.missed_ops);
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

/// Takes the figures away that so few operations do not give.
fn remove_figures(row: &mut Row) {
    row.throughput_ops_s = None;
    row.settled_throughput_ops_s = None;
    row.achieved_rate = None;
    row.cpu_ns_per_op = None;
    row.lat_mean_ns = None;
    row.steady = None;
}

/// Operations a second; `None` without any.
fn throughput(line: &Line, time: Duration) -> Option<f64> {
    (!time.is_zero() && line.ops > 0).then(|| round(line.ops as f64 / time.as_secs_f64()))
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
