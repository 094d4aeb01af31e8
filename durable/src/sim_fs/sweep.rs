//! Walking the crash points of a recorded run.

use std::collections::HashSet;

use super::SimFs;
use super::disk::Disk;
use super::image;
use super::inode::SECTOR;
use super::op::Step;
use super::pending::Pending;
use super::selection::Selection;
use super::variant::{MetadataModel, Variant};

/// The crash points of a run, one after the other. It holds the record as it was when the sweep began; the run may go
/// on. The state is carried from point to point, so a sweep costs no more than its images.
#[derive(Debug)]
pub struct CrashSweep {
    disk: Disk,
    steps: Vec<Step>,
    /// How many of `steps` have been applied.
    applied: usize,
    started: bool,
    /// The pending effects here, strict and journalled.
    pending: [Pending; 2],
}

impl CrashSweep {
    pub(super) fn new(base: Disk, steps: Vec<Step>) -> Self {
        let pending = pending(&base);
        Self { disk: base, steps, applied: 0, started: false, pending }
    }

    /// Moves to the next crash point, at first to point 0, before any operation. Point `k` is after `k` operations.
    pub fn next_point(&mut self) -> Option<usize> {
        if !self.started {
            self.started = true;
            return Some(0);
        }
        let step = self.steps.get(self.applied)?;
        self.disk.apply_step(step);
        self.applied += 1;
        self.pending = pending(&self.disk);
        debug_assert!(self.applied <= self.steps.len(), "a point lies behind a step");
        Some(self.applied)
    }

    pub(super) fn skip_to(&mut self, point: usize) {
        assert!(self.applied <= point && point <= self.steps.len(), "a sweep goes forward");
        for step in &self.steps[self.applied..point] {
            self.disk.apply_step(step);
        }
        self.applied = point;
        self.started = true;
        self.pending = pending(&self.disk);
    }

    /// The variants of a crash here under `model`, each image once, with `random` random ones at most.
    pub fn variants(&self, model: MetadataModel, random: usize) -> Vec<Variant> {
        self.distinct(self.candidates(model, random))
    }

    /// [`CrashSweep::variants`] under both models, each image once.
    pub fn all_variants(&self, random: usize) -> Vec<Variant> {
        let mut variants = self.candidates(MetadataModel::Strict, random);
        variants.extend(self.candidates(MetadataModel::Journalled, random));
        self.distinct(variants)
    }

    /// The disk after a crash here: all of it durable, nothing recorded, no lock held.
    pub fn image(&self, variant: &Variant) -> SimFs {
        let pending = self.pending_for(variant);
        let selection = Selection::of(variant, &self.disk, pending, self.applied);
        SimFs::from_disk(image::build(&self.disk, pending, &selection))
    }

    /// The disk after the process died here and the machine did not: like [`Variant::All`], but effects that were not synced
    /// are still pending, so that a power cut later can take it. For the invariant that recovery makes all content durable before it serves any.
    pub fn restarted(&self) -> SimFs {
        SimFs::from_disk(self.disk.clone())
    }

    /// The effects that `variant` keeps here, for messages.
    pub fn explain(&self, variant: &Variant) -> String {
        let pending = self.pending_for(variant);
        let op = |number: Option<usize>| match number {
            None => "nothing".into(),
            Some(number) => self.op_name(number),
        };
        match variant {
            Variant::Drop(_, number) => {
                format!("{variant}: without {}", op(pending.op(&self.disk, *number)))
            }
            Variant::Keep(_, number) => {
                format!("{variant}: only {}", op(pending.op(&self.disk, *number)))
            }
            Variant::Tear(_) | Variant::TearHead(_) | Variant::Garble(_) => {
                let last = pending.data.get(pending.last_write().start);
                format!("{variant}: torn {}", op(last.map(|piece| piece.op)))
            }
            _ => variant.to_string(),
        }
    }

    fn op_name(&self, number: usize) -> String {
        let before_the_record = self.disk.applied - self.applied;
        match number.checked_sub(before_the_record) {
            Some(number) => format!("{number} ({})", self.steps[number].op),
            None => "an operation before the restart".into(),
        }
    }

    fn pending_for(&self, variant: &Variant) -> &Pending {
        let [strict, journalled] = &self.pending;
        match variant {
            Variant::All
            | Variant::NamesOnly
            | Variant::BareNames
            | Variant::Tear(_)
            | Variant::TearHead(_)
            | Variant::Garble(_) => strict,
            Variant::None(model)
            | Variant::DataOnly(model)
            | Variant::Drop(model, _)
            | Variant::Keep(model, _)
            | Variant::RemovalsLost(model)
            | Variant::Random(model, _) => match model {
                MetadataModel::Strict => strict,
                MetadataModel::Journalled => journalled,
            },
        }
    }

    /// Everything that could be told apart, the plainest first, so that messages name the plainest.
    fn candidates(&self, model: MetadataModel, random: usize) -> Vec<Variant> {
        let pending = self.pending_for(&Variant::None(model));
        if pending.len() == 0 {
            return vec![Variant::All, Variant::None(model)];
        }
        let mut variants = vec![
            Variant::All,
            Variant::None(model),
            Variant::DataOnly(model),
            Variant::NamesOnly,
            Variant::BareNames,
            Variant::RemovalsLost(model),
        ];
        variants.extend((0..pending.len()).map(|number| Variant::Drop(model, number)));
        variants.extend((0..pending.len()).map(|number| Variant::Keep(model, number)));
        variants.extend(self.tears());
        variants.extend((0..random as u64).map(|seed| Variant::Random(model, seed)));
        variants
    }

    /// Tears of the last write: before it, at each sector boundary of the file, and at a few odd bytes. In the first and
    /// the last page of the write, the sectors behind a boundary may also be there without those before it.
    fn tears(&self) -> Vec<Variant> {
        let [pending, _] = &self.pending;
        let pieces = &pending.data[pending.last_write()];
        let Some((start, _)) = pieces.first().and_then(|piece| piece.write) else {
            return Vec::new();
        };
        let len: usize = pieces.iter().filter_map(|piece| piece.write).map(|(_, len)| len).sum();
        let boundary = start.next_multiple_of(SECTOR);
        let mut cuts: Vec<usize> =
            (boundary..start + len).step_by(SECTOR).map(|at| at - start).collect();
        let pages =
            [pieces.first(), pieces.last()].map(|piece| piece.and_then(|piece| piece.write));
        let in_those_pages = |cut: &usize| {
            let at = start + cut;
            pages.iter().flatten().any(|(page, len)| (*page..page + len).contains(&at))
        };
        let headless: Vec<usize> =
            cuts.iter().copied().filter(|cut| *cut > 0).filter(in_those_pages).collect();
        cuts.extend([0, 1, (len / 2) | 1, len.saturating_sub(1)]);
        cuts.retain(|cut| *cut < len);
        cuts.sort_unstable();
        cuts.dedup();
        debug_assert!(headless.iter().all(|cut| *cut < len), "some bytes arrive");
        let torn = cuts.into_iter().map(Variant::Tear);
        torn.chain(headless.into_iter().map(Variant::TearHead)).collect()
    }

    fn distinct(&self, mut variants: Vec<Variant>) -> Vec<Variant> {
        let mut seen = HashSet::new();
        variants.retain(|variant| {
            let pending = self.pending_for(variant);
            let selection = Selection::of(variant, &self.disk, pending, self.applied);
            seen.insert(image::fingerprint(&self.disk, pending, &selection))
        });
        variants
    }
}

fn pending(disk: &Disk) -> [Pending; 2] {
    [Pending::of(disk, MetadataModel::Strict), Pending::of(disk, MetadataModel::Journalled)]
}
