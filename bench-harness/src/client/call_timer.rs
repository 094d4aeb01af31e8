//! Which calls of a client are timed, and when calls on a schedule begin.
//!
//! Two looks at the clock cost as much as a fast call. So one call in a stride is timed, and the end of its time serves to ask
//! whether the window is over. On a schedule each call is timed, and waits for its arrival.

use std::time::{Duration, Instant};

use super::arrivals::Arrivals;
use super::window::{Sample, Window};
use super::window_end::WindowEnd;

/// Times one call in a stride.
#[derive(Clone, Debug)]
pub(crate) struct CallTimer {
    /// One call in this many is timed.
    stride: u32,
    /// Calls until the next one that is timed.
    calls_left: u32,
    /// The end of the last timed call, until [`Self::take_last_end`] has returned it.
    last_end: Option<Instant>,
    arrivals: Option<Arrivals>,
    /// How much later than intended the operation began.
    late: Duration,
}

impl CallTimer {
    /// A timer; with `arrivals`, calls wait for their moments and each of them is timed.
    pub(crate) fn new(stride: u32, arrivals: Option<Arrivals>) -> Self {
        let stride = if arrivals.is_some() { 1 } else { stride };
        assert!(stride > 0, "some call is timed");
        Self { stride, calls_left: 0, last_end: None, arrivals, late: Duration::ZERO }
    }

    /// One call in this many is timed.
    pub(crate) fn stride(&self) -> u32 {
        self.stride
    }

    /// The end of the last timed call; `None` if no call was timed since this was asked.
    pub(super) fn take_last_end(&mut self) -> Option<Instant> {
        self.last_end.take()
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
            self.late = arrivals.lateness();
        }
        true
    }

    /// Begins the schedule anew: nothing is late because of a pause of the harness.
    pub(crate) fn restart(&mut self) {
        self.calls_left = 0;
        if let Some(arrivals) = &mut self.arrivals {
            arrivals.restart();
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
        // `call` stands here once: as a function of its own it would find what it needs in memory.
        let start = is_timed.then(Instant::now);
        let result = call(window);
        if let Some(start) = start {
            self.add_sample(kind, window, (start, Instant::now()));
        }
        result
    }

    fn add_sample(&mut self, kind: usize, window: &mut Window, (start, end): (Instant, Instant)) {
        debug_assert!(start <= end, "a call ends after it has begun");
        self.last_end = Some(end);
        debug_assert!(window.samples.len() < window.samples.capacity(), "samples never grow");
        window.samples.push(Sample {
            at: window.ops,
            kind: kind as u32,
            start_ns: window.since_begin(start),
            end_ns: window.since_begin(end),
            late_ns: self.late.as_nanos() as u64,
        });
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
        let moment = timer.arrivals.as_ref().unwrap().last();
        let before = Instant::now();
        assert!(timer.await_arrival(&end_in(Duration::from_mins(1))) && timer.begin_operation());
        assert!(timer.late >= before - moment);
        assert_eq!(timer.arrivals.unwrap().last(), moment);
    }

    #[test]
    fn of_the_calls_that_were_due_and_did_not_begin_one_is_not_missed() {
        let ms = Duration::from_millis;
        let timer = CallTimer::new(1, Some(Arrivals::new(vec![ms(1)])));
        let begin = timer.arrivals.as_ref().unwrap().last();
        let missed = [0, 1, 2, 5].map(|at| timer.missed(begin + ms(at)));
        assert_eq!(missed, [0, 0, 1, 4]);
        assert_eq!(CallTimer::new(1, None).missed(begin + ms(5)), 0);
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
}
