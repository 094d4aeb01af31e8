//! Handles that are dropped or closed while a background job runs.
//!
//! The job is stopped in the middle of a call to the file system, on a thread pool and a simulated disk. So nothing here
//! depends on luck.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use durable::{Clock, Env, Inject, ManualClock, OpKind, Plan, SeededEntropy, SimFs, ThreadPool};
use kv::{Durability, Error, KeyRange, Kv, UnixMillis};

/// Opens an engine in a directory, and creates the store if there is none.
type Open = dyn Fn(&Env, &Path) -> kv::Result<Arc<dyn Kv>>;

/// An engine with a job that can be stopped.
pub struct StoppedJob<'j> {
    /// Opens the engine in a directory, and creates the store if there is none.
    pub open: &'j Open,
    /// The job writes to a file with a name that ends like this, and nobody else does.
    pub writes_to: &'static str,
    /// After so many puts of 100 bytes the job runs, and no put waits for it.
    pub puts: u32,
}

/// A disk on which the job waits, and how to know that it does and to let it go on.
struct Stop {
    disk: Inject,
    is_stopped: Receiver<()>,
    release: Sender<()>,
}

/// A clock of manual time that drops a sender when somebody begins to wait. With the sender of [`stop_one`], the thread that
/// is stopped goes on then.
#[derive(Debug)]
pub struct ReleasingClock {
    clock: ManualClock,
    release: Mutex<Option<Sender<()>>>,
}

impl ReleasingClock {
    /// A clock that drops `release` at the first wait.
    pub fn new(release: Sender<()>) -> Self {
        Self { clock: ManualClock::new(), release: Mutex::new(Some(release)) }
    }
}

impl Clock for ReleasingClock {
    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    fn sleep(&self, _: Duration) {
        drop(self.release.lock().unwrap_or_else(PoisonError::into_inner).take());
        std::thread::yield_now();
    }
}

/// An action that stops the first thread that runs it, how to know that it has, and a sender: when that is dropped, the
/// thread goes on.
pub fn stop_one() -> (impl Fn() + Send + Sync + 'static, Receiver<()>, Sender<()>) {
    let ((tell, is_stopped), (release, wait)) = (channel(), channel::<()>());
    let stop = Mutex::new(Some((tell, wait)));
    let act = move || {
        let first = stop.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((tell, wait)) = first {
            // Both fail when the other side is gone: then the thread goes on.
            tell.send(()).ok();
            wait.recv().ok();
        }
    };
    (act, is_stopped, release)
}

impl StoppedJob<'_> {
    /// The handle is dropped while the job runs. A second opening of the store in this process is refused before, and waits
    /// for the job afterwards. `dir` must be a name of its own in the process, because dropped stores are known by their
    /// path.
    ///
    /// # Errors
    /// What went otherwise.
    pub fn a_dropped_store_opens_again(&self, dir: &Path) -> Result<(), String> {
        let Stop { disk, is_stopped, release } = self.stop();
        let env = env(disk, Arc::new(ReleasingClock::new(release)));
        let engine = self.open(&env, dir)?;
        self.fill(&*engine)?;
        is_stopped.recv().map_err(|_| "the job has not run")?;
        match (self.open)(&env, dir) {
            Err(Error::Locked { .. }) => {}
            other => return Err(format!("the first handle is in use: {:?}", other.map(drop))),
        }
        drop(engine);
        let engine = self.open(&env, dir)?;
        self.check(&*engine)?;
        engine.close().map_err(|error| format!("the close: {error}"))
    }

    /// A close waits for the job that runs. Returns the environment with the closed store.
    ///
    /// # Errors
    /// What went otherwise.
    pub fn a_close_waits_for_the_job(&self, dir: &Path) -> Result<Env, String> {
        let Stop { disk, is_stopped, release } = self.stop();
        let env = env(disk, Arc::new(ManualClock::new()));
        let engine = self.open(&env, dir)?;
        self.fill(&*engine)?;
        is_stopped.recv().map_err(|_| "the job has not run")?;
        let closing = Arc::clone(&engine);
        let closer = std::thread::spawn(move || closing.close());
        while engine.get(b"").is_ok() {
            std::thread::yield_now();
        }
        if closer.is_finished() {
            return Err("the close did not wait".into());
        }
        drop(release);
        let closed = closer.join().map_err(|_| "the close panicked")?;
        closed.map_err(|error| format!("the close: {error}"))?;
        Ok(env)
    }

    fn stop(&self) -> Stop {
        let disk = Inject::over_sim(SimFs::new(), Plan::none());
        let (stop, is_stopped, release) = stop_one();
        let writes_to = self.writes_to;
        disk.on_call(Arc::new(move |call| {
            if call.kind == OpKind::Write && call.path.to_string_lossy().ends_with(writes_to) {
                stop();
            }
        }));
        Stop { disk, is_stopped, release }
    }

    fn open(&self, env: &Env, dir: &Path) -> Result<Arc<dyn Kv>, String> {
        (self.open)(env, dir).map_err(|error| format!("the opening: {error}"))
    }

    fn fill(&self, engine: &dyn Kv) -> Result<(), String> {
        (0..self.puts).try_for_each(|number| {
            let put = engine.put(&number.to_be_bytes(), &[7; 100], Durability::Buffered);
            put.map(drop).map_err(|error| format!("put {number}: {error}"))
        })
    }

    /// Checks that `engine`, which was opened again, has every put.
    ///
    /// # Errors
    /// The first key that is lost or has another value.
    pub fn check(&self, engine: &dyn Kv) -> Result<(), String> {
        let mut cursor = engine.scan(KeyRange::all()).map_err(|error| error.to_string())?;
        for number in 0..self.puts {
            let found = cursor.next().map_err(|error| error.to_string())?;
            if !found || cursor.key() != number.to_be_bytes() {
                return Err(format!("key {number} is lost"));
            }
            let value = cursor.value().map_err(|error| error.to_string())?;
            if value[..] != [7; 100] {
                return Err(format!("key {number} has another value"));
            }
        }
        Ok(())
    }
}

/// An environment on `disk` with one background thread.
fn env(disk: Inject, clock: Arc<dyn Clock>) -> Env {
    Env {
        fs: Arc::new(disk),
        executor: Arc::new(ThreadPool::new(1, Arc::clone(&clock))),
        clock,
        entropy: Arc::new(SeededEntropy::new(1)),
    }
}

impl std::fmt::Debug for StoppedJob<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoppedJob").field("writes_to", &self.writes_to).finish_non_exhaustive()
    }
}
