//! Judges the images that a crash leaves.

use std::sync::Arc;

use durable::{CrashSweep, SimFs, Variant};

use super::NOTHING_SURVIVES;
use super::record::Recording;
use crate::marks::Promise;
use crate::observe::observe;
use crate::opening::open;
use crate::random::sub_seed;
use crate::run::EngineRun;
use crate::subject::Subject;
use crate::world::World;

/// Judges the images of one crash point.
pub(super) struct Judge<'r> {
    subject: &'r dyn Subject,
    option_set: usize,
    recording: &'r Recording,
    promise: Promise,
    seed: u64,
    reopens: bool,
}

/// A store that was opened after a crash, and then crashed again.
pub(super) struct Recovered {
    pub(super) sim: SimFs,
    /// The number of the newest batch whose effect the handle served.
    j: usize,
    lo: usize,
}

impl<'r> Judge<'r> {
    pub(super) fn new(
        subject: &'r dyn Subject,
        option_set: usize,
        recording: &'r Recording,
        point: usize,
    ) -> Self {
        let promise = recording.promise_at(point);
        let seed = sub_seed(2, point as u64);
        Self { subject, option_set, recording, promise, seed, reopens: false }
    }

    /// Whether to maintain, close and open the store as well.
    pub(super) fn with_reopening(self, reopens: bool) -> Self {
        Self { reopens, ..self }
    }

    fn lo(&self, variant: &Variant) -> usize {
        if *variant == Variant::All { self.promise.handed_over } else { self.promise.synced }
    }

    /// The disk as the next process finds it. After a process death the page cache is kept and nothing is synced.
    fn image(sweep: &CrashSweep, variant: &Variant) -> SimFs {
        if *variant == Variant::All { sweep.restarted() } else { sweep.image(variant) }
    }

    /// The crash invariant for the first crash.
    pub(super) fn first(&self, sweep: &CrashSweep, variant: &Variant) -> Result<(), String> {
        if *variant == Variant::All {
            let recovered = self.recover(sweep, variant)?;
            self.check_monotone(&recovered)?;
        }
        self.check_image(Self::image(sweep, variant), self.lo(variant), self.reopens)
    }

    fn check_image(&self, image: SimFs, lo: usize, reopens: bool) -> Result<(), String> {
        let Promise { issued, now, .. } = self.promise;
        assert!(lo <= issued, "only batches that were begun are promised");
        let world = World::at(Arc::new(image), self.seed, now);
        let (keys, history) = (self.recording.keys.clone(), self.recording.history.clone());
        let mut run =
            EngineRun::resume(self.subject, self.option_set, world, keys, history, (lo, issued))?;
        run.retry_what_was_lost()?;
        run.check_writable()?;
        if reopens { run.check_reopening() } else { Ok(()) }
    }

    /// Opens the image of the first crash, and lets the process die again at once.
    pub(super) fn recover(
        &self,
        sweep: &CrashSweep,
        variant: &Variant,
    ) -> Result<Recovered, String> {
        let sim = Self::image(sweep, variant);
        let lo = self.lo(variant);
        let world = World::at(Arc::new(sim.clone()), self.seed, self.promise.now);
        let opened = open(self.subject, self.option_set, &world)?;
        let observed = observe(opened.engine(), &self.recording.keys)?;
        let between = (lo, self.promise.issued);
        let history = &self.recording.history;
        let j = history.find(&observed, opened.recovered(), between, self.promise.now)?;
        assert!(lo <= j && j <= self.promise.issued, "batch {j} is between the bounds");
        Ok(Recovered { sim, j, lo })
    }

    /// Monotone recovery: a power cut after the opening takes back nothing that was served.
    fn check_monotone(&self, recovered: &Recovered) -> Result<(), String> {
        let mut sweep = recovered.sim.sweep();
        while sweep.next_point().is_some() {}
        NOTHING_SURVIVES.iter().try_for_each(|variant| {
            self.check_image(sweep.image(variant), recovered.j, false).map_err(|what| {
                format!("batch {} was served, and after a power cut: {what}", recovered.j)
            })
        })
    }

    /// The crash invariant for a crash at operation `point` of the recovery. If the crash comes after the opening returned,
    /// the content that it served must stay.
    pub(super) fn second(
        &self,
        recovered: &Recovered,
        sweep: &CrashSweep,
        point: usize,
        variant: &Variant,
    ) -> Result<(), String> {
        assert!(point <= recovered.sim.ops(), "the crash comes before the end of the recovery");
        let was_open = point == recovered.sim.ops();
        let lo = if was_open {
            recovered.j
        } else if *variant == Variant::All {
            recovered.lo
        } else {
            // The second crash is a power cut, so only synced batches are promised.
            recovered.lo.min(self.promise.synced)
        };
        self.check_image(Self::image(sweep, variant), lo, self.reopens)
    }
}
