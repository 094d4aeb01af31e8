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
        let (user_s, sys_s) = seconds(&fs::read_to_string("/proc/self/stat").unwrap_or_default());
        Self { total: process_cpu(), user_s, sys_s }
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
        Self::parse(&fs::read_to_string("/proc/self/io").unwrap_or_default())
    }

    /// Reads the text of `/proc/self/io`.
    fn parse(io: &str) -> Self {
        let io_field = |name| field(io, name);
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

/// The seconds in user mode and in the kernel, in the text of `/proc/self/stat`; 0 where the text has none.
fn seconds(stat: &str) -> (f64, f64) {
    // The second field is the program's name in brackets and may itself hold spaces.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace());
    let ticks = fields.into_iter().flatten().skip(11).map_while(|part| part.parse::<f64>().ok());
    let mut seconds = ticks.map(|ticks| ticks / TICKS_PER_SECOND);
    (seconds.next().unwrap_or_default(), seconds.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_are_those_of_the_process_in_hundredths_whatever_its_name() {
        let stat = "7 (a) b 1) S 1 7 7 0 -1 4194304 90 91 92 93 250 75 600 700 20 0 1 0\n";
        assert_eq!(seconds(stat), (2.5, 0.75));
        assert_eq!((seconds(""), seconds("7 (a) S 1")), ((0.0, 0.0), (0.0, 0.0)));
    }

    #[test]
    fn bytes_that_were_dropped_before_they_were_written_are_not_written() {
        let io = "rchar: 7\nwchar: 9\nsyscr: 1\nsyscw: 2\nread_bytes: 4096\nwrite_bytes: 100\n\
            cancelled_write_bytes: 40\n";
        let counters = Counters::parse(io);
        let all = [counters.rchar, counters.wchar, counters.read_bytes, counters.write_bytes];
        assert_eq!(all, [7, 9, 4096, 60].map(Some));
        assert_eq!(Counters::parse("rchar: 7\n").write_bytes, None);
    }
}
