//! A store on a disk that it fills, and the calls that must go on working.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use durable::{Fs, SimFs, is_disk_full};
use kv::{Durability, Error, Kv, Op, WriteBatch};

use super::work::{WORK_KEY, check_orphans, work, work_batch};
use crate::observe::observe;
use crate::opening::failed;
use crate::possible::{PossibleContents, WriteOutcome};
use crate::script::{Script, Step, batch_of};
use crate::subject::{Opened, Subject};
use crate::universe;
use crate::world::{SIM_DIR, World};

/// So many keys are deleted on the full disk.
const DELETES: usize = 4;

/// How the store is opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    pub(super) option_set: usize,
    /// With space reserved for a full disk.
    pub(super) reserves: bool,
}

impl Setup {
    /// Opens the store of `subject`. `None`: the subject reserves no space.
    pub(super) fn open(self, subject: &dyn Subject, world: &World) -> Option<kv::Result<Opened>> {
        if self.reserves {
            subject.open_reserving(&world.env, &world.dir, self.option_set)
        } else {
            Some(subject.open(&world.env, &world.dir, self.option_set))
        }
    }
}

/// The promise after one call.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    /// So many operations had been recorded.
    pub(super) ops: usize,
    /// The bytes that all files together may have, if they are limited.
    pub(super) disk_bytes: Option<u64>,
    pub(super) possible: PossibleContents,
}

/// A store on a limited disk.
pub(super) struct Tenant<'s> {
    pub(super) subject: &'s dyn Subject,
    pub(super) setup: Setup,
    pub(super) sim: SimFs,
    /// The bytes that all files together may have, if they are limited.
    disk_bytes: Option<u64>,
    pub(super) keys: Vec<u8>,
    /// One for each call since the refusal, and the first for the refusal itself.
    pub(super) marks: Vec<Mark>,
    pub(super) world: World,
    opened: Option<Opened>,
    possible: PossibleContents,
    next_value: u64,
}

impl<'s> Tenant<'s> {
    /// Opens a new store on a disk with room, and limits the disk to `space` free bytes. `None`: the subject does not
    /// reserve any space.
    pub(super) fn move_in(
        subject: &'s dyn Subject,
        setup: Setup,
        script: &Script,
        space: u64,
    ) -> Result<Option<Self>, String> {
        let sim = SimFs::new();
        let world = World::on(Arc::new(sim.clone()), 1);
        let Some(opened) = setup.open(subject, &world) else { return Ok(None) };
        let opened = Some(opened.map_err(failed("open"))?);
        sim.set_free_space(Some(space));
        let disk_bytes = Some(used_bytes(&sim) + space);
        assert_eq!(free_bytes(&sim), Some(space), "the disk is limited");
        let mut keys = script.keys();
        keys.push(WORK_KEY);
        keys.dedup();
        let possible = PossibleContents::default();
        Ok(Some(Self {
            subject,
            setup,
            sim,
            disk_bytes,
            keys,
            marks: Vec::new(),
            world,
            opened,
            possible,
            next_value: 0,
        }))
    }

    /// Runs `script` until a write is refused. `false`: none was.
    pub(super) fn fill(&mut self, script: &Script) -> Result<bool, String> {
        for (at, step) in script.0.iter().enumerate() {
            let refused = self.step(step).map_err(|what| format!("step {at} ({step}): {what}"))?;
            if refused {
                self.mark();
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// One step. `true`: it was a write, and there was no space for it.
    fn step(&mut self, step: &Step) -> Result<bool, String> {
        match step {
            Step::Write(changes, durability) => {
                let batch = batch_of(changes, self.next_value, self.world.now());
                self.next_value += changes.len() as u64;
                return self.write(batch, *durability);
            }
            Step::Sync => self.sync()?,
            Step::Job => self.world.step_at(0)?,
            Step::Drain => self.world.drain()?,
            // It may find no space in the middle of a script: then nothing has changed.
            Step::Maintain => drop(self.maintain()?),
            Step::Tick(ms) => self.world.clock.advance(Duration::from_millis(*ms)),
            Step::Reopen | Step::Kill => return Err("this suite has no such step".into()),
            Step::Get(_) | Step::Walk(_) | Step::Hold | Step::Check => {}
        }
        Ok(false)
    }

    /// Writes `batch`. `true`: it was refused, because the disk is full.
    fn write(&mut self, batch: WriteBatch, durability: Durability) -> Result<bool, String> {
        let mut answer = self.engine().write(&batch, durability);
        if matches!(answer, Err(Error::Stalled { .. })) {
            self.world.drain()?;
            answer = self.engine().write(&batch, durability);
        }
        match answer {
            Ok(_) => {
                self.possible.issue(batch, WriteOutcome::Acknowledged);
                self.promise(durability);
                Ok(false)
            }
            Err(Error::Stalled { .. }) => Ok(false),
            Err(error) if is_disk_full(&error) => {
                if self.setup.reserves && batch.ops().all(|op| matches!(op, Op::Delete { .. })) {
                    return Err(format!("the reserved space did not serve a delete: {error}"));
                }
                self.possible.issue(batch, WriteOutcome::Indeterminate);
                Ok(true)
            }
            Err(error) => Err(format!("a write answered a full disk with: {error}")),
        }
    }

    fn promise(&mut self, durability: Durability) {
        if durability >= Durability::Buffered {
            self.possible.handed_over = self.possible.len();
        }
        if durability >= Durability::Sync {
            self.possible.synced = self.possible.len();
        }
        assert!(self.possible.synced <= self.possible.handed_over, "a sync hands over as well");
    }

    fn sync(&mut self) -> Result<(), String> {
        self.engine().sync().map_err(failed("sync"))?;
        self.promise(Durability::Sync);
        Ok(())
    }

    /// The subject's upkeep. `false`: the disk was too full for it.
    fn maintain(&self) -> Result<bool, String> {
        match self.opened().maintain() {
            Ok(()) => Ok(true),
            Err(error) if is_disk_full(&error) => Ok(false),
            Err(error) => Err(format!("maintain answered a full disk with: {error}")),
        }
    }

    /// Reads, syncs, deletes and maintains, while there is no space.
    pub(super) fn live_on_full_disk(&mut self) -> Result<(), String> {
        let on_full_disk = |what| format!("on the full disk, {what}");
        self.check_reads().map_err(on_full_disk)?;
        self.sync().map_err(on_full_disk)?;
        self.mark();
        for key in self.keys.clone().into_iter().take(DELETES) {
            let mut batch = WriteBatch::new();
            batch.delete(universe::key(key));
            self.write(batch, Durability::Buffered).map_err(on_full_disk)?;
            self.mark();
        }
        let maintained = self.maintain().map_err(on_full_disk)?;
        if self.setup.reserves && !maintained {
            return Err("the reserved space did not serve the upkeep".into());
        }
        self.mark();
        self.world.drain()?;
        self.mark();
        self.check_reads().map_err(on_full_disk)
    }

    /// The same handle goes on once there is space.
    pub(super) fn get_space_again(&mut self) -> Result<(), String> {
        let with_space = |what| format!("after the disk had space again, {what}");
        self.sim.set_free_space(None);
        self.disk_bytes = None;
        self.mark();
        for durability in [Durability::Buffered, Durability::Sync] {
            let refused = self.write(work_batch(), durability).map_err(with_space)?;
            if refused {
                return Err("a write finds no space on a disk that has space again".into());
            }
            self.mark();
        }
        work(self.opened(), &self.world).map_err(with_space)?;
        self.note_work();
        self.mark();
        self.check_reads().map_err(with_space)
    }

    /// Closes the store and opens it again: everything is there, and nothing else.
    pub(super) fn move_out(mut self) -> Result<(), String> {
        self.engine().close().map_err(failed("close"))?;
        self.opened = None;
        self.world.next_life();
        let opened = self.setup.open(self.subject, &self.world).ok_or("it reserved space")?;
        let opened = opened.map_err(failed("open"))?;
        let observed = observe(opened.engine(), &self.keys)?;
        self.possible.find(&observed, self.possible.len(), self.world.now())?;
        check_orphans(&opened, &self.world)
    }

    /// Records the writes of [`work`].
    fn note_work(&mut self) {
        self.possible.issue(work_batch(), WriteOutcome::Acknowledged);
        debug_assert!(self.keys.contains(&WORK_KEY), "the key of the work is looked for");
        self.promise(Durability::Sync);
    }

    fn mark(&mut self) {
        let (ops, disk_bytes) = (self.sim.ops(), self.disk_bytes);
        let mark = Mark { ops, disk_bytes, possible: self.possible.clone() };
        let last = self.marks.last().map_or(0, |last| last.ops);
        assert!(mark.ops >= last, "operations are only added");
        self.marks.push(mark);
    }

    fn check_reads(&self) -> Result<(), String> {
        let observed = observe(self.engine(), &self.keys)?;
        let difference = self.possible.visible().difference(&observed, self.world.now());
        difference.map_or(Ok(()), Err)
    }

    fn opened(&self) -> &Opened {
        self.opened.as_ref().expect("the engine is open between two steps")
    }

    fn engine(&self) -> &dyn Kv {
        self.opened().engine()
    }
}

/// The bytes of all files.
pub(super) fn used_bytes(sim: &SimFs) -> u64 {
    let len = |path| sim.contents(path).map_or(0, |bytes| bytes.len() as u64);
    sim.files().iter().map(|path| len(path)).sum()
}

fn free_bytes(sim: &SimFs) -> Option<u64> {
    sim.free_space(Path::new(SIM_DIR)).ok()
}
