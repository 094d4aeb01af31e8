//! The pace at which a long run prints lines of progress.

use std::time::{Duration, Instant};

/// The time between two lines.
const INTERVAL: Duration = Duration::from_secs(30);

/// Says when a line is due.
#[derive(Debug)]
pub(crate) struct Pace {
    last: Instant,
}

impl Pace {
    /// The first line is due after one interval.
    pub(crate) fn new() -> Self {
        Self { last: Instant::now() }
    }

    /// Whether a line is due. If so, the next one is due after one interval.
    pub(crate) fn is_due(&mut self) -> bool {
        let is_due = self.last.elapsed() >= INTERVAL;
        if is_due {
            self.last = Instant::now();
        }
        is_due
    }
}
