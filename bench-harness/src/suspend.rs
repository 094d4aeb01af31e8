//! Ctrl-Z stops the workers, too, and `fg` continues them.
//!
//! A worker leads a process group of its own, so the terminal's SIGTSTP does not reach it. The signals are blocked in all
//! threads, and one thread waits for them: on SIGTSTP it stops the group of the worker and then this process with SIGSTOP;
//! on SIGCONT, which comes when somebody continues this process, it continues the group. A cell that ran meanwhile is
//! measured again, and the time is given back to the limits.

use std::io;
use std::process::Child;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal as ToSend};

/// The group of the worker that runs, if one does.
static GROUP: Mutex<Option<Pid>> = Mutex::new(None);
/// How often this process was stopped and continued.
static STOPS: AtomicU64 = AtomicU64::new(0);
/// The time for which it was stopped.
static STOPPED_NS: AtomicU64 = AtomicU64::new(0);

/// Begins to listen; to be called before any other thread is started, because threads inherit the block.
pub(crate) fn listen() {
    let signals: SigSet = [Signal::SIGTSTP, Signal::SIGCONT].into_iter().collect();
    // Where the signals cannot be blocked, Ctrl-Z stops this process alone, as without this module.
    if signals.thread_block().is_err() {
        return;
    }
    std::thread::spawn(move || {
        let mut since = None;
        while let Ok(signal) = signals.wait() {
            if signal == Signal::SIGTSTP {
                since = Some(Instant::now());
                send(ToSend::STOP);
                rustix::process::kill_process(rustix::process::getpid(), ToSend::STOP)
                    .unwrap_or_default();
            } else {
                let time = since.take().map_or(Duration::ZERO, |since: Instant| since.elapsed());
                STOPPED_NS.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
                STOPS.fetch_add(1, Ordering::Relaxed);
                send(ToSend::CONT);
            }
        }
    });
}

fn send(signal: ToSend) {
    let group = GROUP.lock();
    // Fails only where the worker has ended.
    group
        .map_or(Ok(()), |group| rustix::process::kill_process_group(group, signal))
        .unwrap_or_default();
}

/// Starts a process that leads a group; from now on the group stops and continues with this process. A stop waits for the
/// start, so that it misses nobody.
pub(crate) fn start_group(start: impl FnOnce() -> io::Result<Child>) -> io::Result<Child> {
    let mut group = GROUP.lock();
    let child = start()?;
    *group = Some(Pid::from_child(&child));
    Ok(child)
}

/// Forgets the group of the worker. To be called before the group is gone, because its number is then free for another one.
pub(crate) fn forget_group() {
    *GROUP.lock() = None;
}

/// How often this process was stopped and continued.
pub(crate) fn stop_count() -> u64 {
    STOPS.load(Ordering::Relaxed)
}

/// The time for which this process was stopped, while it followed SIGTSTP.
pub(crate) fn stopped_time() -> Duration {
    Duration::from_nanos(STOPPED_NS.load(Ordering::Relaxed))
}
