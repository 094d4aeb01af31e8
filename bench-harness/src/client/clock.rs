//! When a client starts, when it stops, and which of its calls are timed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::window::{Sample, Window};

/// How much time before an arrival a waiting client wakes up; it spins for the rest.
const SPIN: Duration = Duration::from_micros(150);
/// The longest sleep of a waiting client before it looks whether the others have ended.
const LONGEST_SLEEP: Duration = Duration::from_millis(10);

/// The end that all clients of a window share.
#[derive(Debug)]
pub(crate) struct WindowEnd {
    /// When to stop.
    pub(crate) until: Instant,
    /// Set when all must stop: one failed, one has a full window, or all that count are done.
    pub(crate) stop: AtomicBool,
}

impl WindowEnd {
    /// An end at `until`.
    pub(crate) fn new(until: Instant) -> Self {
        Self { until, stop: AtomicBool::new(false) }
    }

    /// Stops all clients, whatever the time.
    pub(crate) fn stop_all(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether a client whose last timed call ended at `moment` must stop.
    pub(crate) fn is_reached(&self, moment: Instant) -> bool {
        moment >= self.until || self.stop.load(Ordering::Relaxed)
    }
}

/// Times one call in `stride`.
#[derive(Clone, Debug)]
pub(crate) struct CallTimer {
    stride: u32,
    /// Calls until the next one that is timed.
    calls_left: u32,
    /// The end of the last timed call, until somebody has looked at it.
    pub(crate) last_end: Option<Instant>,
    arrivals: Option<Arrivals>,
    /// How much later than intended the operation began.
    late: Duration,
}

impl CallTimer {
    /// A timer; with `arrivals`, calls wait for their moments and each of them is timed.
    pub(crate) fn new(stride: u32, arrivals: Option<Arrivals>) -> Self {
        let stride = if arrivals.is_some() { 1 } else { stride };
        assert!(stride > 0);
        Self { stride, calls_left: 0, last_end: None, arrivals, late: Duration::ZERO }
    }

    /// Calls of which one is timed.
    pub(crate) fn stride(&self) -> u32 {
        self.stride
    }

    /// Waits for the moment of the next call if there is a schedule. `false`: the window ends before that moment.
    pub(crate) fn await_arrival(&mut self, window_end: &WindowEnd) -> bool {
        self.arrivals.as_mut().is_none_or(|arrivals| arrivals.wait(window_end))
    }

    /// How many calls of the schedule were due up to `end` and had not begun. One is not counted: the last call may have
    /// hidden it.
    pub(crate) fn missed(&self, end: Instant) -> u64 {
        let due = self.arrivals.as_ref().map_or(0, |arrivals| arrivals.due(end));
        due.saturating_sub(1)
    }

    /// Whether the next operation is timed.
    pub(crate) fn begin_operation(&mut self) -> bool {
        if self.calls_left > 0 {
            self.calls_left -= 1;
            return false;
        }
        self.calls_left = self.stride - 1;
        if let Some(arrivals) = &self.arrivals {
            self.late = Instant::now().saturating_duration_since(arrivals.next);
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

    /// Makes `call`, and takes its time if `is_timed`; `kind` is the index of the recorder's statistics that get it.
    #[inline]
    pub(crate) fn call<R>(
        &mut self,
        is_timed: bool,
        kind: usize,
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
        debug_assert!(window.samples.len() < window.samples.capacity(), "samples never grow");
        window.samples.push(Sample {
            at: window.ops,
            kind: kind as u32,
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

    /// Waits for the next arrival. `false`: the window ends before it.
    fn wait(&mut self, window_end: &WindowEnd) -> bool {
        let moment = self.next + self.gaps[self.at];
        loop {
            let now = Instant::now();
            if moment <= now {
                break;
            }
            if moment >= window_end.until && window_end.is_reached(now) {
                return false;
            }
            if window_end.stop.load(Ordering::Relaxed) {
                return false;
            }
            let left = moment.min(window_end.until).saturating_duration_since(now);
            match left.checked_sub(SPIN) {
                Some(long) => std::thread::sleep(long.min(LONGEST_SLEEP)),
                None => std::hint::spin_loop(),
            }
        }
        self.next = moment;
        self.at = (self.at + 1) % self.gaps.len();
        true
    }

    /// Arrivals after the last one that was waited for, up to `end`.
    fn due(&self, end: Instant) -> u64 {
        let mut left = end.saturating_duration_since(self.next);
        let round: Duration = self.gaps.iter().sum();
        if round.is_zero() {
            return 0;
        }
        let rounds = (left.as_nanos() / round.as_nanos()) as u64;
        left = Duration::from_nanos((left.as_nanos() % round.as_nanos()) as u64);
        let gaps = self.gaps.iter().cycle().skip(self.at);
        let in_last_round = gaps.take_while(|gap| {
            let is_due = **gap <= left;
            left = left.saturating_sub(**gap);
            is_due
        });
        rounds * self.gaps.len() as u64 + in_last_round.take(self.gaps.len()).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::window::WindowCapacity;

    #[test]
    fn one_call_in_a_stride_is_timed_and_the_first_one_is() {
        let mut window = Window::new(WindowCapacity { samples: 3, ..WindowCapacity::default() });
        let mut timer = CallTimer::new(17, None);
        for at in 0..35 {
            window.ops = at;
            let is_timed = timer.begin_operation();
            timer.call(is_timed, 2, &mut window, |_| ());
        }
        let timed: Vec<_> = window.samples.iter().map(|sample| sample.at).collect();
        assert_eq!(timed, [0, 17, 34]);
        assert!(window.samples.is_sorted_by(|left, right| left.end_ns <= right.start_ns));
    }

    fn end_in(time: Duration) -> WindowEnd {
        WindowEnd::new(Instant::now() + time)
    }

    #[test]
    fn a_call_that_begins_after_its_moment_is_late_by_the_difference() {
        let gaps = vec![Duration::from_millis(1), Duration::ZERO];
        let mut timer = CallTimer::new(1, Some(Arrivals::new(gaps)));
        assert!(timer.await_arrival(&end_in(Duration::from_mins(1))) && timer.begin_operation());
        let moment = timer.arrivals.as_ref().unwrap().next;
        let before = Instant::now();
        assert!(timer.await_arrival(&end_in(Duration::from_mins(1))) && timer.begin_operation());
        assert!(timer.late >= before - moment);
        assert_eq!(timer.arrivals.unwrap().next, moment);
    }

    #[test]
    fn a_client_does_not_wait_for_an_arrival_after_the_end() {
        let mut timer = CallTimer::new(1, Some(Arrivals::new(vec![Duration::from_hours(1)])));
        timer.restart();
        let window_end = end_in(Duration::from_millis(5));
        assert!(!timer.await_arrival(&window_end) && Instant::now() >= window_end.until);
        assert_eq!(timer.missed(window_end.until), 0);
        // Another client ended the window.
        let window_end = WindowEnd::new(Instant::now() + Duration::from_hours(2));
        window_end.stop_all();
        assert!(!timer.await_arrival(&window_end));
    }

    #[test]
    fn arrivals_that_were_due_and_did_not_begin_are_counted() {
        let mut arrivals = Arrivals::new([1, 2, 3].map(Duration::from_millis).to_vec());
        let begin = arrivals.next;
        let due = |arrivals: &Arrivals, ms| arrivals.due(begin + Duration::from_millis(ms));
        assert_eq!([0, 1, 2, 3, 6, 7, 13].map(|ms| due(&arrivals, ms)), [0, 1, 1, 2, 3, 4, 7]);
        arrivals.at = 2;
        assert_eq!([2, 3, 4, 6, 9].map(|ms| due(&arrivals, ms)), [0, 1, 2, 3, 4]);
        // The arrivals of an hour are counted at once.
        assert_eq!(due(&arrivals, 3_600_000), 1_800_000);
    }
}
