//! Time, as a parameter. Only expiry, statistics and back-off look at it; nothing is ordered by it.

use std::fmt::Debug;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kv::UnixMillis;

use crate::lock_order;
use crate::sync::Mutex;

/// Where an engine gets the time from.
pub trait Clock: Debug + Send + Sync {
    /// Time since some fixed moment; never goes back.
    fn elapsed(&self) -> Duration;

    /// The time of day. May jump, in both directions.
    fn now(&self) -> UnixMillis;

    /// Lets about `pause` go by, where time goes by itself. A clock that is moved by hand returns at once.
    fn sleep(&self, pause: Duration);
}

/// The clocks of the operating system.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock that starts at zero now.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now(&self) -> UnixMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(since.as_millis() as u64)
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that sleeps")]
    fn sleep(&self, pause: Duration) {
        std::thread::sleep(pause);
    }
}

/// A clock that moves only when told to.
#[derive(Debug)]
pub struct ManualClock {
    hands: Mutex<Hands>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Hands {
    elapsed: Duration,
    now: UnixMillis,
}

impl ManualClock {
    /// A clock at zero.
    pub fn new() -> Self {
        Self { hands: Mutex::ranked(lock_order::CLOCK, Hands::default()) }
    }

    /// Lets `by` pass.
    pub fn advance(&self, by: Duration) {
        let mut hands = self.hands.lock();
        hands.elapsed += by;
        hands.now.0 += by.as_millis() as u64;
    }

    /// Sets the time of day, forwards or backwards, as an administrator might.
    pub fn set_now(&self, now: UnixMillis) {
        self.hands.lock().now = now;
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn elapsed(&self) -> Duration {
        self.hands.lock().elapsed
    }

    fn now(&self) -> UnixMillis {
        self.hands.lock().now
    }

    fn sleep(&self, _pause: Duration) {}
}
