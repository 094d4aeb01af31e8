//! The time that the loop of a client takes by itself.

use std::time::{Duration, Instant};

use crate::client::{CallTimer, Client, ClientBuffers, WindowEnd};
use crate::engines::NullEngine;
use crate::failure::Outcome;

/// The most time that is spent on one run.
const LOOP_TIME: Duration = Duration::from_millis(3);
/// The most operations of one run.
const LOOP_OPS: u32 = 20_000;

/// The time that the loop takes for each of the first operations of `client`, in nanoseconds. They are made in a window of at
/// most `window_ops`, on an engine that does nothing and returns values of `value_bytes`. It is the faster of two runs, because
/// the first one meets cold caches.
pub(super) fn loop_ns(
    client: &Client<'_>,
    window_ops: u32,
    buffers: &mut ClientBuffers,
    value_bytes: u32,
) -> Outcome<f64> {
    let first = loop_ns_once(client, window_ops, buffers, value_bytes)?;
    Ok(first.min(loop_ns_once(client, window_ops, buffers, value_bytes)?))
}

fn loop_ns_once(
    client: &Client<'_>,
    window_ops: u32,
    buffers: &mut ClientBuffers,
    value_bytes: u32,
) -> Outcome<f64> {
    let null_engine = NullEngine::new(value_bytes as usize);
    let stride = client.timer.stride();
    let mut client = Client {
        engine: &null_engine,
        timer: CallTimer::new(stride, None),
        max_steps: LOOP_OPS,
        is_done: false,
        ..client.clone()
    };
    let window_end = WindowEnd::new(Instant::now() + LOOP_TIME);
    client.run(buffers, &window_end, window_ops.min(LOOP_OPS))?;
    let window = &buffers.window;
    let time = window.ended.duration_since(window.begun);
    let loop_ns = time.as_nanos() as f64 / f64::from(window.ops.max(1));
    assert!(loop_ns.is_finite() && loop_ns >= 0.0, "{loop_ns} is a time");
    Ok(loop_ns)
}
