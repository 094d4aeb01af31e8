//! The law of recovery, and a run to hold against it.
//!
//! After a crash the manifest holds the edits up to some number, not below the last acknowledged one and not beyond
//! the one that was being made; `CURRENT` vouches at least for those before the last opening or clean close; and the
//! next opening has an epoch that no opening before it had.

use durable::manifest::{Manifest, Stamp, State};
use durable::{Fs, Inject, Plan, SimFs};
use kv::{Error, Result};

use crate::basics::{ID, add, store};
use crate::toy::{Edit, SHINY, Toy};

/// What an acknowledgement promises.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Promise {
    pub(crate) stamp: Stamp,
    /// `CURRENT` vouches for the edits up to this one.
    pub(crate) vouched: u64,
}

/// What a run has done, edit by edit.
pub(crate) struct Run {
    pub(crate) disk: SimFs,
    pub(crate) inject: Inject,
    /// The state after each edit, from none on; the last one may have failed.
    pub(crate) states: Vec<Toy>,
    /// What was acknowledged, and how many operations the disk had seen then.
    pub(crate) acknowledged: Vec<(usize, Promise)>,
    /// The manifest, if the last opening went well.
    pub(crate) manifest: Option<Manifest<Toy>>,
    /// What ended the run before its end.
    pub(crate) failure: Option<Error>,
}

/// A step of a run.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Opens the store, or creates it.
    Open,
    Append(Edit),
    Close,
}

impl Run {
    /// Runs `steps` on an empty disk.
    pub(crate) fn of(steps: &[Step]) -> Self {
        Self::on(&SimFs::new(), Plan::none(), steps)
    }

    /// Runs `steps` on `disk` with the faults of `plan`, until a step fails.
    pub(crate) fn on(disk: &SimFs, plan: Plan, steps: &[Step]) -> Self {
        let mut run = Self {
            disk: disk.clone(),
            inject: Inject::over_sim(disk.clone(), plan),
            states: vec![Toy::default()],
            acknowledged: Vec::new(),
            manifest: None,
            failure: None,
        };
        run.go_on(steps);
        run
    }

    /// Runs more steps, until one fails.
    pub(crate) fn go_on(&mut self, steps: &[Step]) {
        for step in steps {
            if let Err(failure) = self.step(step) {
                self.failure = Some(failure);
                return;
            }
            let stamp = self.manifest.as_ref().unwrap().stamp();
            let vouched = match step {
                Step::Open | Step::Close => stamp.edit_number,
                Step::Append(_) => self.acknowledged.last().unwrap().1.vouched,
            };
            self.acknowledged.push((self.disk.ops(), Promise { stamp, vouched }));
        }
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Open => {
                drop(self.manifest.take());
                self.manifest = Some(open_or_create(&self.inject)?);
                Ok(())
            }
            Step::Append(edit) => {
                let mut state = self.states.last().unwrap().clone();
                state.apply(edit).unwrap();
                self.states.push(state);
                self.manifest.as_ref().unwrap().append(edit)
            }
            Step::Close => self.manifest.as_ref().unwrap().close(),
        }
    }

    /// What was acknowledged before operation `point`; nothing if the store was still being created.
    pub(crate) fn acknowledged_at(&self, point: usize) -> Option<Promise> {
        let before = self.acknowledged.iter().take_while(|(ops, _)| *ops <= point);
        before.last().map(|(_, promise)| *promise)
    }

    /// Opens the store on `disk`, which crashed at `point`, and says what breaks the law.
    pub(crate) fn check(&self, disk: &SimFs, point: usize) -> std::result::Result<Promise, String> {
        self.check_since(disk, self.acknowledged_at(point))
    }

    /// Opens the store on `disk`, where `acknowledged` was once true, and says what breaks the law.
    pub(crate) fn check_since(
        &self,
        disk: &SimFs,
        acknowledged: Option<Promise>,
    ) -> std::result::Result<Promise, String> {
        if let Some(promise) = acknowledged {
            let dump = Manifest::<Toy>::dump(&store(disk)).map_err(|error| error.to_string())?;
            if dump["reached_edit_number"].as_u64().unwrap() < promise.vouched {
                return Err(format!("CURRENT vouches for less than in {promise:?}"));
            }
        }
        let manifest = open_or_create(disk).map_err(|error| error.to_string())?;
        let stamp = manifest.stamp();
        let least = acknowledged.unwrap_or_default().stamp;
        if stamp.open_epoch <= least.open_epoch {
            return Err(format!("epoch {} again, after {least:?}", stamp.open_epoch));
        }
        if !(least.edit_number..=least.edit_number + 1).contains(&stamp.edit_number) {
            return Err(format!("{stamp:?} after {least:?}"));
        }
        match self.states.get(stamp.edit_number as usize) {
            Some(state) if *state == *manifest.state() => {
                Ok(Promise { stamp, vouched: stamp.edit_number })
            }
            _ => Err(format!("a state that never was after {} edits", stamp.edit_number)),
        }
    }

    /// The first crash that breaks the law, if any does.
    pub(crate) fn first_breach(&self, random: usize) -> Option<String> {
        let mut sweep = self.disk.sweep();
        while let Some(point) = sweep.next_point() {
            for variant in sweep.all_variants(random) {
                if let Err(what) = self.check(&sweep.image(&variant), point) {
                    return Some(format!("point {point}, {}: {what}", sweep.explain(&variant)));
                }
            }
        }
        None
    }
}

fn open_or_create(fs: &(impl Fs + Clone + 'static)) -> Result<Manifest<Toy>> {
    let store = crate::basics::try_store(fs)?;
    if Manifest::<Toy>::exists(&store)? {
        Manifest::read(&store)?.open()
    } else {
        Manifest::create(&store, ID)
    }
}

/// Steps that go through every protocol: creation, edits, growth into new generations, a new feature, a clean close,
/// openings after it and without it.
pub(crate) fn steps() -> Vec<Step> {
    let mut steps = vec![Step::Open];
    let mut appends = |edits: Vec<Edit>| steps.extend(edits.into_iter().map(Step::Append));
    appends(vec![add(1), add(2), Edit::Note("n".repeat(3000)), Edit::Note("m".repeat(2500))]);
    appends(vec![add(3), Edit::Remove { file: 1 }, Edit::Note("short".into())]);
    steps.extend([Step::Close, Step::Open]);
    steps.extend([add(4), Edit::Require(SHINY), add(5)].map(Step::Append));
    steps.extend([Step::Open, Step::Open, Step::Append(add(6))]);
    steps
}
