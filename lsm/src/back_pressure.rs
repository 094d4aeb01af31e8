//! Back-pressure: writers are held back before memtables, runs or debt outgrow the speed of flushes and compactions.
//!
//! There are two throttles ([`durable::throttle`]), because two kinds of work drain the store:
//!
//! - **Flushes.** The level is the share of their limit that the sealed memtables have. From 85 % on writers are slowed to the
//!   measured speed of flushes. They do not wait here: at the limit a writer flushes a memtable itself (`flush`).
//! - **Compactions.** The level is the greater of two shares: the runs of level 0, and the debt of compaction. From 85 % on
//!   writers are slowed to the measured speed at which compactions take bytes out of level 0. At 100 % they wait.
//!
//! The runs are counted when a flush or a compaction is installed. The debt is measured when the next compaction is picked.
//!
//! A writer that waits requests a look for a compaction, and is woken by jobs, never by another write. It waits on as long as
//! compactions make progress. The write returns `Stalled` if there is none for
//! [`LONGEST_WAIT`](durable::throttle::LONGEST_WAIT), or if compactions have *stopped*: one has failed for another reason than
//! damage, or a look that began after the wait found nothing to do for a level 0 at its limit. In the second case a damaged
//! table is in the way, which compactions leave alone until the store is opened again. Then the write returns that
//! `Corruption` instead of `Stalled`.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use durable::Env;
use durable::sync::Mutex;
use durable::sync::atomic::AtomicU64;
use durable::throttle::{Admission, HARD_LIMIT, Throttle};
use kv::{Error, Result};

use crate::background::{Background, Task};
use crate::events::{Events, StallEvent};
use crate::lock_order::Lock;
use crate::store::Store;
use crate::version::VersionSet;

/// The limits at which writers wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of sealed memtables.
    pub(crate) sealed_bytes: u64,
    /// Runs of level 0, and bytes of debt. `None`: nothing is compacted in the background.
    pub(crate) compaction: Option<CompactionLimits>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct CompactionLimits {
    pub(crate) level_0_runs: u64,
    pub(crate) debt_bytes: u64,
}

/// What a writer waits for.
const UNMERGED: &str = "runs that compaction has not merged yet";

/// Holds writers back.
#[derive(Debug)]
pub(crate) struct BackPressure {
    store: Arc<Store>,
    background: Arc<Background>,
    events: Arc<Events>,
    limits: Limits,
    flushes: Throttle,
    compactions: Throttle,
    /// Held while something is measured, so that an older measurement does not take the place of a newer one.
    shares: Mutex<Shares>,
    /// Steps of compactions that were taken.
    steps: AtomicU64,
    looks: Looks,
    /// The first damaged table that a compaction has found. No compaction takes it before the next opening.
    damage: OnceLock<Error>,
}

/// Guarded by `BackPressure::shares`: the shares of their limits that level 0 and the debt have, in thousandths.
#[derive(Debug, Default)]
struct Shares {
    level_0_runs: u64,
    debt: u64,
}

/// Which looks for a compaction have begun, and which have found nothing to do.
#[derive(Debug, Default)]
struct Looks {
    begun: AtomicU64,
    /// The number of the newest look that found nothing although level 0 was at its limit.
    newest_idle: AtomicU64,
    failures: AtomicU64,
}

impl Shares {
    fn greater(&self) -> u64 {
        self.level_0_runs.max(self.debt)
    }
}

/// `part` in thousandths of `limit`.
fn share(part: u64, limit: u64) -> u64 {
    let share = u128::from(part) * u128::from(HARD_LIMIT) / u128::from(limit.max(1));
    u64::try_from(share).unwrap_or(u64::MAX)
}

impl BackPressure {
    pub(crate) fn new(
        (store, background): (Arc<Store>, Arc<Background>),
        events: Arc<Events>,
        limits: Limits,
    ) -> Self {
        Self {
            store,
            background,
            events,
            limits,
            flushes: Throttle::new(),
            compactions: Throttle::new(),
            shares: Mutex::ranked(Lock::Pressure.rank(), Shares::default()),
            steps: AtomicU64::new(0),
            looks: Looks::default(),
            damage: OnceLock::new(),
        }
    }

    /// Measures what readers see in `versions`: the sealed memtables and the runs of level 0.
    pub(crate) fn measure(&self, versions: &VersionSet) {
        let mut shares = self.shares.lock();
        // Under the lock, so that a later measurement is of this super version or a later one.
        let view = versions.load_full();
        let sealed = view.sealed.iter().map(|sealed| sealed.memtable.bytes()).sum();
        // At the limit a writer does not wait, it flushes.
        self.flushes.set_level(share(sealed, self.limits.sealed_bytes).min(HARD_LIMIT - 1));
        if let Some(limits) = self.limits.compaction {
            let runs = view.version.level_0_runs() as u64;
            shares.level_0_runs = share(runs, limits.level_0_runs);
            self.compactions.set_level(shares.greater());
        }
    }

    /// Compactions have to write so many bytes before the tree is at rest.
    pub(crate) fn measure_debt(&self, bytes: u64) {
        if let Some(limits) = self.limits.compaction {
            let mut shares = self.shares.lock();
            shares.debt = share(bytes, limits.debt_bytes);
            self.compactions.set_level(shares.greater());
        }
    }

    /// A flush has written a memtable of `bytes` in `elapsed`.
    pub(crate) fn flushed(&self, bytes: u64, elapsed: Duration) {
        self.flushes.drained(bytes, elapsed);
    }

    /// A compaction has taken `bytes` out of level 0 in `elapsed`.
    pub(crate) fn compacted(&self, bytes: u64, elapsed: Duration) {
        self.compactions.drained(bytes, elapsed);
    }

    /// A step of a compaction was taken.
    pub(crate) fn progressed(&self) {
        self.steps.fetch_add(1, Ordering::AcqRel);
    }

    /// A look for a compaction begins. Returns its number.
    pub(crate) fn begin_look(&self) -> u64 {
        self.looks.begun.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Look `number` has found nothing to do, and no compaction is in flight. Level 0 had so many `level_0_runs`. Below their
    /// limit that is no reason to refuse a writer: runs that came since then are for the next look.
    pub(crate) fn found_nothing(&self, number: u64, level_0_runs: usize) {
        debug_assert!(number <= self.looks.begun.load(Ordering::Acquire), "the look has begun");
        // An estimate that nothing can lower must hold nobody back.
        self.measure_debt(0);
        let limits = self.limits.compaction;
        if limits.is_some_and(|limits| level_0_runs as u64 >= limits.level_0_runs) {
            self.looks.newest_idle.fetch_max(number, Ordering::AcqRel);
        }
    }

    /// A compaction has failed with `error`. After damage the next look shows whether compactions can go on without the table.
    pub(crate) fn compaction_failed(&self, error: &Error) {
        if error.is_corruption() {
            // Of several tables the first one is reported.
            let _first: &Error = self.damage.get_or_init(|| error.clone());
        } else {
            self.looks.failures.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// The damage of the first damaged table that a compaction has found. No compaction takes that table before the next
    /// opening.
    pub(crate) fn damage(&self) -> Option<Error> {
        self.damage.get().cloned()
    }

    /// The higher of the two levels, in thousandths of its limit.
    pub(crate) fn level(&self) -> u64 {
        self.flushes.level().max(self.compactions.level())
    }

    /// Writes that were slowed.
    pub(crate) fn slowed(&self) -> u64 {
        self.flushes.slowed() + self.compactions.slowed()
    }

    /// Writes that waited for a compaction.
    pub(crate) fn stalled(&self) -> u64 {
        self.compactions.stalled()
    }

    /// Lets a write of `bytes` in: at once, after a pause, or after a compaction, by the pressure. The caller holds no lock.
    ///
    /// # Errors
    /// `Stalled`; `Corruption` when a damaged table stops compactions; `Closed` and `Poisoned`, if that happens during the
    /// wait.
    #[inline]
    pub(crate) fn throttle(&self, bytes: u64) -> Result<()> {
        if let Admission::Pause(pause) = self.flushes.admit(bytes) {
            self.store.env.clock.sleep(pause);
        }
        match self.compactions.admit(bytes) {
            Admission::Free => Ok(()),
            Admission::Pause(pause) => {
                self.store.env.clock.sleep(pause);
                Ok(())
            }
            Admission::Wait => self.stall(),
        }
    }

    #[cold]
    fn stall(&self) -> Result<()> {
        let (clock, stall) = (&self.store.env.clock, StallEvent { signal: UNMERGED });
        let begun = clock.elapsed();
        self.events.tell(|listener| listener.stall_begun(&stall));
        let waited = self.wait_for_compactions();
        let took = clock.elapsed().saturating_sub(begun);
        self.events.tell(|listener| listener.stall_ended(&stall, took));
        waited
    }

    fn wait_for_compactions(&self) -> Result<()> {
        let Env { clock, executor, .. } = &self.store.env;
        // Before the request: the look that is requested, or one that was queued already, has a higher number.
        let begun = self.looks.begun.load(Ordering::Acquire);
        let failures = self.looks.failures.load(Ordering::Acquire);
        let has_no_plan = || self.looks.newest_idle.load(Ordering::Acquire) > begun;
        let has_failed = || self.looks.failures.load(Ordering::Acquire) > failures;
        let has_stopped = || has_no_plan() || has_failed();
        let gives_up =
            || self.background.is_closed() || self.store.check().is_err() || has_stopped();
        self.background.request(Task::PickCompaction);
        loop {
            let steps = self.steps.load(Ordering::Acquire);
            let is_low = self.compactions.wait(&**executor, &**clock, &gives_up);
            self.background.check_open()?;
            self.store.check()?;
            if is_low {
                return Ok(());
            }
            if has_stopped() || self.steps.load(Ordering::Acquire) == steps {
                return Err(self.obstacle(has_no_plan()));
            }
        }
    }

    /// Why a writer is refused. With level 0 at its limit there is a plan unless a damaged table is in the way.
    fn obstacle(&self, has_no_plan: bool) -> Error {
        let stalled = Error::Stalled { signal: UNMERGED };
        self.damage().filter(|_| has_no_plan).unwrap_or(stalled)
    }
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn a_share_is_in_thousandths_and_does_not_overflow() {
        assert_eq!((share(0, 20), share(17, 20), share(20, 20)), (0, 850, 1000));
        assert_eq!(share(u64::MAX, 1), u64::MAX);
        assert_eq!(share(5, 0), 5000);
    }
}
