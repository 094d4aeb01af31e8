//! From measurements to rows.

use std::path::Path;
use std::time::Duration;

use kv::Durability;

use super::Job;
use crate::dataset::Live;
use crate::recorder::{Line, Recorder};
use crate::row::{Row, SCHEMA_VERSION};
use crate::system::{Counters, DiskUse};

/// A stall is longer than this.
const STALL_NS: u64 = 10_000_000;
/// A stall is longer than this many medians.
const STALL_MEDIANS: u64 = 100;

/// The measurements of one phase inside the engine.
pub(super) struct Measured {
    /// The sum of all operations.
    pub(super) total: Line,
    /// Each operation.
    lines: Vec<(String, Line)>,
    /// Threads that ran them.
    threads: u32,
    /// Time to open the store.
    pub(super) open: Option<Duration>,
    /// Whether the limit of the cell ended the phase.
    pub(super) cut_short: bool,
}

/// The measurements of one phase from outside.
pub(super) struct Outside {
    /// The resources that the process used.
    pub(super) counters: Counters,
    /// Most resident memory.
    pub(super) rss_peak_bytes: Option<u64>,
    /// Resident memory before the engine was opened.
    pub(super) rss_base_bytes: Option<u64>,
    /// Time of the final sync.
    pub(super) settle: Duration,
    /// Syncs that the engine counted.
    pub(super) fsyncs: Option<u64>,
    /// The engine's files.
    pub(super) disk: DiskUse,
    /// The entries that the engine holds by the model.
    pub(super) live: Live,
}

impl Measured {
    /// The measurements of streams of operations.
    pub(super) fn from_clients(
        main: &Recorder,
        background: Option<&Recorder>,
        threads: u32,
    ) -> Self {
        let own = main.lines().map(|line| (line.name.to_string(), line.clone()));
        let background = background.into_iter().flat_map(Recorder::lines);
        let background = background.map(|line| (format!("background:{}", line.name), line.clone()));
        let lines = own.chain(background).collect();
        Self { total: main.total(), lines, threads, open: None, cut_short: false }
    }

    /// The measurements of a single operation.
    pub(super) fn from_line(total: Line) -> Self {
        Self { total, lines: Vec::new(), threads: 1, open: None, cut_short: false }
    }

    /// The rows of the phase: the sum first, with the measurements from outside, then each operation.
    pub(super) fn rows(&self, cell: &CellKey<'_>, phase: &str, outside: &Outside) -> Vec<Row> {
        let common = self.common(cell, phase, outside);
        let mut all = timed_row(&common, "all", &self.total, self.threads);
        all.settled_throughput_ops_s = throughput(&self.total, self.threads, outside.settle)
            .filter(|_| self.total.bytes_written > 0);
        all.open_ms = self.open.map(|time| time.as_secs_f64() * 1e3);
        self.add_outside(&mut all, cell, outside);
        let mut rows = vec![all];
        for (name, line) in &self.lines {
            let threads = if name.starts_with("background:") { 1 } else { self.threads };
            rows.push(timed_row(&common, name, line, threads));
        }
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
            cut_short: self.cut_short,
            ..Row::default()
        }
    }

    fn add_outside(&self, row: &mut Row, cell: &CellKey<'_>, outside: &Outside) {
        let per = |part: Option<u64>, whole: u64| {
            part.filter(|_| whole > 0).map(|part| round(part as f64 / whole as f64))
        };
        let counters = outside.counters;
        row.cpu_user_s = counters.cpu_user_s.map(round);
        row.cpu_sys_s = counters.cpu_sys_s.map(round);
        row.rss_peak_bytes = outside.rss_peak_bytes;
        row.rss_base_bytes = outside.rss_base_bytes;
        row.io_write_bytes = counters.write_bytes;
        row.io_read_bytes = counters.read_bytes;
        row.io_wchar = counters.wchar;
        row.io_rchar = counters.rchar;
        row.fsyncs = outside.fsyncs;
        row.disk_alloc_bytes = Some(outside.disk.allocated_bytes);
        row.disk_apparent_bytes = Some(outside.disk.apparent_bytes);
        row.write_amp = per(counters.write_bytes, self.total.bytes_written);
        row.read_amp = per(counters.rchar, self.total.bytes_read);
        if cell.durability > Durability::None {
            row.space_amp = per(row.disk_alloc_bytes, row.live_bytes);
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

/// The row of one operation: its times and sums.
fn timed_row(common: &Row, op: &str, line: &Line, threads: u32) -> Row {
    let percentile = |p: f64| {
        let enough = line.latency.len() as f64 >= 10.0 / (1.0 - p);
        enough.then(|| line.latency.value_at_quantile(p))
    };
    let timed = !line.latency.is_empty();
    let (stalls, stall_ns) = stalls(line);
    Row {
        op: op.to_string(),
        ops: line.ops,
        not_found: line.not_found,
        retries: line.retries,
        duration_s: line.busy.as_secs_f64() / f64::from(threads),
        throughput_ops_s: throughput(line, threads, Duration::ZERO),
        entries: line.entries,
        user_bytes_written: line.bytes_written,
        user_bytes_read: line.bytes_read,
        lat_mean_ns: timed.then(|| round(line.busy.as_nanos() as f64 / line.latency.len() as f64)),
        lat_p50_ns: percentile(0.5),
        lat_p90_ns: percentile(0.9),
        lat_p99_ns: percentile(0.99),
        lat_p999_ns: percentile(0.999),
        lat_p9999_ns: percentile(0.9999),
        lat_max_ns: timed.then(|| line.latency.max()),
        stall_ms: timed.then(|| round(stall_ns as f64 / 1e6)),
        stalls: timed.then_some(stalls),
        verified: line.verified,
        ..common.clone()
    }
}

/// Operations a second of all threads, with `extra` time added to each.
fn throughput(line: &Line, threads: u32, extra: Duration) -> Option<f64> {
    let seconds = line.busy.as_secs_f64() / f64::from(threads) + extra.as_secs_f64();
    (seconds > 0.0).then(|| round(line.ops as f64 / seconds))
}

/// Calls that were much longer than the others: how many, and how long together.
fn stalls(line: &Line) -> (u64, u64) {
    let threshold = STALL_NS.max(STALL_MEDIANS * line.latency.value_at_quantile(0.5));
    let long = line.latency.iter_recorded().filter(|at| at.value_iterated_to() > threshold);
    long.fold((0, 0), |(count, ns), at| {
        let here = at.count_since_last_iteration();
        (count + here, ns + here * at.value_iterated_to())
    })
}

/// Six decimals: more would only be noise in the files.
fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}
