//! Everything that an engine takes from the outside, in one value.

use std::sync::Arc;

use crate::{Clock, Entropy, Executor, Fs, OsFs, SystemClock, SystemEntropy, ThreadPool};

/// The world of an engine: disk, time, threads, randomness. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Env {
    /// Files.
    pub fs: Arc<dyn Fs>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Background work.
    pub executor: Arc<dyn Executor>,
    /// Random ids.
    pub entropy: Arc<dyn Entropy>,
}

impl Env {
    /// The real world, with a pool of `threads` for background work. Threads start when there is work.
    pub fn os(threads: usize) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        Self {
            fs: Arc::new(OsFs::default()),
            clock: Arc::clone(&clock),
            executor: Arc::new(ThreadPool::new(threads, clock)),
            entropy: Arc::new(SystemEntropy),
        }
    }
}
