//! An engine in its world, taken through a script beside the oracle. Any error here is a broken law.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use durable::{Env, SimFs};
use kv::{Cursor, Durability, Error, Kv, Op, SequenceNumber, UnixMillis, WriteBatch};

use crate::observe::{describe, observe};
use crate::oracle::History;
use crate::random::Random;
use crate::script::{Script, Step, batch_of};
use crate::stepper::Stepper;
use crate::subject::{Opened, Subject};
use crate::universe;
use crate::walk;
use crate::world::World;

/// How often, and at what pause, a lock is tried that a thread may still hold: ten seconds in all.
const LOCK_TRIES: usize = 1000;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// A running script.
pub(crate) struct Run<'s> {
    subject: &'s dyn Subject,
    option_set: usize,
    world: World,
    opened: Option<Opened>,
    pub(crate) history: History,
    keys: Vec<u8>,
    next_value: u64,
    held: Vec<Held>,
    /// Which of the queued jobs runs next.
    random: Random,
    /// The first batch that a crash took.
    lost: Option<Arc<WriteBatch>>,
}

/// A frozen view and the moment it was taken at.
struct Held {
    views: Vec<Box<dyn Cursor>>,
    snapshot: Option<Box<dyn kv::Snapshot>>,
    j: usize,
    now: UnixMillis,
}

impl<'s> Run<'s> {
    /// Opens the engine of `subject` in `world`, where there is no store yet. `keys` are the keys that are looked for.
    pub(crate) fn start(
        subject: &'s dyn Subject,
        option_set: usize,
        world: World,
        keys: Vec<u8>,
    ) -> Result<Self, String> {
        Self::resume(subject, option_set, world, keys, History::new(), (0, 0))
    }

    /// Goes on with a store that must hold what a batch of `history` between `lo` and `hi` left.
    pub(crate) fn resume(
        subject: &'s dyn Subject,
        option_set: usize,
        world: World,
        keys: Vec<u8>,
        history: History,
        (lo, hi): (usize, usize),
    ) -> Result<Self, String> {
        let opened = open(subject, option_set, &world)?;
        let next_value = history.issued() as u64 * 8;
        let random = Random::new(next_value);
        let (opened, held) = (Some(opened), Vec::new());
        let lost = None;
        let mut run = Self {
            subject,
            option_set,
            world,
            opened,
            history,
            keys,
            next_value,
            held,
            random,
            lost,
        };
        let j = run.compare_all((lo, hi))?;
        run.lost = if j < hi { run.history.batch_after(j) } else { None };
        run.history.resume_from(j);
        Ok(run)
    }

    fn opened(&self) -> &Opened {
        self.opened.as_ref().expect("the engine is open between two steps")
    }

    pub(crate) fn engine(&self) -> &dyn Kv {
        self.opened().engine()
    }

    /// The engine, for other threads.
    pub(crate) fn share(&self) -> Arc<dyn Kv> {
        self.opened().share()
    }

    pub(crate) fn stepper(&self) -> Arc<Stepper> {
        self.world.stepper()
    }

    pub(crate) fn now(&self) -> UnixMillis {
        self.world.now()
    }

    /// All steps of `script`; an `Err` names the step.
    pub(crate) fn steps(&mut self, script: &Script) -> Result<(), String> {
        for (at, step) in script.0.iter().enumerate() {
            self.step(step).map_err(|what| format!("step {at} ({step}): {what}"))?;
        }
        Ok(())
    }

    /// One step.
    pub(crate) fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Write(changes, durability) => {
                let batch = batch_of(changes, self.next_value, self.world.now());
                self.next_value += changes.len() as u64;
                self.write(&batch, *durability)
            }
            Step::Sync => {
                self.engine().sync().map_err(failed("sync"))?;
                self.promise(Durability::Sync);
                Ok(())
            }
            Step::Job => {
                self.world.step_at(self.random.below(4))?;
                self.look()
            }
            Step::Drain => {
                self.world.drain()?;
                self.look()
            }
            Step::Maintain => {
                self.opened().maintain().map_err(failed("maintain"))?;
                self.look()
            }
            Step::Reopen => self.reopen(true),
            Step::Kill => self.reopen(false),
            Step::Tick(ms) => {
                self.world.clock.advance(Duration::from_millis(*ms));
                Ok(())
            }
            Step::Get(key) => self.check_get(universe::key(*key)),
            Step::Walk(seed) => {
                let model = self.history.newest();
                walk::check(self.engine(), model, self.world.now(), *seed, &self.keys)
            }
            Step::Hold => self.hold(),
            Step::Check => self.check_held(),
        }
    }

    /// Reads everything after a piece of background work, which must not change the content, and records that a reader
    /// has seen it.
    fn look(&mut self) -> Result<(), String> {
        let observed = observe(self.engine(), &self.keys)?;
        let issued = self.history.issued();
        let seen = self.history.find(&observed, None, (issued, issued), self.world.now())?;
        self.history.see(seen);
        Ok(())
    }

    fn write(&mut self, batch: &WriteBatch, durability: Durability) -> Result<(), String> {
        let j = self.history.issue(batch, self.effective(durability));
        let sequence = self.write_patiently(batch, durability).map_err(failed("write"))?;
        self.history.acknowledge(j, sequence)?;
        self.promise(durability);
        batch.ops().try_for_each(|op| self.check_get(op.key()))
    }

    /// A stalled writer is one that waits for background work, which nobody but us runs.
    fn write_patiently(
        &self,
        batch: &WriteBatch,
        durability: Durability,
    ) -> kv::Result<SequenceNumber> {
        match self.engine().write(batch, durability) {
            Err(Error::Stalled { .. }) => {
                drop(self.world.drain());
                self.engine().write(batch, durability)
            }
            answer => answer,
        }
    }

    /// The class that a write of class `durability` gets: the best that the engine has, if it lacks this one.
    pub(crate) fn effective(&self, durability: Durability) -> Durability {
        durability.min(self.engine().capabilities().durability)
    }

    /// A promise covers all earlier batches.
    fn promise(&mut self, durability: Durability) {
        let durability = self.effective(durability);
        let issued = self.history.issued();
        if durability >= Durability::Buffered {
            self.history.handed_over = issued;
        }
        if durability >= Durability::Sync {
            self.history.synced = issued;
        }
    }

    fn check_get(&self, key: &[u8]) -> Result<(), String> {
        let expected = self.history.newest().get(key, self.world.now());
        let found = self.engine().get(key).map_err(failed("get"))?;
        if found.as_ref() == expected {
            return Ok(());
        }
        let show = |v: Option<&kv::Bytes>| v.map_or("nothing".into(), |v| describe(v));
        let (found, expected) = (show(found.as_ref()), show(expected));
        Err(format!("key {} has {found} instead of {expected}", describe(key)))
    }

    fn hold(&mut self) -> Result<(), String> {
        let opened = self.opened();
        let scan = || opened.engine().scan(kv::KeyRange::all()).map_err(failed("scan"));
        let views = vec![scan()?, scan()?];
        let snapshot = opened.snapshots().map(kv::Snapshots::snapshot).transpose();
        let snapshot = snapshot.map_err(failed("snapshot"))?;
        let (j, now) = (self.history.issued(), self.world.now());
        self.held.push(Held { views, snapshot, j, now });
        Ok(())
    }

    fn check_held(&mut self) -> Result<(), String> {
        for held in std::mem::take(&mut self.held) {
            let model = self.history.model(held.j);
            walk::check_frozen(held.views, held.snapshot, model, held.now, &self.keys)
                .map_err(|what| format!("a view taken after batch {}: {what}", held.j))?;
        }
        Ok(())
    }

    fn reopen(&mut self, clean: bool) -> Result<(), String> {
        if self.engine().capabilities().durability == Durability::None {
            return Ok(());
        }
        let issued = self.history.issued();
        let lo = if clean { issued } else { self.history.handed_over };
        if clean {
            self.close()?;
            self.check_held()?;
        }
        self.held.clear();
        self.opened = None;
        self.world.next_life();
        self.opened = Some(open(self.subject, self.option_set, &self.world)?);
        let j = self.compare_all((lo, issued))?;
        self.history.resume_from(j);
        Ok(())
    }

    /// Closes twice: the second time nothing happens.
    pub(crate) fn close(&mut self) -> Result<(), String> {
        self.opened().check_invariant()?;
        self.engine().close().map_err(failed("close"))?;
        self.engine().close().map_err(failed("a second close"))?;
        self.promise(Durability::Sync);
        Ok(())
    }

    /// Reads everything; it must be what one of the batches in `between` left.
    pub(crate) fn compare_all(&mut self, between: (usize, usize)) -> Result<usize, String> {
        let observed = observe(self.engine(), &self.keys)?;
        let recovered = self.opened().recovered();
        let j = self.history.find(&observed, recovered, between, self.world.now())?;
        self.opened().check_invariant()?;
        Ok(j)
    }

    /// Reads everything; it must be the newest model.
    pub(crate) fn compare_newest(&self) -> Result<(), String> {
        let observed = observe(self.engine(), &self.keys)?;
        let issued = self.history.issued();
        self.history.find(&observed, None, (issued, issued), self.world.now())?;
        self.opened().check_invariant()
    }

    /// Every engine can write again, whatever happened to it before.
    pub(crate) fn smoke(&mut self) -> Result<(), String> {
        let key = universe::KEYS as u8 - 1;
        let text = format!("p{key}.9/s p{key}.30/b sync get.{key}");
        let script: Script = text.parse().expect("the smoke script is well-formed");
        self.steps(&script).map_err(|what| format!("afterwards, {what}"))
    }

    /// The caller of the batch that the crash took tries again, with other values of the same size. What is left of the
    /// first attempt, and of whatever came after it, must not come back behind the second.
    pub(crate) fn retry_what_was_lost(&mut self) -> Result<(), String> {
        let Some(lost) = self.lost.take() else { return Ok(()) };
        let mut again = WriteBatch::new();
        for range in lost.delete_ranges() {
            again.delete_range(range.clone());
        }
        for op in lost.ops() {
            let other: Vec<u8> = op.value().iter().map(|byte| !byte).collect();
            match op {
                Op::Put { key, .. } => again.put(key, &other),
                Op::PutExpiring { key, expires_at, .. } => {
                    again.put_expiring(key, &other, expires_at)
                }
                Op::Delete { key } => again.delete(key),
            };
        }
        let retried = self.write(&again, Durability::Buffered);
        let killed = retried.and_then(|()| self.reopen(false));
        killed.map_err(|what| format!("after a retry of the lost batch, {what}"))
    }

    /// The subject's own upkeep, a clean close and an opening, none of which change what is read.
    pub(crate) fn smoke_deeply(&mut self) -> Result<(), String> {
        let script: Script = "maintain drain reopen".parse().expect("the script is well-formed");
        self.steps(&script).map_err(|what| format!("afterwards, {what}"))
    }
}

/// What the engine can do; nothing if it does not even open, which the first history then reports.
pub(crate) fn capabilities(subject: &dyn Subject, option_set: usize) -> Option<kv::Capabilities> {
    let world = World::on(Arc::new(SimFs::new()), 0);
    let opened = without_panic(|| open(subject, option_set, &world));
    opened.ok().map(|opened| opened.engine().capabilities())
}

/// Opens the engine of `subject`, which must succeed.
pub(crate) fn open(
    subject: &dyn Subject,
    option_set: usize,
    world: &World,
) -> Result<Opened, String> {
    subject.open(&world.env, &world.dir, option_set).map_err(failed("open"))
}

/// Opens a store whose last handle is gone. A job that runs in another thread keeps the engine, and so the lock, until
/// it ends.
pub(crate) fn open_unlocked(
    subject: &dyn Subject,
    option_set: usize,
    env: &Env,
    dir: &Path,
) -> Result<Opened, String> {
    for _ in 0..LOCK_TRIES {
        match subject.open(env, dir, option_set) {
            Err(Error::Locked { .. }) => std::thread::sleep(LOCK_PAUSE),
            opened => return opened.map_err(failed("open")),
        }
    }
    subject.open(env, dir, option_set).map_err(failed("open"))
}

fn failed(call: &'static str) -> impl Fn(Error) -> String {
    move |error| format!("{call} failed: {error}")
}

/// Runs `test`; a panic is a broken law like any other.
pub(crate) fn without_panic<T>(test: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(test)).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string));
        Err(format!("the engine panicked: {}", text.unwrap_or_default()))
    })
}
