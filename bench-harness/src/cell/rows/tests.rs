//! Rows of hand-made measurements.

use super::*;
use crate::cell::memory_use::MemoryUse;
use crate::cell::settle::{Deferred, EngineWork, Settled};
use crate::cell::tests::job;
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
    assert_eq!((row.lat_max_ns, row.stalls, row.stall_ms), (Some(20_000_000), Some(1), Some(20.0)));
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
    stats.latency.record_n(200_000_000, 2).unwrap();
    let (count, ns) = stalls(&stats);
    // A histogram keeps three digits.
    assert!(count == 2 && (399_000_000..402_000_000).contains(&ns), "{count} stalls of {ns} ns");
}

#[test]
fn the_time_in_calls_is_that_of_one_thread_and_the_background_has_one() {
    let mut stats = OperationStats::new("put");
    stats.latency.record(5).unwrap();
    (stats.calls, stats.timed) = (1, Duration::from_secs(4));
    let mut result = PhaseResult::from_stats(stats.clone(), Duration::from_secs(4));
    result.threads = 2;
    let call_s = |op| result.timed_row(&Row::default(), op, &stats).call_s;
    assert_eq!((call_s("put"), call_s("background:put")), (Some(2.0), Some(4.0)));
}

#[test]
fn the_latencies_of_an_engine_that_falls_behind_its_schedule_are_left_out() {
    let mut stats = OperationStats { ops: 98, ..OperationStats::new("put") };
    stats.latency.record_n(5, 98).unwrap();
    let mut result = PhaseResult::from_stats(stats.clone(), Duration::from_secs(1));
    result.target_rate = Some(100.0);
    let mut mean_ns = |missed_ops| {
        result.missed_ops = missed_ops;
        result.timed_row(&Row::default(), "put", &stats).lat_mean_ns
    };
    // One of a hundred operations may be missing.
    assert_eq!((mean_ns(0), mean_ns(2)), (Some(5.0), None));
}
