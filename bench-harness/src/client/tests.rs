//! A client alone, on an engine that does nothing or follows a script.

mod scripted_engine;

use std::time::Duration;

use super::*;
use crate::engines::NullEngine;
use crate::keys::{KeyShape, KeySpace};
use crate::values::Values;

const VALUE_BYTES: usize = 40;

/// Runs a client that makes one `operation` after the other, in a window of ten, as `change` says. The engine does nothing.
/// Returns whether the client has no more to do, and its window.
fn run_client(
    operation: Operation,
    window_end: &WindowEnd,
    change: impl FnOnce(&mut Client<'_>),
) -> (bool, Window) {
    run_client_on(&NullEngine::new(VALUE_BYTES), operation, window_end, change)
}

/// The same on `engine`.
fn run_client_on(
    engine: &dyn Kv,
    operation: Operation,
    window_end: &WindowEnd,
    change: impl FnOnce(&mut Client<'_>),
) -> (bool, Window) {
    let (keys, values) = (KeySpace::Shaped(KeyShape::Padded), Values::Pooled);
    let dataset = Dataset { keys, values, common_value_bytes: None, capacity: 1, order: None };
    let mut client = Client {
        engine,
        dataset: &dataset,
        steps: &[Step::new(operation, 0, VALUE_BYTES as u32)],
        position: StreamPosition { threads: 1, capacity: 1, ..StreamPosition::default() },
        prefix_bytes: None,
        durability: Durability::None,
        batch: 1,
        max_steps: u32::MAX,
        timer: CallTimer::new(1, None),
        is_done: false,
        is_out_of_keys: false,
    };
    change(&mut client);
    let capacity = WindowCapacity { ops: 10, answers: 10, samples: 24, entries: 100 };
    let mut buffers = ClientBuffers::new(capacity, dataset.values.writer(0, 1, VALUE_BYTES));
    client.run(&mut buffers, window_end, 10).unwrap();
    (client.is_done, buffers.window)
}

fn in_an_hour() -> WindowEnd {
    WindowEnd::new(Instant::now() + Duration::from_hours(1))
}

#[test]
fn a_read_modify_write_is_one_call_with_two_timed_parts() {
    let operation = Operation::ReadModifyWrite;
    let (_, window) = run_client(operation, &in_an_hour(), |client| client.max_steps = 3);
    assert_eq!((window.sums[operation as usize].calls, window.samples.len()), (3, 6));
}

#[test]
fn a_client_that_has_taken_its_steps_misses_no_arrival() {
    let missed = |max_steps| {
        let each_ns = Arrivals::new(vec![Duration::from_nanos(1)]);
        let (is_done, window) = run_client(Operation::Put, &in_an_hour(), |client| {
            client.max_steps = max_steps;
            client.timer = CallTimer::new(1, Some(each_ns));
        });
        assert_eq!(is_done, max_steps == 3, "the other one has a full window");
        window.missed
    };
    assert!(missed(3) == 0 && missed(u32::MAX) > 0);
}

#[test]
fn arrivals_after_the_end_of_a_window_are_not_missed() {
    let over = WindowEnd::new(Instant::now());
    let each_ns = Arrivals::new(vec![Duration::from_nanos(1)]);
    let on_schedule = |client: &mut Client<'_>| client.timer = CallTimer::new(1, Some(each_ns));
    assert_eq!(run_client(Operation::Put, &over, on_schedule).1.missed, 0);
}

#[test]
fn the_operations_of_a_batch_arrive_together() {
    let soon = WindowEnd::new(Instant::now() + Duration::from_millis(5));
    let arrivals = Arrivals::new(vec![Duration::ZERO, Duration::from_hours(2)]);
    let (_, window) = run_client(Operation::Put, &soon, |client| {
        client.batch = 3;
        client.timer = CallTimer::new(1, Some(arrivals));
    });
    // The next batch arrives too late.
    assert_eq!((window.ops, window.sums[Operation::Put as usize].calls), (3, 1));
}

#[test]
fn a_client_that_another_one_stopped_has_more_to_do_and_one_whose_time_is_over_has_not() {
    let end = in_an_hour();
    end.stop_all();
    let (is_done, window) = run_client(Operation::Put, &end, |_| {});
    assert_eq!((is_done, window.ops), (false, 1));
    let late = Arrivals::new(vec![Duration::from_hours(2)]);
    let on_schedule = |client: &mut Client<'_>| client.timer = CallTimer::new(1, Some(late));
    let (is_done, window) = run_client(Operation::Put, &end, on_schedule);
    assert_eq!((is_done, window.ops), (false, 0));
    let (is_done, window) = run_client(Operation::Put, &WindowEnd::new(Instant::now()), |_| {});
    assert_eq!((is_done, window.ops), (true, 1));
}

#[test]
fn a_window_ends_before_a_scan_whose_entries_may_not_fit() {
    // Each scan reads 40 entries, and there is room for 100.
    let (is_done, window) = run_client(Operation::Scan, &in_an_hour(), |_| {});
    assert_eq!((is_done, window.ops, window.entries.len()), (false, 2, 80));
}
