//! The end of a window, which all of its clients share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// The end that all clients of a window share.
#[derive(Debug)]
pub(crate) struct WindowEnd {
    /// When to stop.
    pub(crate) until: Instant,
    /// Set when all must stop: one failed, one has a full window, or all that count are done.
    is_stopped: AtomicBool,
}

impl WindowEnd {
    /// An end at `until`.
    pub(crate) fn new(until: Instant) -> Self {
        Self { until, is_stopped: AtomicBool::new(false) }
    }

    /// Stops all clients, whatever the time.
    pub(crate) fn stop_all(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    /// Whether [`Self::stop_all`] was called.
    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    /// Whether a client whose last timed call ended at `moment` must stop.
    pub(crate) fn is_reached(&self, moment: Instant) -> bool {
        moment >= self.until || self.is_stopped()
    }
}
