//! When a client starts, when it stops, and which of its calls are timed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::window::{Sample, Window};

/// How much time before an arrival a waiting client wakes up; it spins for the rest.
const SPIN: Duration = Duration::from_micros(150);

/// The end that all clients of a window share.
#[derive(Debug)]
pub(crate) struct Span {
    /// When to stop.
    pub(crate) until: Instant,
    /// Set when all shall stop: one failed, one has a full window, or all that count are done.
    pub(crate) stop: AtomicBool,
}

impl Span {
    /// A span that ends at `until`.
    pub(crate) fn new(until: Instant) -> Self {
        Self { until, stop: AtomicBool::new(false) }
    }

    /// Ends the span for all.
    pub(crate) fn end(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether a client whose last timed call ended at `moment` shall stop.
    pub(crate) fn is_over(&self, moment: Instant) -> bool {
        moment >= self.until || self.stop.load(Ordering::Relaxed)
    }
}

/// Times one call in `stride`.
#[derive(Clone, Debug)]
pub(crate) struct Stopwatch {
    stride: u32,
    /// Calls until the next one that is timed.
    calls_left: u32,
    /// The end of the last timed call, until somebody has looked at it.
    pub(crate) last_end: Option<Instant>,
    arrivals: Option<Arrivals>,
    late: Duration,
}

impl Stopwatch {
    /// A stopwatch; with `arrivals`, calls wait for their moments and each of them is timed.
    pub(crate) fn new(stride: u32, arrivals: Option<Arrivals>) -> Self {
        let stride = if arrivals.is_some() { 1 } else { stride };
        assert!(stride > 0);
        Self { stride, calls_left: 0, last_end: None, arrivals, late: Duration::ZERO }
    }

    /// Calls of which one is timed.
    pub(crate) fn stride(&self) -> u32 {
        self.stride
    }

    /// Whether the next operation is timed. Waits for its moment if there is a schedule.
    pub(crate) fn begin_operation(&mut self) -> bool {
        if self.calls_left > 0 {
            self.calls_left -= 1;
            return false;
        }
        self.calls_left = self.stride - 1;
        if let Some(arrivals) = &mut self.arrivals {
            self.late = arrivals.wait();
        }
        true
    }

    /// Begins the schedule anew: nothing is late because of a pause of the harness.
    pub(crate) fn restart(&mut self) {
        self.calls_left = 0;
        if let Some(arrivals) = &mut self.arrivals {
            arrivals.next = Instant::now();
        }
    }

    /// Makes `call`, and takes its time if `is_timed`; `line` is the line of the recorder that it belongs to.
    #[inline]
    pub(crate) fn call<R>(
        &mut self,
        is_timed: bool,
        line: usize,
        window: &mut Window,
        call: impl FnOnce(&mut Window) -> R,
    ) -> R {
        if !is_timed {
            return call(window);
        }
        let start = Instant::now();
        let result = call(window);
        let end = Instant::now();
        self.last_end = Some(end);
        window.samples.push(Sample {
            at: window.ops,
            line: line as u32,
            start_ns: window.since_begin(start),
            end_ns: window.since_begin(end),
            late_ns: self.late.as_nanos() as u64,
        });
        result
    }
}

/// The moments at which operations are meant to begin: a Poisson process, drawn before the clock starts.
#[derive(Clone, Debug)]
pub(crate) struct Arrivals {
    /// Times between two arrivals; starts over at the end.
    gaps: Vec<Duration>,
    at: usize,
    next: Instant,
}

impl Arrivals {
    /// Arrivals with these times between them.
    pub(crate) fn new(gaps: Vec<Duration>) -> Self {
        assert!(!gaps.is_empty());
        Self { gaps, at: 0, next: Instant::now() }
    }

    /// Waits for the next arrival and returns how long ago it was.
    fn wait(&mut self) -> Duration {
        self.next += self.gaps[self.at];
        self.at = (self.at + 1) % self.gaps.len();
        loop {
            let now = Instant::now();
            let Some(left) = self.next.checked_duration_since(now).filter(|left| !left.is_zero())
            else {
                return now.saturating_duration_since(self.next);
            };
            match left.checked_sub(SPIN) {
                Some(long) => std::thread::sleep(long),
                None => std::hint::spin_loop(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::window::Room;

    #[test]
    fn one_call_in_a_stride_is_timed_and_the_first_one_is() {
        let mut window = Window::new(Room::default());
        let mut watch = Stopwatch::new(17, None);
        for at in 0..35 {
            window.ops = at;
            let is_timed = watch.begin_operation();
            watch.call(is_timed, 2, &mut window, |_| ());
        }
        let timed: Vec<_> = window.samples.iter().map(|sample| sample.at).collect();
        assert_eq!(timed, [0, 17, 34]);
        assert!(window.samples.is_sorted_by(|left, right| left.end_ns <= right.start_ns));
    }

    #[test]
    fn a_call_that_begins_behind_its_moment_is_late_by_the_difference() {
        let gaps = vec![Duration::from_millis(1), Duration::ZERO];
        let mut arrivals = Arrivals::new(gaps);
        assert!(arrivals.wait() < Duration::from_secs(10));
        let moment = arrivals.next;
        let before = Instant::now();
        let late = arrivals.wait();
        assert!(late >= before - moment && arrivals.next == moment);
    }
}
