//! Recorders of hand-made windows.

use super::*;
use crate::client::{StreamPosition, WindowCapacity};

fn window(samples: &[(u32, usize, u64, u64)]) -> Window {
    let capacity = WindowCapacity { ops: 100, samples: samples.len(), ..WindowCapacity::default() };
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
    let mut window =
        window(&[(0, RMW_GET, 0, 10), (0, RMW_PUT, 15, 35), (1, Operation::Get as usize, 40, 45)]);
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
    let mut all = Recorder::new();
    all.add(&recorder);
    assert_eq!(all.total().long_stretches, [20_000_000]);
    all.restart();
    assert!(all.total().long_stretches.is_empty());
}

#[test]
fn a_pause_between_two_neighbours_and_one_of_the_schedule_are_no_stalls() {
    let put = Operation::Put as usize;
    let stretches = |at, has_schedule| {
        let mut recorder = Recorder::new();
        let samples = [(0, put, 0, 100), (at, put, 20_000_100, 20_000_200)];
        recorder.add_window(&window(&samples), has_schedule);
        recorder.total().long_stretches.len()
    };
    assert_eq!([stretches(1, false), stretches(2, false), stretches(2, true)], [0, 1, 0]);
}

#[test]
fn a_call_is_late_from_more_than_a_millisecond_on() {
    let put = Operation::Put as usize;
    let mut window = window(&[(0, put, 0, 100), (1, put, 200, 300)]);
    (window.samples[0].late_ns, window.samples[1].late_ns) = (LATE_NS, LATE_NS + 1);
    let mut recorder = Recorder::new();
    recorder.add_window(&window, true);
    assert_eq!(recorder.total().late, 1);
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
