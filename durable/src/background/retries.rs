//! When tasks that have failed for want of a resource are tried again.
//!
//! The pause before the next attempt is [`SHORTEST_RETRY_PAUSE`] after the first failure. It doubles with each further one, up
//! to [`LONGEST_RETRY_PAUSE`], and is the shortest again after a success. Pure: the owner has the clock and submits the jobs.

use std::time::Duration;

/// The pause after the first failure.
pub const SHORTEST_RETRY_PAUSE: Duration = Duration::from_millis(100);

/// The pause after many failures in a row: so much later than the resource a task goes on at the latest.
pub const LONGEST_RETRY_PAUSE: Duration = Duration::from_secs(10);

/// The tasks that have failed since their last success.
#[derive(Debug)]
pub(super) struct Retries<T> {
    failed: Vec<Failed<T>>,
}

#[derive(Debug)]
struct Failed<T> {
    task: T,
    /// The pause after the next failure.
    next_pause: Duration,
    /// Whether a pause has begun and not ended.
    is_waiting: bool,
}

impl<T: Copy + PartialEq> Retries<T> {
    /// No failures.
    pub(super) const fn new() -> Self {
        Self { failed: Vec::new() }
    }

    /// `task` has failed. Returns the pause that begins now. `None`: one has begun before, and not ended.
    pub(super) fn begin_pause(&mut self, task: T) -> Option<Duration> {
        let Some(failed) = self.failed.iter_mut().find(|failed| failed.task == task) else {
            let next_pause = SHORTEST_RETRY_PAUSE * 2;
            self.failed.push(Failed { task, next_pause, is_waiting: true });
            return Some(SHORTEST_RETRY_PAUSE);
        };
        if failed.is_waiting {
            return None;
        }
        failed.is_waiting = true;
        let pause = failed.next_pause;
        failed.next_pause = (pause * 2).min(LONGEST_RETRY_PAUSE);
        debug_assert!((SHORTEST_RETRY_PAUSE..=LONGEST_RETRY_PAUSE).contains(&pause), "in range");
        Some(pause)
    }

    /// The pause of `task` is over: it is tried again now.
    pub(super) fn end_pause(&mut self, task: T) {
        let failed = self.failed.iter_mut().filter(|failed| failed.task == task);
        failed.for_each(|failed| failed.is_waiting = false);
    }

    /// `task` has succeeded.
    pub(super) fn succeeded(&mut self, task: T) {
        for failed in self.failed.iter_mut().filter(|failed| failed.task == task) {
            failed.next_pause = SHORTEST_RETRY_PAUSE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_the_shortest_after_a_success() {
        let mut retries = Retries::new();
        let pause = |retries: &mut Retries<u8>, task| {
            let pause = retries.begin_pause(task);
            assert_eq!(retries.begin_pause(task), None, "it has begun");
            retries.end_pause(task);
            pause.unwrap().as_millis()
        };
        let pauses: Vec<_> = (0..9).map(|_| pause(&mut retries, 1)).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
        assert_eq!(pause(&mut retries, 2), 100, "each task has its own");
        retries.succeeded(1);
        retries.succeeded(3);
        assert_eq!(pause(&mut retries, 1), 100);
        assert_eq!(pause(&mut retries, 1), 200);
        assert_eq!(pause(&mut retries, 2), 200);
    }
}
