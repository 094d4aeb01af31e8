//! Running a transaction again after a conflict, with a jittered pause in between.

use std::time::Duration;

use durable::{Clock, Entropy};
use kv::{Error, Result};

/// How often a transaction that lost is run again, and how long to pause before.
///
/// Before try `n + 1` the caller pauses for a random time between zero and `first_pause * 2^(n - 1)`, at most `longest_pause`.
/// Two transactions that have met once are so unlikely to meet again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// How often the transaction is run at most; at least once. Default: 64.
    pub attempts: u32,
    /// The longest pause after the first try. Default: 50 us.
    pub first_pause: Duration,
    /// The longest pause after any try. Default: 50 ms.
    pub longest_pause: Duration,
    /// No further try begins later than this after the first one. Default: none.
    pub deadline: Option<Duration>,
}

impl RetryPolicy {
    /// Runs the transaction up to so many times.
    #[must_use]
    pub fn attempts(self, attempts: u32) -> Self {
        Self { attempts, ..self }
    }

    /// Begins no further try later than this after the first one.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// The pause after failed try number `attempt`, from 1 on. `random` may be any number.
    ///
    /// # Panics
    /// When `attempt` is 0.
    pub fn pause(&self, attempt: u32, random: u64) -> Duration {
        assert!(attempt > 0, "tries count from one");
        let doublings = (attempt - 1).min(31);
        let longest = self.first_pause.saturating_mul(1 << doublings).min(self.longest_pause);
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        let pause = Duration::from_nanos(random % nanos.saturating_add(1).max(1));
        debug_assert!(pause <= self.longest_pause, "no pause is longer");
        pause
    }

    /// Calls `attempt` until it returns anything but a conflict. Its argument is the number of the try, from 1 on.
    ///
    /// # Errors
    /// That of the last try: a conflict if all tries have lost, or if the deadline has passed.
    pub fn run<T>(
        &self,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
        mut attempt: impl FnMut(u32) -> Result<T>,
    ) -> Result<T> {
        let begun = clock.elapsed();
        for number in 1.. {
            let lost = match attempt(number) {
                Err(Error::Conflict(conflict)) => Error::Conflict(conflict),
                other => return other,
            };
            let pause = self.pause(number, entropy.next_u64());
            let spent = clock.elapsed().saturating_sub(begun);
            if number >= self.attempts || self.deadline.is_some_and(|most| spent + pause > most) {
                return Err(lost);
            }
            clock.sleep(pause);
        }
        unreachable!("the number of tries is limited")
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 64,
            first_pause: Duration::from_micros(50),
            longest_pause: Duration::from_millis(50),
            deadline: None,
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use durable::{ManualClock, SeededEntropy};
    use kv::{Conflict, ConflictKind};

    fn lose<T>(loser: u32) -> Result<T> {
        let conflict = Conflict::new(ConflictKind::Write, u64::from(loser));
        Err(Error::Conflict(Box::new(conflict)))
    }

    fn run(policy: RetryPolicy, attempt: impl FnMut(u32) -> Result<u32>) -> Result<u32> {
        policy.run(&ManualClock::new(), &SeededEntropy::new(1), attempt)
    }

    #[test]
    fn a_conflict_is_tried_again_and_another_error_is_not() {
        let policy = RetryPolicy::default();
        let third = run(policy, |number| if number < 3 { lose(number) } else { Ok(number) });
        assert_eq!(third.unwrap(), 3);
        let mut tries = 0;
        let failed = run(policy, |_| {
            tries += 1;
            Err(Error::Closed)
        });
        assert!(matches!(failed, Err(Error::Closed)));
        assert_eq!(tries, 1);
    }

    #[test]
    fn the_last_conflict_is_returned_when_the_tries_are_used_up() {
        let Err(Error::Conflict(conflict)) = run(RetryPolicy::default().attempts(5), lose) else {
            panic!("each try has lost")
        };
        assert_eq!(conflict.loser, 5);
    }

    #[test]
    fn no_try_begins_after_the_deadline() {
        let clock = ManualClock::new();
        let policy = RetryPolicy::default().deadline(Duration::from_secs(3));
        let mut tries = 0;
        let lost = policy.run(&clock, &SeededEntropy::new(1), |number| {
            clock.advance(Duration::from_secs(1));
            tries = number;
            lose::<()>(number)
        });
        assert!(lost.is_err());
        assert!((2..=3).contains(&tries), "{tries}");
    }

    #[test]
    fn pauses_double_up_to_the_longest_one_and_are_spread() {
        let policy = RetryPolicy::default();
        let longest = |attempt| {
            (0..1_000_u64).map(|random| policy.pause(attempt, random * 64_087)).max().unwrap()
        };
        let close = |pause: Duration, to: Duration| pause <= to && pause > to * 9 / 10;
        assert!(close(longest(1), Duration::from_micros(50)), "{:?}", longest(1));
        assert!(close(longest(4), Duration::from_micros(400)), "{:?}", longest(4));
        assert!(close(longest(40), Duration::from_millis(50)), "{:?}", longest(40));
        assert_eq!(policy.pause(9, 0), Duration::ZERO);
    }
}
