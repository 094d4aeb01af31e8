//! Reopenings, and the three ends of a run: a close, the death of the process, and a power cut.

use std::sync::Arc;

use durable::{Fault, MetadataModel, SimFs, Variant};
use kv::{Durability, Error, Kv};

use super::FaultRun;
use crate::observe::{Trouble, observe};
use crate::universe;
use crate::world::World;

impl FaultRun<'_> {
    pub(super) fn reopen(&mut self, clean: bool) -> Result<(), String> {
        let is_clean = clean && self.close()?;
        self.died_unreported |= !clean && self.seen == 0 && self.inject.injected() > 0;
        let lo = if is_clean { self.possible.len() } else { self.survives_kill() };
        self.counted += self.opened.take().map_or(0, |opened| opened.background_failures());
        self.world.next_life();
        self.open(lo)
    }

    /// `true`: it was closed cleanly.
    fn close(&mut self) -> Result<bool, String> {
        let closed = self.engine().close();
        let again = self.engine().close();
        let is_clean = closed.is_ok();
        self.judge_other("close", closed)?;
        if is_clean {
            again.map_err(|e| format!("a second close failed: {e}"))?;
        }
        Ok(is_clean)
    }

    /// Opens the store; where that fails because of the fault, it must succeed without it.
    pub(super) fn open(&mut self, lo: usize) -> Result<(), String> {
        let open = |this: &Self| {
            let opened = this.subject.open(&this.world.env, &this.world.dir, this.option_set);
            let opened = opened.map_err(Trouble::Failed)?;
            let observed = observe(opened.engine(), &this.keys)?;
            Ok::<_, Trouble>((opened, observed))
        };
        let mut opened = open(self);
        if let Err(Trouble::Failed(error)) = &opened {
            let error = error.clone();
            self.note("open", &error)?;
            self.clear_fault();
            drop(opened);
            self.world.next_life();
            opened = open(self);
        }
        let (opened, observed) = opened?;
        // Opening syncs as well, and the page cache may have lost data that had survived the process.
        let lo = if self.has_reverted() { lo.min(self.possible.synced) } else { lo };
        assert!(lo <= self.possible.len(), "only batches that were begun are promised");
        let model = self.possible.find(&observed, lo, self.world.now())?;
        self.opened = Some(opened);
        self.possible.resume_from(model);
        self.is_poisoned = false;
        self.log_has_failed = false;
        Ok(())
    }

    pub(super) fn end_in_power_cut(&self) -> Result<(), String> {
        let image = self.sim.crash(self.sim.ops(), &Variant::None(MetadataModel::Strict));
        self.judge_image(image, self.possible.synced).map_err(|e| format!("after a power cut, {e}"))
    }

    pub(super) fn end_in_kill(&self) -> Result<(), String> {
        let image = self.sim.restarted();
        let lo = self.survives_kill();
        self.judge_image(image, lo).map_err(|e| format!("after the death of the process, {e}"))
    }

    fn judge_image(&self, image: SimFs, lo: usize) -> Result<(), String> {
        let world = World::at(Arc::new(image), 2, self.world.now());
        let opened = crate::opening::open(self.subject, self.option_set, &world)?;
        let observed = observe(opened.engine(), &self.keys)?;
        self.possible.find(&observed, lo, self.world.now())?;
        check_writable(opened.engine())
    }

    pub(super) fn end_in_close(&mut self) -> Result<(), String> {
        self.reopen(true).map_err(|what| format!("closed and opened again, {what}"))?;
        check_writable(self.engine())
    }

    /// No error is swallowed that was injected into a call that changes something.
    pub(super) fn check_surfaced(&self) -> Result<(), String> {
        let Some(call) = self.first_fault() else { return Ok(()) };
        let (kind, path) = (call.kind, &call.path);
        let is_reported = self.seen > 0 || self.counted > 0 || self.died_unreported;
        if is_reported || !kind.is_mutating() || self.subject.may_swallow(kind, path) {
            return Ok(());
        }
        let was_full =
            matches!(self.plan.fault.fault, Fault::NoSpace | Fault::Fills | Fault::Quota);
        if was_full && self.subject.may_wait_for_space(&call.as_failed()) {
            return Ok(());
        }
        Err(format!("nobody was told that {kind} {} failed", path.display()))
    }
}

/// An engine that was opened can write.
fn check_writable(engine: &dyn Kv) -> Result<(), String> {
    let key = universe::key(universe::KEYS as u8 - 1);
    let failed = |error: Error| format!("afterwards, a write failed: {error}");
    engine.put(key, b"smoke", Durability::Sync).map_err(failed)?;
    let found = engine.get(key).map_err(failed)?;
    if found.as_deref() == Some(&b"smoke"[..]) { Ok(()) } else { Err("a put was lost".into()) }
}
