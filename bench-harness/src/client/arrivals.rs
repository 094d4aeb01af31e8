//! The schedule of a client: the moments at which its calls are meant to begin.
//!
//! A client that is behind its schedule does not wait, so its calls follow each other until it has caught up. Latencies count
//! from the moments of the schedule: an engine that stops for a second makes all calls late that were due in it.

use std::time::{Duration, Instant};

use super::window_end::WindowEnd;

/// How much time before an arrival a waiting client wakes up; it spins for the rest.
const SPIN: Duration = Duration::from_micros(150);
/// The longest sleep of a waiting client before it looks whether the others have ended.
const LONGEST_SLEEP: Duration = Duration::from_millis(10);

/// The moments at which operations are meant to begin: a Poisson process, drawn before the clock starts.
#[derive(Clone, Debug)]
pub(crate) struct Arrivals {
    /// Times between two arrivals; starts over at the end.
    gaps: Vec<Duration>,
    /// The index of the gap before the next arrival.
    at: usize,
    /// The last arrival that was waited for; before the first one, the moment at which the schedule began.
    last: Instant,
}

impl Arrivals {
    /// Arrivals with these times between them.
    pub(crate) fn new(gaps: Vec<Duration>) -> Self {
        assert!(!gaps.is_empty(), "a schedule has arrivals");
        Self { gaps, at: 0, last: Instant::now() }
    }

    /// Begins the schedule anew at this moment.
    pub(super) fn restart(&mut self) {
        self.last = Instant::now();
    }

    /// The last arrival that was waited for.
    #[cfg(test)]
    pub(super) fn last(&self) -> Instant {
        self.last
    }

    /// How long ago the last arrival was that was waited for.
    pub(super) fn lateness(&self) -> Duration {
        Instant::now().saturating_duration_since(self.last)
    }

    /// Waits for the next arrival. `false`: the window ends before it.
    pub(super) fn wait(&mut self, window_end: &WindowEnd) -> bool {
        let moment = self.last + self.gaps[self.at];
        loop {
            let now = Instant::now();
            if moment <= now {
                break;
            }
            if window_end.is_stopped() || (moment >= window_end.until && now >= window_end.until) {
                return false;
            }
            let left = moment.min(window_end.until).saturating_duration_since(now);
            match left.checked_sub(SPIN) {
                Some(long) => std::thread::sleep(long.min(LONGEST_SLEEP)),
                None => std::hint::spin_loop(),
            }
        }
        debug_assert!(moment >= self.last, "arrivals come in order");
        self.last = moment;
        self.at = (self.at + 1) % self.gaps.len();
        true
    }

    /// How many arrivals come after the last one that was waited for, up to `end`. The time for an answer does not depend on
    /// their number.
    pub(super) fn due(&self, end: Instant) -> u64 {
        let mut left = end.saturating_duration_since(self.last);
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

    #[test]
    fn arrivals_that_were_due_and_did_not_begin_are_counted() {
        let mut arrivals = Arrivals::new([1, 2, 3].map(Duration::from_millis).to_vec());
        let begin = arrivals.last;
        let due = |arrivals: &Arrivals, ms| arrivals.due(begin + Duration::from_millis(ms));
        assert_eq!([0, 1, 2, 3, 6, 7, 13].map(|ms| due(&arrivals, ms)), [0, 1, 1, 2, 3, 4, 7]);
        arrivals.at = 2;
        assert_eq!([2, 3, 4, 6, 9].map(|ms| due(&arrivals, ms)), [0, 1, 2, 3, 4]);
        // The arrivals of an hour are counted at once.
        assert_eq!(due(&arrivals, 3_600_000), 1_800_000);
    }
}
