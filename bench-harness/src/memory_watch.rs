//! The most memory that no file backs which the process has held between two moments.
//!
//! The kernel keeps a peak of all resident pages alone, those of mapped files included, so a thread takes samples. Memory
//! has to be touched page by page before it counts: at 10 GB/s, one period hides less than [`PERIOD`] x 10 GB/s = 50 MB.

use std::fs;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::proc_text::field;

/// The time between two samples. A sample takes 25 to 50 us of a core.
const PERIOD: Duration = Duration::from_millis(5);

/// A thread that samples until it is asked for the peak.
#[derive(Debug)]
pub(crate) struct MemoryWatch {
    stop: Sender<()>,
    sampler: JoinHandle<Option<u64>>,
}

impl MemoryWatch {
    /// Begins to sample.
    pub(crate) fn start() -> Self {
        Self::sampling(anonymous_bytes, PERIOD)
    }

    /// Begins to take `sample` at once, every `period`, and at the end.
    fn sampling(sample: impl Fn() -> Option<u64> + Send + 'static, period: Duration) -> Self {
        let (stop, stopped) = channel();
        let sampler = std::thread::spawn(move || {
            let mut peak = sample();
            while stopped.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
                peak = peak.max(sample());
            }
            peak.max(sample())
        });
        Self { stop, sampler }
    }

    /// Ends the samples and returns the largest; `None` where the system does not tell.
    pub(crate) fn peak_bytes(self) -> Option<u64> {
        drop(self.stop);
        self.sampler.join().ok().flatten()
    }
}

/// Memory that no file backs, resident or swapped out, from the counters of the kernel: no page is walked over.
pub(crate) fn anonymous_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let parts = ["RssAnon", "RssShmem", "VmSwap"].map(|name| field(&status, name));
    let [Some(anonymous), shared, swapped] = parts else { return None };
    Some((anonymous + shared.unwrap_or_default() + swapped.unwrap_or_default()) * 1024)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn memory_that_came_after_the_last_period_is_in_the_peak() {
        let held = Arc::new(AtomicU64::new(1));
        let (taken, first_taken) = channel();
        let sample = {
            let held = Arc::clone(&held);
            move || {
                let bytes = held.load(Ordering::SeqCst);
                taken.send(()).unwrap_or_default();
                Some(bytes)
            }
        };
        let watch = MemoryWatch::sampling(sample, Duration::from_hours(1));
        first_taken.recv().unwrap();
        held.store(7, Ordering::SeqCst);
        assert_eq!(watch.peak_bytes(), Some(7));
    }

    #[test]
    fn memory_that_was_given_back_is_in_the_peak() {
        const BYTES: usize = 64 << 20;
        let before = anonymous_bytes().unwrap();
        let watch = MemoryWatch::start();
        let balloon = std::hint::black_box(vec![1_u8; BYTES]);
        std::thread::sleep(4 * PERIOD);
        drop(balloon);
        // Other tests of this process give memory back meanwhile.
        assert!(watch.peak_bytes().unwrap() >= before.min(BYTES as u64 / 2) + BYTES as u64 / 2);
    }
}
