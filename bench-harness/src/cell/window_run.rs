//! One window of a phase: all clients at once, each on its own thread.

use std::sync::Barrier;
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use crate::client::{Client, ClientBuffers, WindowEnd};
use crate::failure::{Failure, Outcome};
use crate::judge::Part;

/// Runs all clients until `window_end`, until the window of one of them is full, or until the first `counted` ones have
/// taken their steps. The others run in the background for as long.
pub(super) fn run_window<'c>(
    clients: &mut [Client<'c>],
    counted: usize,
    all_buffers: &mut [ClientBuffers],
    window_end: &WindowEnd,
    window_ops: u32,
) -> Outcome<()> {
    assert!(counted > 0 && counted <= clients.len(), "a window has clients that count");
    assert!(clients.len() <= all_buffers.len(), "each client has buffers");
    // A single client needs no thread of its own.
    if let [only] = clients {
        return only.run(&mut all_buffers[0], window_end, window_ops);
    }
    let start = &Barrier::new(clients.len());
    std::thread::scope(|scope| {
        let run = |(client, buffers): (&'_ mut Client<'c>, &'_ mut ClientBuffers)| {
            run_together(client, buffers, window_end, window_ops, start)
        };
        let pairs = clients.iter_mut().zip(all_buffers);
        let mut threads: Vec<_> = pairs.map(|pair| scope.spawn(move || run(pair))).collect();
        let background = threads.split_off(counted);
        let results: Vec<_> = threads.into_iter().map(join).collect();
        window_end.stop_all();
        let background = background.into_iter().map(join);
        results.into_iter().chain(background).collect()
    })
}

/// Runs one client of several. If it fails, or ends for another reason than its own steps or the time, it stops all.
fn run_together(
    client: &mut Client<'_>,
    buffers: &mut ClientBuffers,
    window_end: &WindowEnd,
    window_ops: u32,
    start: &Barrier,
) -> Outcome<()> {
    start.wait();
    // It ended in an earlier window.
    if client.is_done {
        buffers.window.restart(client.position, 0);
        return Ok(());
    }
    let result = client.run(buffers, window_end, window_ops);
    if result.is_err() || !client.is_done {
        window_end.stop_all();
    }
    result
}

/// The wall time of a window: from the first begin to the last end.
pub(super) fn window_time(parts: &[Part<'_>]) -> Duration {
    let ends_last = |part: &Part<'_>| part.window.begun <= part.window.ended;
    assert!(parts.iter().all(ends_last), "a thread ends after it has begun");
    let begun = parts.iter().map(|part| part.window.begun).min();
    let ended = parts.iter().map(|part| part.window.ended).max();
    begun.zip(ended).map_or(Duration::ZERO, |(begun, ended)| ended.duration_since(begun))
}

fn join(thread: ScopedJoinHandle<'_, Outcome<()>>) -> Outcome<()> {
    thread.join().unwrap_or_else(|_| Err(Failure::engine("a thread panicked")))
}
