//! From the measurements of a phase to its rows.

use std::time::Duration;

use hdrhistogram::Histogram;
use kv::Durability;

use super::phase_result::{CellIdentity, PhaseResult, ResourceUse};
use crate::engines::NULL_ENGINE;
use crate::model::Live;
use crate::recorder::{OperationStats, PARTS};
use crate::row::{Row, SCHEMA_VERSION, keeps_up};

/// A stall is longer than this.
const STALL_NS: u64 = 10_000_000;
/// A stall is longer than this many medians.
const STALL_MEDIANS: u64 = 100;

impl PhaseResult {
    /// The rows of `phase`: the sum first, with the resources of the process, then each operation.
    pub(super) fn rows(
        &self,
        cell: &CellIdentity<'_>,
        phase: &str,
        resources: &ResourceUse,
    ) -> Vec<Row> {
        let common = self.common_row(cell, phase, resources.live);
        let mut all = self.timed_row(&common, "all", &self.total);
        // Work in pauses and before the sync is deferred, too; a wait of the sync for the disk is not.
        let deferred =
            self.deferred(resources.settled).map_or(Duration::ZERO, |deferred| deferred.work.time);
        let settled = throughput(&self.total, self.wall + resources.settled.time.max(deferred));
        all.settled_throughput_ops_s = settled.filter(|_| self.bytes_written() > 0);
        all.open_ms = self.open.map(|time| time.as_secs_f64() * 1e3);
        all.close_ms = self.close.map(|time| time.as_secs_f64() * 1e3);
        self.add_resources(&mut all, cell, resources);
        self.add_times(&mut all, resources);
        all.missed_ops = self.target_rate.map(|_| self.missed_ops);
        let mut rows = vec![all];
        let row = |(name, stats): &(String, OperationStats)| self.timed_row(&common, name, stats);
        rows.extend(self.operations.iter().map(row));
        assert!(is_sum(&rows[0], &rows[1..]), "the first row is the sum of those that count");
        assert!(
            rows.iter().all(is_complete),
            "every row has its cell, its phase and its operation"
        );
        if !self.has_figure() {
            rows.iter_mut().for_each(remove_figures);
        }
        rows
    }

    /// The columns that all rows of the phase share.
    fn common_row(&self, cell: &CellIdentity<'_>, phase: &str, live: Live) -> Row {
        let Live { entries, key_bytes, value_bytes } = live;
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

    fn add_resources(&self, row: &mut Row, cell: &CellIdentity<'_>, resources: &ResourceUse) {
        let per = |part: Option<u64>, whole: u64| {
            part.filter(|_| whole > 0).map(|part| round(part as f64 / whole as f64))
        };
        let counters = resources.counters;
        resources.memory.write_to(row, cell.job.limit_memory_bytes);
        row.io_write_bytes = counters.write_bytes;
        row.io_read_bytes = counters.read_bytes;
        row.io_wchar = counters.wchar;
        row.io_rchar = counters.rchar;
        row.fsyncs = resources.fsyncs;
        let promises = cell.durability == Durability::Sync && cell.job.engine != NULL_ENGINE;
        row.least_fsyncs = Some(self.least_fsyncs()).filter(|least| promises && *least > 0);
        (row.probe_before_ns, row.probe_after_ns) = resources.probes;
        row.disk_alloc_bytes = Some(resources.disk.allocated_bytes);
        row.disk_apparent_bytes = Some(resources.disk.apparent_bytes);
        row.write_amp = per(counters.write_bytes, self.bytes_written());
        row.read_amp = per(counters.rchar, self.bytes_read());
        if cell.durability > Durability::None {
            row.space_amp = per(row.disk_alloc_bytes, row.live_bytes);
        }
    }

    fn add_times(&self, row: &mut Row, resources: &ResourceUse) {
        row.loop_ns = self.loop_ns.map(round);
        row.paused_s = self.cpu.map(|_| round(self.paused.as_secs_f64()));
        row.warm_up_s = self.warm_up.map(|time| round(time.as_secs_f64()));
        row.cpu_user_s = self.cpu.map(|cpu| round(cpu.user_s));
        row.cpu_sys_s = self.cpu.map(|cpu| round(cpu.sys_s));
        let deferred = self.deferred(resources.settled);
        row.cpu_ns_per_op = self.cpu_ns_per_op(deferred).map(round);
        row.deferred_cpu_s = deferred.map(|deferred| round(deferred.work.cpu.as_secs_f64()));
        row.deferred_s = deferred.map(|deferred| round(deferred.work.time.as_secs_f64()));
        row.is_at_rest = deferred.map(|deferred| deferred.is_at_rest);
        row.steady = self.is_steady(resources.live);
    }

    /// The row of one operation: its times and sums.
    fn timed_row(&self, common: &Row, op: &str, stats: &OperationStats) -> Row {
        let rate = throughput(stats, self.wall);
        let has_schedule = self.target_rate.is_some();
        let is_overloaded = has_schedule && !keeps_up(self.total.ops, self.missed_ops);
        let threads = if op.starts_with("background:") { 1 } else { self.threads };
        let timed = !stats.latency.is_empty() && !is_overloaded;
        let percentile = |p| quantile(&stats.latency, p).filter(|_| timed);
        let mean = || stats.latency.mean();
        let longest = stats.long_stretches.iter().copied().max().unwrap_or_default();
        let (stalls, stall_ns) = stalls(stats);
        debug_assert!(stats.late <= stats.latency.len(), "a late call is timed");
        Row {
            op: op.to_string(),
            ops: stats.ops,
            not_found: stats.not_found,
            retries: stats.retries,
            throughput_ops_s: rate,
            call_s: stats.in_calls().map(|time| round(time.as_secs_f64() / f64::from(threads))),
            timed_calls: (stats.calls > 0).then(|| stats.latency.len()),
            entries: stats.entries,
            user_bytes_written: stats.bytes_written,
            user_bytes_read: stats.bytes_read,
            lat_mean_ns: timed.then(|| round(mean())),
            lat_p50_ns: percentile(0.5),
            lat_p90_ns: percentile(0.9),
            lat_p99_ns: percentile(0.99),
            lat_p999_ns: percentile(0.999),
            lat_p9999_ns: percentile(0.9999),
            lat_max_ns: timed.then(|| stats.latency.max().max(longest)),
            service_p99_ns: stats.service.as_ref().and_then(|service| quantile(service, 0.99)),
            achieved_rate: rate.filter(|_| self.target_rate.is_some()),
            late_ops: self.target_rate.map(|_| stats.late),
            stall_ms: timed.then(|| round(stall_ns as f64 / 1e6)),
            stalls: timed.then_some(stalls),
            verified: stats.verified,
            ..common.clone()
        }
    }
}

/// Whether `all` counts each operation of `rows` once: neither those of the background nor the parts of others. A sweep and a
/// reopening have no other row than the sum.
fn is_sum(all: &Row, rows: &[Row]) -> bool {
    let is_part = |row: &Row| row.op.starts_with("background:") || PARTS.contains(&&row.op[..]);
    let counted = || rows.iter().filter(|row| !is_part(row));
    let ops: u64 = counted().map(|row| row.ops).sum();
    let verified: u64 = counted().map(|row| row.verified).sum();
    rows.is_empty() || (all.ops, all.verified) == (ops, verified)
}

/// Whether a row names its engine, its class, its phase and its operation, and its speed is possible.
fn is_complete(row: &Row) -> bool {
    let names = [&row.engine, &row.durability, &row.phase, &row.op];
    let is_speed = |speed: f64| speed.is_finite() && speed >= 0.0;
    names.iter().all(|name| !name.is_empty()) && row.throughput_ops_s.is_none_or(is_speed)
}

/// A percentile, from ten samples beyond it on.
fn quantile(latency: &Histogram<u64>, p: f64) -> Option<u64> {
    assert!((0.0..1.0).contains(&p), "{p} is a share of samples");
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
fn throughput(stats: &OperationStats, time: Duration) -> Option<f64> {
    (!time.is_zero() && stats.ops > 0).then(|| round(stats.ops as f64 / time.as_secs_f64()))
}

/// Calls that were much longer than the others: how many, and how long together. A long stretch of untimed calls
/// counts as one.
fn stalls(stats: &OperationStats) -> (u64, u64) {
    let threshold = STALL_NS.max(STALL_MEDIANS * stats.latency.value_at_quantile(0.5));
    let long = stats.latency.iter_recorded().filter(|at| at.value_iterated_to() > threshold);
    let (count, ns) = long.fold((0, 0), |(count, ns), at| {
        let here = at.count_since_last_iteration();
        (count + here, ns + here * at.value_iterated_to())
    });
    let stretches = stats.long_stretches.iter().filter(|stretch| **stretch > threshold);
    let (count, ns) = stretches.fold((count, ns), |(count, ns), stretch| (count + 1, ns + stretch));
    assert!(ns >= count * threshold, "each stall is longer than the threshold");
    (count, ns)
}

/// Six decimals: more would only be noise in the files.
fn round(value: f64) -> f64 {
    debug_assert!(value.is_finite(), "{value} is no measurement");
    (value * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::super::memory_use::MemoryUse;
    use super::super::settle::{Deferred, EngineWork, Settled};
    use super::super::tests::job;
    use super::*;
    use crate::disk_use::DiskUse;
    use crate::process_counters::Counters;

    /// The sum of a phase of 100 operations in a second, with a final sync of a second and so much deferred work.
    fn sum(deferred: Duration, change: impl FnOnce(&mut PhaseResult)) -> Row {
        let stats = OperationStats { ops: 100, bytes_written: 100, ..OperationStats::new("all") };
        let mut result = PhaseResult::from_stats(stats, Duration::from_secs(1));
        change(&mut result);
        let work = EngineWork { cpu: deferred, time: deferred };
        let resources = ResourceUse {
            counters: Counters::default(),
            memory: MemoryUse::default(),
            settled: Settled {
                time: Duration::from_secs(1),
                deferred: Some(Deferred { work, is_at_rest: true }),
                waited: Duration::ZERO,
            },
            fsyncs: None,
            probes: (None, None),
            disk: DiskUse { allocated_bytes: 10, apparent_bytes: 10 },
            live: Live { entries: 1, key_bytes: 4, value_bytes: 6 },
        };
        let job = job("memory", "none", 1, &[]);
        let cell = CellIdentity { job: &job, engine_version: "0", durability: Durability::None };
        result.rows(&cell, "put", &resources).swap_remove(0)
    }

    #[test]
    fn the_settled_speed_counts_the_longer_of_the_sync_and_the_deferred_work() {
        let settled = |ms| sum(Duration::from_millis(ms), |_| {}).settled_throughput_ops_s.unwrap();
        assert_eq!((settled(500), settled(3_000)), (50.0, 25.0));
    }

    #[test]
    fn a_phase_that_writes_nothing_has_no_settled_speed_and_a_cut_one_no_speed_at_all() {
        let reads = sum(Duration::ZERO, |result| result.total.bytes_written = 0);
        assert!(reads.throughput_ops_s.is_some() && reads.settled_throughput_ops_s.is_none());
        let cut = sum(Duration::ZERO, |result| result.cut_short = true);
        assert!(cut.throughput_ops_s.is_none() && cut.settled_throughput_ops_s.is_none());
        assert_eq!(reads.space_amp, None, "an engine that keeps nothing has no space");
    }

    #[test]
    fn the_longest_call_may_be_a_stretch_of_untimed_ones() {
        let row = sum(Duration::ZERO, |result| {
            result.total.latency.record(1_000).unwrap();
            result.total.long_stretches.push(20_000_000);
        });
        assert_eq!(
            (row.lat_max_ns, row.stalls, row.stall_ms),
            (Some(20_000_000), Some(1), Some(20.0))
        );
    }

    #[test]
    fn a_percentile_needs_ten_samples_beyond_it() {
        let mut stats = OperationStats::new("all");
        stats.latency.record_n(5, 999).unwrap();
        assert_eq!(quantile(&stats.latency, 0.99), None);
        stats.latency.record(5).unwrap();
        assert_eq!(quantile(&stats.latency, 0.99), Some(5));
    }

    #[test]
    fn a_stall_is_longer_than_a_hundred_medians() {
        let mut stats = OperationStats::new("all");
        stats.latency.record_n(1_000_000, 10).unwrap();
        stats.latency.record(50_000_000).unwrap();
        assert_eq!(stalls(&stats).0, 0);
        stats.latency.record(200_000_000).unwrap();
        assert_eq!(stalls(&stats).0, 1);
    }
}
