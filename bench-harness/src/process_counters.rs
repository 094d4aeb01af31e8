//! The counters of this process: CPU time, and bytes read and written. Read between phases, never within one.
//!
//! A number that the system does not give is `None`, never 0.

use std::fs;
use std::time::Duration;

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
