//! A clock that stands still while the user has stopped the process.

use std::time::{Duration, Instant};

use crate::suspend;

/// Time since a moment, without the time for which the process was stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunClock {
    begun: Instant,
    /// The time for which the process had been stopped before.
    stopped: Duration,
}

impl RunClock {
    /// Starts to count.
    pub(crate) fn start() -> Self {
        Self { begun: Instant::now(), stopped: suspend::stopped() }
    }

    /// The time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        let stopped = suspend::stopped().saturating_sub(self.stopped);
        self.begun.elapsed().saturating_sub(stopped)
    }
}
