//! An engine in its world, taken through a script beside the oracle. Any error here is a broken invariant.

use std::sync::Arc;
use std::time::Duration;

use kv::{Cursor, Durability, Error, Kv, SequenceNumber, UnixMillis, WriteBatch};

use crate::observe::{describe, observe};
use crate::opening::{failed, open};
use crate::oracle::History;
use crate::random::Random;
use crate::script::{Script, Step, batch_of};
use crate::stepper::Stepper;
use crate::subject::{Opened, Subject};
use crate::universe;
use crate::walk;
use crate::world::World;

mod ends;

/// A running script.
pub(crate) struct EngineRun<'s> {
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

impl<'s> EngineRun<'s> {
    /// Opens the engine of `subject` in `world`, where there is no store yet. `keys` are the keys that are looked for.
    pub(crate) fn start(
        subject: &'s dyn Subject,
        option_set: usize,
        world: World,
        keys: Vec<u8>,
    ) -> Result<Self, String> {
        Self::resume(subject, option_set, world, keys, History::new(), (0, 0))
    }

    /// Opens a store that must hold the content after a batch of `history` between `lo` and `hi`.
    pub(crate) fn resume(
        subject: &'s dyn Subject,
        option_set: usize,
        world: World,
        keys: Vec<u8>,
        history: History,
        (lo, hi): (usize, usize),
    ) -> Result<Self, String> {
        assert!(lo <= hi && hi <= history.issued(), "batches {lo} to {hi} were begun");
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
        assert!(lo <= j && j <= hi, "batch {j} is between the bounds");
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
        assert_eq!(j, self.history.issued(), "a batch that was begun is the newest");
        let sequence = self.write_patiently(batch, durability).map_err(failed("write"))?;
        self.history.acknowledge(j, sequence)?;
        self.promise(durability);
        batch.ops().try_for_each(|op| self.check_get(op.key()))
    }

    /// A stalled writer is one that waits for background work, which only the suite runs.
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
        debug_assert!(self.history.synced <= issued, "only batches that were begun are promised");
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
            assert!(held.j <= self.history.issued(), "a view shows a batch that was begun");
            let model = self.history.model(held.j);
            walk::check_frozen(held.views, held.snapshot, model, held.now, &self.keys)
                .map_err(|what| format!("a view taken after batch {}: {what}", held.j))?;
        }
        Ok(())
    }
}
