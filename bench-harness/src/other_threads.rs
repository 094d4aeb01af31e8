//! The threads of this process beside the calling one: which of them work, or would if they had a core.
//!
//! On a busy machine a thread with work may take no CPU time for long. It then waits for a core: that is its state, or was,
//! and the kernel adds the wait to a counter of the thread when it ends.

use std::path::Path;
use std::time::Duration;
use std::{fs, io};

/// The threads of this process beside the one that asks, at one moment.
#[derive(Debug, Default)]
pub(crate) struct OtherThreads(Vec<OtherThread>);

/// A thread at one moment.
#[derive(Debug, PartialEq, Eq)]
struct OtherThread {
    /// The kernel's number for it.
    id: u32,
    /// Whether it runs, is stopped, or waits for a core or for the disk.
    is_busy: bool,
    /// How long it has waited for a core since it began, without a wait that goes on. 0 if the kernel does not count it.
    waited: Duration,
}

impl OtherThreads {
    /// The threads as they are now; `None` if the system does not tell.
    pub(crate) fn now() -> Option<Self> {
        let own = fs::read_link("/proc/thread-self").ok()?;
        let threads = fs::read_dir("/proc/self/task").ok()?.filter_map(io::Result::ok);
        let others = threads.filter(|thread| Some(&*thread.file_name()) != own.file_name());
        Some(Self(others.filter_map(|thread| OtherThread::read(&thread.path())).collect()))
    }

    /// Those that are not among the threads of `earlier`.
    pub(crate) fn not_in(mut self, earlier: &Self) -> Self {
        self.0.retain(|thread| earlier.find(thread.id).is_none());
        debug_assert!(earlier.0.iter().all(|thread| self.find(thread.id).is_none()));
        self
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them runs, is stopped, or waits for a core or for the disk.
    pub(crate) fn is_any_busy(&self) -> bool {
        self.0.iter().any(|thread| thread.is_busy)
    }

    /// How long they waited for a core since `earlier`, all together. All waits of a thread that began later count.
    pub(crate) fn waited_since(&self, earlier: &Self) -> Duration {
        let before = |id| earlier.find(id).map_or(Duration::ZERO, |thread| thread.waited);
        self.0.iter().map(|thread| thread.waited.saturating_sub(before(thread.id))).sum()
    }

    fn find(&self, id: u32) -> Option<&OtherThread> {
        self.0.iter().find(|thread| thread.id == id)
    }
}

impl OtherThread {
    /// The thread whose files are in `folder`; `None` if it has ended.
    fn read(folder: &Path) -> Option<Self> {
        let id = folder.file_name()?.to_str()?.parse().ok()?;
        let stat = fs::read_to_string(folder.join("stat")).ok()?;
        let waited = fs::read_to_string(folder.join("schedstat"));
        let waited = waited.ok().and_then(|text| waited_for_core(&text)).unwrap_or_default();
        Some(Self { id, is_busy: is_busy(&stat), waited })
    }
}

/// Whether the text of a thread's `stat` shows that it runs or waits for a core (R) or for the disk (D), or is stopped (T, t).
fn is_busy(stat: &str) -> bool {
    // The name before it may hold brackets itself.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['R', 'D', 'T', 't']))
}

/// The wait for a core in the text of a thread's `schedstat`: its second number, in nanoseconds.
fn waited_for_core(schedstat: &str) -> Option<Duration> {
    schedstat.split_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(id: u32, is_busy: bool, waited_ms: u64) -> OtherThread {
        OtherThread { id, is_busy, waited: Duration::from_millis(waited_ms) }
    }

    #[test]
    fn a_thread_that_is_stopped_or_waits_for_a_core_or_for_the_disk_is_busy_whatever_its_name() {
        for (state, expected) in [('R', true), ('D', true), ('T', true), ('S', false), ('Z', false)]
        {
            assert_eq!(is_busy(&format!("7 (a) D (b)) {state} 1 2")), expected, "{state}");
        }
    }

    #[test]
    fn the_wait_for_a_core_is_the_second_number_in_nanoseconds() {
        let wait = Some(Duration::from_nanos(133_114_548));
        assert_eq!(waited_for_core("45318171 133114548 117\n"), wait);
        assert_eq!((waited_for_core("45318171"), waited_for_core("")), (None, None));
    }

    #[test]
    fn waits_count_from_the_earlier_moment_and_those_of_new_threads_from_their_begin() {
        let earlier = OtherThreads(vec![thread(1, false, 10), thread(2, false, 50)]);
        // 1 waited for 5 ms more, 2 has ended, 3 began.
        let now = OtherThreads(vec![thread(1, false, 15), thread(3, false, 7)]);
        assert_eq!(now.waited_since(&earlier), Duration::from_millis(12));
    }

    #[test]
    fn a_thread_that_began_later_is_found_though_as_many_have_ended() {
        // The number of threads is the same: a count alone would miss the new one.
        let earlier = OtherThreads(vec![thread(1, false, 0), thread(2, true, 0)]);
        let now = OtherThreads(vec![thread(1, true, 0), thread(3, false, 0)]);
        let new = now.not_in(&earlier);
        assert_eq!(new.0, [thread(3, false, 0)]);
        assert!(!new.is_any_busy() && !new.is_empty(), "thread 1 is none of them");
        assert!(new.not_in(&OtherThreads(vec![thread(3, true, 9)])).is_empty());
    }

    #[test]
    fn a_thread_that_runs_is_told_from_one_that_waits() {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let waiting = std::thread::spawn(move || stopped.recv().unwrap_err());
        // Other tests of this process run and wait meanwhile.
        assert!(!OtherThreads::now().unwrap().is_empty());
        let is_over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let over = std::sync::Arc::clone(&is_over);
        let running = std::thread::spawn(move || {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        assert!(OtherThreads::now().unwrap().0.len() >= 2);
        assert!(OtherThreads::now().unwrap().is_any_busy());
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        drop(stop);
        running.join().unwrap();
        waiting.join().unwrap();
    }
}
