//! Crashes on a full disk: the images of all points since the refusal, opened without and then with space.

use std::sync::Arc;

use durable::{CrashSweep, SimFs, Variant, is_disk_full};
use kv::{Durability, Op, UnixMillis, WriteBatch};

use super::Options;
use super::tenant::{Mark, Tenant, used_bytes};
use super::work::{WORK_KEY, check_orphans, work};
use crate::observe::{describe, observe};
use crate::opening::failed;
use crate::oracle::Model;
use crate::random::{Random, sub_seed};
use crate::subject::Opened;
use crate::universe;
use crate::world::World;

/// Judges the images, and returns how many there were.
pub(super) fn judge(tenant: &Tenant<'_>, options: &Options) -> Result<u64, String> {
    let (first, last) = (tenant.marks[0].ops, tenant.sim.ops());
    assert!(first <= last, "the refusal is part of the run");
    let stride = (last - first).div_ceil(options.crash_points.max(1)).max(1);
    let random = Random::new(sub_seed(options.seed, first as u64));
    let is_end = |point: usize| tenant.marks.iter().any(|mark| mark.ops == point);
    let mut sweep = tenant.sim.sweep();
    let mut states = 0;
    while let Some(point) = sweep.next_point() {
        if point < first || !((point - first).is_multiple_of(stride) || is_end(point)) {
            continue;
        }
        for variant in some_variants(&sweep, options.variants_a_point, &random) {
            states += 1;
            let image = Image { tenant, point, variant: &variant };
            image.judge(&sweep).map_err(|what| {
                let place =
                    format!("before operation {point} that left {}", sweep.explain(&variant));
                format!("after a crash on the full disk, {place}: {what}")
            })?;
        }
    }
    Ok(states)
}

/// The two plainest variants and some of the others, `most` in all.
fn some_variants(sweep: &CrashSweep, most: usize, random: &Random) -> Vec<Variant> {
    let mut variants = sweep.all_variants(1);
    while variants.len() > most.max(2) {
        variants.swap_remove(2 + random.below(variants.len() - 2));
    }
    variants
}

/// The image of one crash.
struct Image<'t> {
    tenant: &'t Tenant<'t>,
    point: usize,
    variant: &'t Variant,
}

impl Image<'_> {
    fn judge(&self, sweep: &CrashSweep) -> Result<(), String> {
        let died = *self.variant == Variant::All;
        let sim = if died { sweep.restarted() } else { sweep.image(self.variant) };
        // A part of the writes may be lost, and a file that was removed may be back.
        let (kept, begun) = self.promises();
        let free = |disk_bytes: u64| disk_bytes.saturating_sub(used_bytes(&sim));
        sim.set_free_space(kept.disk_bytes.map(free));
        let now = self.tenant.world.now();
        let seed = sub_seed(3, self.point as u64);
        let mut world = World::at(Arc::new(sim.clone()), seed, now);
        let opened = self.open_on_full_disk(&sim, &mut world)?;
        let observed = observe(opened.engine(), &self.tenant.keys)?;
        let lo = if died { kept.possible.handed_over } else { kept.possible.synced };
        assert!(lo <= begun.possible.len(), "a promise is about batches that were begun");
        let model = begun.possible.find(&observed, lo, now)?;
        self.delete(&opened)?;
        sim.set_free_space(None);
        work(&opened, &world)?;
        opened.engine().close().map_err(failed("close"))?;
        drop(opened);
        world.next_life();
        let opened = self.open(&world)?.map_err(failed("open again"))?;
        check_orphans(&opened, &world)?;
        self.check_untouched(&opened, &model, now)
    }

    fn open(&self, world: &World) -> Result<kv::Result<Opened>, String> {
        let Tenant { setup, subject, .. } = self.tenant;
        setup.open(*subject, world).ok_or_else(|| "it reserved space".into())
    }

    /// Opens the store. If it has no reserved space, the disk may get space first.
    fn open_on_full_disk(&self, sim: &SimFs, world: &mut World) -> Result<Opened, String> {
        match self.open(world)? {
            Err(error) if is_disk_full(&error) && !self.tenant.setup.reserves => {
                sim.set_free_space(None);
                world.next_life();
                self.open(world)?.map_err(failed("open with space"))
            }
            opened => opened.map_err(|error| format!("open answered a full disk with: {error}")),
        }
    }

    /// Every key that was not written since the crash is as `model` has it.
    fn check_untouched(
        &self,
        opened: &Opened,
        model: &Model,
        now: UnixMillis,
    ) -> Result<(), String> {
        let untouched = self.tenant.keys.iter().skip(1).filter(|key| **key != WORK_KEY);
        for key in untouched.map(|&key| universe::key(key)) {
            let found = opened.engine().get(key).map_err(failed("get"))?;
            if found.as_ref() != model.get(key, now) {
                return Err(format!("key {} changed by itself", describe(key)));
            }
        }
        Ok(())
    }

    /// Deletes the first key, while there is no space.
    fn delete(&self, opened: &Opened) -> Result<(), String> {
        let Some(&key) = self.tenant.keys.first() else { return Ok(()) };
        let mut batch = WriteBatch::new();
        batch.delete(universe::key(key));
        debug_assert!(batch.ops().all(|op| matches!(op, Op::Delete { .. })));
        match opened.engine().write(&batch, Durability::Sync) {
            Ok(_) => Ok(()),
            Err(error) if is_disk_full(&error) && !self.tenant.setup.reserves => Ok(()),
            Err(error) => Err(format!("a delete answered a full disk with: {error}")),
        }
    }

    /// The promise of the last call that had ended, and the mark of the call that may have begun.
    fn promises(&self) -> (&Mark, &Mark) {
        let marks = &self.tenant.marks;
        let ended = marks.partition_point(|mark| mark.ops <= self.point);
        assert!(ended > 0, "the refusal comes before its crash points");
        assert!(marks.is_sorted_by_key(|mark| mark.ops), "operations are only added");
        (&marks[ended - 1], &marks[ended.min(marks.len() - 1)])
    }
}
