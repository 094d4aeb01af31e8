//! Patience that does not run out while the whole machine is stopped.
//!
//! A suite that waits for a thread or a process looks again and again. The time between two looks counts, but no more
//! than [`LONGEST_LOOK`] of it. A stopped machine stops the looks too, so it counts as one look, however long it lasts.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// The most that the time between two looks counts.
const LONGEST_LOOK: Duration = Duration::from_millis(100);

/// Tells a wait that has lasted too long.
#[derive(Debug)]
pub(crate) struct Watchdog {
    patience: Duration,
    /// The time that has counted since the last progress.
    waited: Duration,
    last_look: Instant,
}

impl Watchdog {
    /// A wait begins, of at most `patience` without progress.
    pub(crate) fn new(patience: Duration) -> Self {
        Self { patience, waited: Duration::ZERO, last_look: Instant::now() }
    }

    /// The awaited thread or process has done something, so the wait begins anew.
    pub(crate) fn note_progress(&mut self) {
        self.waited = Duration::ZERO;
    }

    /// One look: whether the wait has lasted too long.
    pub(crate) fn is_over(&mut self) -> bool {
        self.look_at(Instant::now())
    }

    fn look_at(&mut self, now: Instant) -> bool {
        let before = self.waited;
        self.waited += now.saturating_duration_since(self.last_look).min(LONGEST_LOOK);
        self.last_look = now;
        debug_assert!(self.waited <= before + LONGEST_LOOK, "a stop counts as one look");
        self.waited >= self.patience
    }
}

/// Receives from `channel`. `Timeout`: nothing has come, and a wait of `patience` is over.
pub(crate) fn receive<T>(channel: &Receiver<T>, patience: Duration) -> Result<T, RecvTimeoutError> {
    let mut watchdog = Watchdog::new(patience);
    loop {
        match channel.recv_timeout(patience.min(LONGEST_LOOK)) {
            Err(RecvTimeoutError::Timeout) if !watchdog.is_over() => {}
            ended => return ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    #[test]
    fn a_machine_that_is_stopped_for_an_hour_counts_as_one_look() {
        let mut watchdog = Watchdog::new(PATIENCE);
        let mut now = watchdog.last_look;
        for _ in 0..9 {
            now += Duration::from_hours(1);
            assert!(!watchdog.look_at(now));
        }
        assert!(watchdog.look_at(now + LONGEST_LOOK), "the tenth look counts as well");
    }

    #[test]
    fn a_wait_without_progress_ends_and_progress_renews_it() {
        let mut watchdog = Watchdog::new(PATIENCE);
        let mut now = watchdog.last_look;
        let mut look = |watchdog: &mut Watchdog| {
            now += Duration::from_millis(50);
            watchdog.look_at(now)
        };
        assert!((0..19).all(|_| !look(&mut watchdog)));
        watchdog.note_progress();
        assert!((0..19).all(|_| !look(&mut watchdog)));
        assert!(look(&mut watchdog));
    }

    #[test]
    fn nothing_comes_before_the_patience_is_over() {
        let (sender, receiver) = channel::<u8>();
        let patience = Duration::from_millis(1);
        assert_eq!(receive(&receiver, patience), Err(RecvTimeoutError::Timeout));
        sender.send(7).unwrap();
        assert_eq!(receive(&receiver, patience), Ok(7));
        drop(sender);
        assert_eq!(receive(&receiver, patience), Err(RecvTimeoutError::Disconnected));
    }
}
