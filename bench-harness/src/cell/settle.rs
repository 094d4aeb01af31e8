//! The time after the clock of a phase: the final sync, and the wait until the engine is at rest.
//!
//! An engine can put work off until the clock stands still: **deferred work**. It belongs to the operations of the phase. Its
//! CPU time is added to theirs, and its wall time is stated beside the ranked figure. The next phase begins after it. A block
//! in which an engine works longer after the clock than before, or does not come to rest, is not compared.
//!
//! The engine is at rest after a quiet slice of time, [`SLICE`] long. Two times are added up over the slice: the CPU time of
//! all threads of the process, and the time for which threads of the engine waited for a core. In a quiet slice their sum is
//! less than [`IDLE_SHARE`] of it. At its end no thread of the engine may run, or wait for a core or the disk: on a busy
//! machine, work that waits takes no CPU time. Work that a thread begins after sleeping for longer than a slice is not seen.

use std::ops::AddAssign;
use std::time::{Duration, Instant};

use kv::Kv;

use crate::failure::Outcome;
use crate::other_threads::OtherThreads;
use crate::process_counters;

/// The time that the threads of the process are watched at once.
const SLICE: Duration = Duration::from_millis(20);
/// The share of one core that threads of an engine at rest may take: timers and statistics.
const IDLE_SHARE: f64 = 0.1;
/// The wait takes at most as long as the phase did, within these limits: short phases leave work as large as long ones.
const LEAST_WAIT: Duration = Duration::from_secs(1);
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Work of the engine while the clock stands still.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct EngineWork {
    /// CPU time of its threads.
    pub(super) cpu: Duration,
    /// Wall time in which they worked.
    pub(super) time: Duration,
}

/// The time after the clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Settled {
    /// Time of the final sync, and of the wait while the engine worked.
    pub(super) time: Duration,
    /// The work of the engine; `None` in phases that write nothing, where nobody waits.
    pub(super) deferred: Option<Deferred>,
    /// Time that passed while the harness waited for the engine to rest.
    pub(super) waited: Duration,
}

impl Settled {
    /// After work `before_sync`, a sync of so much CPU time and wall time, and a wait for rest. A wait of the sync for the disk
    /// is no work: `buffered` does not ask for a sync.
    fn after(
        before_sync: EngineWork,
        (sync_cpu, sync_time): (Duration, Duration),
        wait: &Wait,
    ) -> Self {
        let Wait { work: after_sync, is_at_rest, time: waited } = *wait;
        let mut work = before_sync;
        work += EngineWork::within(sync_cpu, sync_time);
        work += after_sync;
        let whole = before_sync.time + sync_time + after_sync.time;
        assert!(work.time <= whole, "work is part of the time");
        assert!(work.cpu >= after_sync.cpu, "work is summed up");
        let deferred = Some(Deferred { work, is_at_rest });
        Self { time: sync_time + after_sync.time, deferred, waited }
    }
}

/// The work that a phase has left for the time after its clock.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Deferred {
    /// The work until the engine was at rest, or until the wait ended.
    pub(super) work: EngineWork,
    /// Whether the engine was at rest when the wait ended.
    pub(super) is_at_rest: bool,
}

/// Measures the work of all threads but the calling one, which works for the harness meanwhile.
pub(super) struct WorkMeter {
    begun: Instant,
    cpu: Duration,
}

impl EngineWork {
    /// Work of `cpu` in a stretch of `wall`. Threads that worked at the same time worked for no longer than that; the rest
    /// of the stretch was a wait for the disk or for the harness.
    fn within(cpu: Duration, wall: Duration) -> Self {
        let work = Self { cpu, time: cpu.min(wall) };
        debug_assert!(
            work.time <= wall && work.time <= cpu,
            "work takes no longer than its stretch"
        );
        work
    }
}

impl AddAssign for EngineWork {
    fn add_assign(&mut self, other: Self) {
        self.cpu += other.cpu;
        self.time += other.time;
    }
}

impl WorkMeter {
    /// Begins to count.
    pub(super) fn begin() -> Self {
        Self { begun: Instant::now(), cpu: others_cpu() }
    }

    /// The work since the begin.
    pub(super) fn so_far(&self) -> EngineWork {
        EngineWork::within(others_cpu().saturating_sub(self.cpu), self.begun.elapsed())
    }
}

fn others_cpu() -> Duration {
    process_counters::process_cpu().saturating_sub(process_counters::thread_cpu())
}

/// Syncs `engine`. After a phase that wrote for `phase`, also waits until it is at rest. The threads of `harness` ran beside
/// the calling one before the engine was opened; `before_sync` is work from before this call.
pub(super) fn settle(
    engine: &dyn Kv,
    phase: Option<Duration>,
    harness: &OtherThreads,
    before_sync: EngineWork,
) -> Outcome<Settled> {
    let (begun, cpu) = (Instant::now(), process_counters::process_cpu());
    engine.sync()?;
    let time = begun.elapsed();
    let Some(phase) = phase else { return Ok(Settled { time, ..Settled::default() }) };
    // The calling thread works for the engine here.
    let cpu = process_counters::process_cpu().saturating_sub(cpu);
    let wait = wait_for_rest(phase.clamp(LEAST_WAIT, LONGEST_WAIT), harness);
    Ok(Settled::after(before_sync, (cpu, time), &wait))
}

/// A wait until the engine is at rest.
struct Wait {
    /// The work of the engine until then.
    work: EngineWork,
    /// Whether it is at rest.
    is_at_rest: bool,
    /// How long it took.
    time: Duration,
}

/// Waits until the engine is at rest, for `longest` at most.
fn wait_for_rest(longest: Duration, harness: &OtherThreads) -> Wait {
    let begun = Instant::now();
    let mut work = EngineWork::default();
    let mut threads = engine_threads(harness);
    let is_at_rest = loop {
        // An engine without a thread of its own cannot work.
        if threads.as_ref().is_some_and(OtherThreads::is_empty) {
            break true;
        }
        let (slice_begun, cpu) = (Instant::now(), process_counters::process_cpu());
        std::thread::sleep(SLICE);
        let cpu = process_counters::process_cpu().saturating_sub(cpu);
        let time = slice_begun.elapsed();
        let before = std::mem::replace(&mut threads, engine_threads(harness));
        let waited = threads.as_ref().zip(before).map(|(now, before)| now.waited_since(&before));
        let is_any_busy = threads.as_ref().is_some_and(OtherThreads::is_any_busy);
        let slice = Slice { time, cpu, waited: waited.unwrap_or_default(), is_any_busy };
        if slice.shows_rest() {
            break true;
        }
        work += EngineWork::within(cpu, time);
        if begun.elapsed() >= longest {
            break false;
        }
    };
    Wait { work, is_at_rest, time: begun.elapsed() }
}

/// The threads of the engine: those that are not of `harness`. `None` if the system does not tell.
fn engine_threads(harness: &OtherThreads) -> Option<OtherThreads> {
    OtherThreads::now().map(|threads| threads.not_in(harness))
}

/// The counters of a slice of time.
#[derive(Clone, Copy)]
struct Slice {
    /// How long it took.
    time: Duration,
    /// CPU time of all threads of the process.
    cpu: Duration,
    /// How long the threads of the engine waited for a core, all together.
    waited: Duration,
    /// Whether at its end a thread of the engine runs, is stopped, or waits for a core or the disk.
    is_any_busy: bool,
}

impl Slice {
    /// Whether it shows an engine at rest.
    fn shows_rest(&self) -> bool {
        self.cpu + self.waited < self.time.mul_f64(IDLE_SHARE) && !self.is_any_busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slice of 20 ms, a tenth of which is 2 ms.
    fn slice(cpu_ms: u64, waited_ms: u64, is_any_busy: bool) -> Slice {
        let ms = Duration::from_millis;
        Slice { time: ms(20), cpu: ms(cpu_ms), waited: ms(waited_ms), is_any_busy }
    }

    #[test]
    fn an_engine_is_at_rest_if_it_uses_little_and_none_of_its_threads_waits_for_core_or_disk() {
        assert!(slice(1, 0, false).shows_rest());
        assert!(!slice(2, 0, false).shows_rest() && !slice(1, 0, true).shows_rest());
    }

    #[test]
    fn an_engine_that_waited_for_a_core_is_not_at_rest_though_it_sleeps_when_the_slice_ends() {
        // It got 1 ms of a core, and 18 ms of waiting in between; at the end it waits for its next item of work.
        assert!(!slice(1, 18, false).shows_rest());
        // Both count together.
        assert!(!slice(1, 1, false).shows_rest() && slice(0, 1, false).shows_rest());
    }

    #[test]
    fn work_before_the_sync_in_it_and_after_it_is_deferred_and_a_wait_for_the_disk_is_time() {
        let ms = Duration::from_millis;
        let work = |cpu, time| EngineWork { cpu: ms(cpu), time: ms(time) };
        let wait = Wait { work: work(40, 30), is_at_rest: true, time: ms(50) };
        let settled = Settled::after(work(3, 2), (ms(10), ms(100)), &wait);
        let deferred = Deferred { work: work(53, 42), is_at_rest: true };
        assert_eq!((settled.time, settled.deferred), (ms(130), Some(deferred)));
        assert_eq!(settled.waited, ms(50));
    }

    #[test]
    fn threads_that_work_at_once_work_for_no_longer_than_the_stretch() {
        let ms = Duration::from_millis;
        assert_eq!(EngineWork::within(ms(30), ms(20)), EngineWork { cpu: ms(30), time: ms(20) });
        assert_eq!(EngineWork::within(ms(5), ms(20)), EngineWork { cpu: ms(5), time: ms(5) });
    }
}
