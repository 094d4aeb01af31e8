//! The counters of this process: CPU time, threads, and bytes read and written. Read between phases, never within one.
//!
//! A number that the system does not give is `None`, never 0.

use std::time::Duration;
use std::{fs, io};

use crate::proc_text::field;

/// Clock ticks a second in `/proc/self/stat`: 100 in the interface of every Linux that there is.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time of all threads of this process, to the nanosecond.
pub(crate) fn process_cpu() -> Duration {
    clock(rustix::time::ClockId::ProcessCPUTime)
}

/// CPU time of the calling thread.
pub(crate) fn thread_cpu() -> Duration {
    clock(rustix::time::ClockId::ThreadCPUTime)
}

fn clock(id: rustix::time::ClockId) -> Duration {
    Duration::try_from(rustix::time::clock_gettime(id)).unwrap_or_default()
}

/// The threads of this process beside the calling one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OtherThreads {
    /// How many there are.
    pub(crate) count: usize,
    /// Whether one of them runs, or waits for a core or for the disk.
    pub(crate) is_any_busy: bool,
}

impl OtherThreads {
    /// The threads as they are now; `None` where the system does not tell.
    pub(crate) fn now() -> Option<Self> {
        let own = fs::read_link("/proc/thread-self").ok()?;
        let threads = fs::read_dir("/proc/self/task").ok()?.filter_map(io::Result::ok);
        let others = threads.filter(|thread| Some(&*thread.file_name()) != own.file_name());
        let mut found = Self::default();
        for thread in others {
            // A thread that has ended meanwhile is none.
            let Ok(stat) = fs::read_to_string(thread.path().join("stat")) else { continue };
            found.count += 1;
            found.is_any_busy |= is_busy(&stat);
        }
        Some(found)
    }
}

/// Whether the text of a thread's `stat` shows that it runs or waits for a core (R), or for the disk (D).
fn is_busy(stat: &str) -> bool {
    // The name before it may hold brackets itself.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['R', 'D']))
}

/// Counters of this process since it began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    /// Bytes that read calls returned; blind to mappings.
    pub(crate) rchar: Option<u64>,
    /// Bytes that write calls took.
    pub(crate) wchar: Option<u64>,
    /// Bytes fetched from the device.
    pub(crate) read_bytes: Option<u64>,
    /// Bytes of pages dirtied, minus those that were dropped before they were written.
    pub(crate) write_bytes: Option<u64>,
}

/// CPU time of this process since it began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CpuTime {
    /// All of it, to the nanosecond.
    pub(crate) total: Duration,
    /// In user mode, in seconds, in steps of 10 ms.
    pub(crate) user_s: f64,
    /// In the kernel, in the same steps.
    pub(crate) sys_s: f64,
}

impl CpuTime {
    /// The time as it is now.
    pub(crate) fn now() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The second field is the program's name in brackets and may itself hold spaces.
        let times = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace());
        let mut times =
            times.into_iter().flatten().skip(11).map_while(|part| part.parse::<f64>().ok());
        let mut seconds = || times.next().unwrap_or_default() / TICKS_PER_SECOND;
        Self { total: process_cpu(), user_s: seconds(), sys_s: seconds() }
    }

    /// How much was added since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        debug_assert!(earlier.total <= self.total, "CPU time only grows");
        Self {
            total: self.total.saturating_sub(earlier.total),
            user_s: (self.user_s - earlier.user_s).max(0.0),
            sys_s: (self.sys_s - earlier.sys_s).max(0.0),
        }
    }
}

impl std::ops::Add for CpuTime {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            total: self.total + other.total,
            user_s: self.user_s + other.user_s,
            sys_s: self.sys_s + other.sys_s,
        }
    }
}

impl Counters {
    /// The counters as they are now.
    pub(crate) fn now() -> Self {
        let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
        let io_field = |name| field(&io, name);
        let written = io_field("write_bytes").zip(io_field("cancelled_write_bytes"));
        Self {
            rchar: io_field("rchar"),
            wchar: io_field("wchar"),
            read_bytes: io_field("read_bytes"),
            write_bytes: written.map(|(written, dropped)| written.saturating_sub(dropped)),
        }
    }

    /// How much was added since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let bytes = |now: Option<u64>, then: Option<u64>| Some(now?.saturating_sub(then?));
        Self {
            rchar: bytes(self.rchar, earlier.rchar),
            wchar: bytes(self.wchar, earlier.wchar),
            read_bytes: bytes(self.read_bytes, earlier.read_bytes),
            write_bytes: bytes(self.write_bytes, earlier.write_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_waits_for_a_core_or_for_the_disk_is_busy_whatever_its_name() {
        for (state, expected) in [('R', true), ('D', true), ('S', false), ('Z', false)] {
            assert_eq!(is_busy(&format!("7 (a) D (b)) {state} 1 2")), expected, "{state}");
        }
    }

    #[test]
    fn a_thread_that_runs_is_told_from_one_that_waits() {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let waiting = std::thread::spawn(move || stopped.recv().unwrap_err());
        // Other tests of this process run and wait meanwhile.
        assert!(OtherThreads::now().unwrap().count >= 1);
        let is_over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let over = std::sync::Arc::clone(&is_over);
        let running = std::thread::spawn(move || {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        assert!(OtherThreads::now().unwrap().count >= 2);
        assert!(OtherThreads::now().unwrap().is_any_busy);
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        drop(stop);
        running.join().unwrap();
        waiting.join().unwrap();
    }
}
