//! Results of hand-made measurements.

use super::*;
use crate::cell::ops_over_time::OpsOverTime;

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
fn bytes_of_earlier_phases_count_as_written() {
    let mut written_bytes = 20;
    let results = [(); 2].map(|()| {
        let mut result = with_background();
        result.add_to(&mut written_bytes);
        result.written_bytes
    });
    assert_eq!((results, written_bytes), ([23, 26], 26));
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
    // Reads need no overwritten store.
    (result.total.bytes_written, result.background, result.written_bytes) = (0, None, 10);
    assert_eq!(result.is_steady(live), Some(true));
}

/// A second of these clients, with `work_in_pauses`.
fn times_of<'r>(
    counted: &'r Recorder,
    background: Option<&'r Recorder>,
    work_in_pauses: EngineWork,
) -> PhaseTimes<'r> {
    PhaseTimes {
        counted,
        background,
        wall: Duration::from_secs(1),
        paused: Duration::from_millis(5),
        cpu: CpuTime::default(),
        work_in_pauses,
        ops_over_time: OpsOverTime::default(),
        missed_ops: 0,
        cut_short: false,
    }
}

#[test]
fn the_work_in_pauses_is_that_of_the_clients() {
    let recorder = Recorder::new();
    let work = EngineWork { cpu: Duration::from_millis(3), time: Duration::from_millis(2) };
    let times = times_of(&recorder, None, work);
    let streams = PhaseStreams::of_one_thread(Vec::new());
    assert_eq!(PhaseResult::from_clients(&times, &streams, None).work_in_pauses, work);
}

#[test]
fn the_puts_of_all_clients_take_syncs_and_their_reads_take_none() {
    let recorder = |calls: &[(Operation, u64)]| {
        let mut recorder = Recorder::new();
        for &(operation, calls) in calls {
            let stats = recorder.stats(operation);
            (stats.ops, stats.calls) = (calls, calls);
        }
        recorder
    };
    let counted = recorder(&[(Operation::Put, 2), (Operation::Get, 100)]);
    let background = recorder(&[(Operation::ReadModifyWrite, 3), (Operation::Insert, 4)]);
    let times = times_of(&counted, Some(&background), EngineWork::default());
    let one = PhaseStreams::of_one_thread(Vec::new());
    let streams = PhaseStreams { background: Some(Vec::new()), ..one };
    // Nine calls of two clients, of which a sync serves one each.
    assert_eq!(PhaseResult::from_clients(&times, &streams, None).least_fsyncs(), 5);
}
