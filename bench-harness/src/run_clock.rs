//! A clock that stands still while the user has stopped the process.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::suspend;

/// Time since a moment, without the time for which the process was stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunClock {
    begun: Instant,
    /// The time for which the process had been stopped before.
    stopped_before: Duration,
}

impl RunClock {
    /// Starts to count.
    pub(crate) fn start() -> Self {
        Self { begun: Instant::now(), stopped_before: suspend::stopped_time() }
    }

    /// The time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        without_stops(self.begun.elapsed(), self.stopped_before..suspend::stopped_time())
    }
}

/// `elapsed` without the time by which the sum of all stops has grown meanwhile.
fn without_stops(elapsed: Duration, stops: Range<Duration>) -> Duration {
    debug_assert!(stops.start <= stops.end, "stops are summed up");
    elapsed.saturating_sub(stops.end.saturating_sub(stops.start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_stops_since_the_start_are_given_back() {
        let s = Duration::from_secs;
        assert_eq!(without_stops(s(10), s(3)..s(7)), s(6));
        assert_eq!(without_stops(s(10), s(3)..s(3)), s(10));
    }
}
