//! Which number the history must be kept from, for the window of the options.
//!
//! The age of a state is known from samples: at this time, this number was the newest. A sample is taken when a commit comes and
//! the last sample is older than 1/64 of the window. So there are few samples, and a state stays readable at most so much longer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use durable::Clock;
use durable::sync::Mutex;
use kv::SequenceNumber;

use crate::lock_order;
use crate::options::HistoryWindow;

/// The samples of one window of time.
const SAMPLES: u32 = 64;

/// Knows when each of the last numbers was the newest.
#[derive(Debug)]
pub(crate) struct HistoryClock {
    window: HistoryWindow,
    clock: Arc<dyn Clock>,
    samples: Mutex<Samples>,
}

impl HistoryClock {
    pub(crate) fn new(window: HistoryWindow, clock: Arc<dyn Clock>) -> Self {
        let samples = Mutex::ranked(lock_order::HISTORY_CLOCK, Samples::default());
        Self { window, clock, samples }
    }

    /// The number to keep the history from, now that `newest` is committed.
    pub(crate) fn floor(&self, newest: SequenceNumber) -> SequenceNumber {
        let by_commits = SequenceNumber(newest.0.saturating_sub(self.window.commits));
        if self.window.age.is_zero() {
            return by_commits;
        }
        let now = self.clock.elapsed();
        let by_age = self.samples.lock().floor(self.window.age, now, newest);
        by_commits.min(by_age)
    }
}

/// Times and the newest number at each, both ascending.
#[derive(Debug, Default)]
struct Samples(VecDeque<(Duration, SequenceNumber)>);

impl Samples {
    /// Takes a sample if one is due, and returns the newest number that was the newest `age` ago.
    fn floor(&mut self, age: Duration, now: Duration, newest: SequenceNumber) -> SequenceNumber {
        // A clock or a number that another thread has read a little earlier makes no sample.
        let is_due = self
            .0
            .back()
            .is_none_or(|&(time, last)| now >= time.saturating_add(age / SAMPLES) && newest > last);
        if is_due {
            self.0.push_back((now, newest));
        }
        let has_aged = |&(time, _): &(Duration, SequenceNumber)| time.saturating_add(age) <= now;
        // The last sample that has aged stays: it is the floor until the next one has aged.
        while self.0.get(1).is_some_and(has_aged) {
            self.0.pop_front();
        }
        debug_assert!(self.0.len() <= SAMPLES as usize + 2, "samples are {SAMPLES} to a window");
        let floor = self.0.front().filter(|sample| has_aged(sample));
        floor.map_or(SequenceNumber::ZERO, |&(_, number)| number)
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use durable::ManualClock;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_larger_of_both_windows_counts() {
        let clock = Arc::new(ManualClock::new());
        let window = HistoryWindow { commits: 5, age: seconds(64) };
        let history = HistoryClock::new(window, clock.clone());
        // One commit a second: 64 commits in the window of time.
        for newest in 1..=200_u64 {
            clock.advance(seconds(1));
            let floor = history.floor(SequenceNumber(newest)).0;
            let exact = newest.saturating_sub(64);
            assert!(floor <= exact && floor + 2 >= exact, "floor {floor} at {newest}");
        }
        // An hour without commits.
        clock.advance(seconds(3600));
        assert_eq!(history.floor(SequenceNumber(201)).0, 196, "the window of commits counts");
    }

    #[test]
    fn without_a_window_only_the_newest_state_is_kept() {
        let history = HistoryClock::new(HistoryWindow::default(), Arc::new(ManualClock::new()));
        assert_eq!(history.floor(SequenceNumber(7)), SequenceNumber(7));
    }

    #[test]
    fn samples_stay_few_whatever_the_rate_of_commits() {
        let mut samples = Samples::default();
        for tick in 0..100_000_u64 {
            let now = Duration::from_millis(tick);
            samples.floor(seconds(10), now, SequenceNumber(tick + 1));
        }
        assert!(samples.0.len() <= 66, "{}", samples.0.len());
    }
}
