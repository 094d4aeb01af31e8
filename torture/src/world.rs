//! The environment that a suite opens an engine in: a disk, a stepped executor, a clock and randomness, all from a seed.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use durable::{Clock, Env, Fs, ManualClock, OsFs, SeededEntropy, SimFs, ThreadPool};
use kv::UnixMillis;

use crate::random::sub_seed;
use crate::stepper::Stepper;

/// The time of day at which every run begins; far enough from zero for a clock to jump back.
pub(crate) const BEGINNING: UnixMillis = UnixMillis(1_700_000_000_000);

/// More jobs than any script of ours can leave behind: an engine that needs them all works for ever.
const MOST_JOBS: usize = 10_000;

/// Where the store lies on the simulated disk.
pub(crate) const SIM_DIR: &str = "/store";

/// An environment that a suite controls.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) env: Env,
    pub(crate) dir: PathBuf,
    pub(crate) clock: Arc<ManualClock>,
    stepper: Arc<Stepper>,
    seed: u64,
    /// The processes so far. Each draws other random numbers, as real ones do.
    lives: u64,
    /// Removes the directory on the real disk in the end.
    directory: Option<tempfile::TempDir>,
}

impl World {
    /// A world with its store on `fs`, at the time `now`.
    pub(crate) fn at(fs: Arc<dyn Fs>, seed: u64, now: UnixMillis) -> Self {
        Self::build(fs, SIM_DIR.into(), seed, now, None)
    }

    /// A world with its store on `fs`, at the usual time.
    pub(crate) fn on(fs: Arc<dyn Fs>, seed: u64) -> Self {
        Self::at(fs, seed, BEGINNING)
    }

    /// A world with its store in a new directory on the real disk.
    pub(crate) fn real(seed: u64) -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(|e| format!("no temporary directory: {e}"))?;
        let dir = directory.path().join("store");
        Ok(Self::build(Arc::new(OsFs::default()), dir, seed, BEGINNING, Some(directory)))
    }

    fn build(
        fs: Arc<dyn Fs>,
        dir: PathBuf,
        seed: u64,
        now: UnixMillis,
        directory: Option<tempfile::TempDir>,
    ) -> Self {
        let clock = Arc::new(ManualClock::new());
        clock.set_now(now);
        let stepper = Arc::new(Stepper::new(Arc::clone(&clock) as _));
        let env = Env {
            fs,
            clock: Arc::clone(&clock) as Arc<_>,
            executor: Arc::clone(&stepper) as Arc<_>,
            entropy: Arc::new(SeededEntropy::new(seed)),
        };
        Self { env, dir, clock, stepper, seed, lives: 0, directory }
    }

    /// Lets the process die, as far as it lives in here: queued jobs are forgotten, and the next process
    /// starts with other random numbers.
    pub(crate) fn next_life(&mut self) {
        self.stepper.forget();
        self.lives += 1;
        let seed = sub_seed(self.seed, self.lives);
        self.env.entropy = Arc::new(SeededEntropy::new(seed));
        self.stepper = Arc::new(self.stepper.successor());
        debug_assert_ne!(seed, self.seed, "each life has random numbers of its own");
        self.env.executor = Arc::clone(&self.stepper) as Arc<_>;
    }

    /// Runs background jobs in threads, and lets a caller that sleeps really wait for them.
    pub(crate) fn start_threads(&mut self) {
        let clock: Arc<dyn Clock> = Arc::new(WaitingClock(Arc::clone(&self.clock)));
        self.env.executor = Arc::new(ThreadPool::new(2, Arc::clone(&clock)));
        self.env.clock = clock;
    }

    /// The queue of background jobs, for other threads.
    pub(crate) fn stepper(&self) -> Arc<Stepper> {
        Arc::clone(&self.stepper)
    }

    /// Runs one background job, one of those that are queued.
    ///
    /// # Errors
    /// A job has panicked.
    pub(crate) fn step_at(&self, place: usize) -> Result<(), String> {
        self.stepper.step_at(place).map(drop)
    }

    /// Runs background jobs until there are none left.
    pub(crate) fn drain(&self) -> Result<(), String> {
        let drained = self.stepper.drain(MOST_JOBS)?;
        drained
            .then_some(())
            .ok_or_else(|| format!("background work goes on after {MOST_JOBS} jobs"))
    }

    /// Whether the store lies on the real disk.
    pub(crate) fn is_real(&self) -> bool {
        self.directory.is_some()
    }

    pub(crate) fn now(&self) -> UnixMillis {
        self.env.clock.now()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stepper.forget();
    }
}

/// A clock that a test sets, and whose sleeps take real time.
#[derive(Debug)]
struct WaitingClock(Arc<ManualClock>);

impl Clock for WaitingClock {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn now(&self) -> UnixMillis {
        self.0.now()
    }

    fn sleep(&self, pause: Duration) {
        std::thread::sleep(pause);
    }
}

/// Which disk a store lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disk {
    Simulated,
    Real,
}

impl Disk {
    pub(crate) fn world(self, seed: u64) -> Result<World, String> {
        match self {
            Self::Simulated => Ok(World::on(Arc::new(SimFs::new()), seed)),
            Self::Real => World::real(seed),
        }
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Simulated => "simulated",
            Self::Real => "real",
        })
    }
}

impl FromStr for Disk {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "simulated" => Ok(Self::Simulated),
            "real" => Ok(Self::Real),
            _ => Err(()),
        }
    }
}
