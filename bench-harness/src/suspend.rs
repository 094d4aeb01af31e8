//! Ctrl-Z stops the workers, too, and `fg` continues them.
//!
//! A worker leads a process group of its own, so the terminal's SIGTSTP does not reach it. The signals are blocked in all
//! threads, and one thread waits for them: on SIGTSTP it stops the group of the worker and then this process with SIGSTOP;
//! on SIGCONT, which comes when somebody continues this process, it continues the group. A cell that ran meanwhile is
//! measured again, and the time is given back to the limits.

use std::io;
use std::process::Child;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal as ToSend};

/// The group of the worker that runs, if one does.
static GROUP: Mutex<Option<Pid>> = Mutex::new(None);
/// The stops of this process.
static STOPS: Mutex<Stops> = Mutex::new(Stops::NONE);

/// How often and for how long a process was stopped.
#[derive(Debug)]
struct Stops {
    /// How often it was continued.
    count: u64,
    /// The time of the stops that are known to be over.
    over: Duration,
    /// The begin of a stop that is not. When the process goes on, another thread may look before the end is noted.
    since: Option<Instant>,
}

impl Stops {
    const NONE: Self = Self { count: 0, over: Duration::ZERO, since: None };

    /// Notes that the process is about to stop. The kernel drops the signal of an end that the next stop follows at once:
    /// both stops then count as one.
    fn begin(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// Notes that the process goes on. It may have been stopped without a signal to it: for how long, is not known then.
    fn end(&mut self, now: Instant) {
        let since = self.since.take();
        self.over += since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.count += 1;
    }

    /// The time of all stops up to `now`.
    fn time(&self, now: Instant) -> Duration {
        let open = self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.over + open
    }
}

/// Begins to listen; to be called before any other thread is started, because threads inherit the block.
pub(crate) fn listen() {
    let signals: SigSet = [Signal::SIGTSTP, Signal::SIGCONT].into_iter().collect();
    // Where the signals cannot be blocked, Ctrl-Z stops this process alone, as without this module.
    if signals.thread_block().is_err() {
        return;
    }
    std::thread::spawn(move || {
        while let Ok(signal) = signals.wait() {
            if signal == Signal::SIGTSTP {
                STOPS.lock().begin(Instant::now());
                send(ToSend::STOP);
                rustix::process::kill_process(rustix::process::getpid(), ToSend::STOP)
                    .unwrap_or_default();
            } else {
                STOPS.lock().end(Instant::now());
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

/// How often this process was continued.
pub(crate) fn stop_count() -> u64 {
    STOPS.lock().count
}

/// The time for which this process was stopped, while it followed SIGTSTP.
pub(crate) fn stopped_time() -> Duration {
    STOPS.lock().time(Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_stop_counts_before_its_end_is_noted_and_once() {
        let (mut stops, begun) = (Stops::NONE, Instant::now());
        let at = |s| begun + Duration::from_secs(s);
        stops.begin(at(10));
        // The process goes on after an hour, and this thread is the first to run.
        assert_eq!(stops.time(at(3_610)), Duration::from_hours(1));
        stops.end(at(3_611));
        assert_eq!((stops.time(at(9_000)), stops.count), (Duration::from_secs(3_601), 1));
    }

    #[test]
    fn a_stop_whose_end_was_lost_before_the_next_one_is_given_back_with_it() {
        let (mut stops, begun) = (Stops::NONE, Instant::now());
        let at = |s| begun + Duration::from_secs(s);
        stops.begin(at(10));
        stops.begin(at(100));
        stops.end(at(110));
        assert_eq!(stops.time(at(200)), Duration::from_secs(100));
        stops.end(at(300));
        assert_eq!((stops.time(at(400)), stops.count), (Duration::from_secs(100), 2));
    }
}
