//! The law of recovery, and a run to hold against it.
//!
//! After a crash the manifest holds the edits up to some number, not below the last acknowledged one and not beyond
//! the one that was being made; and the next opening has an epoch that no opening before it had.

use durable::SimFs;
use durable::manifest::{Manifest, Stamp, State};
use kv::Result;

use crate::basics::{ID, add, store};
use crate::toy::{Edit, SHINY, Toy};

/// What a run has done, edit by edit.
pub(crate) struct Run {
    pub(crate) disk: SimFs,
    /// The state after each edit, from none on.
    pub(crate) states: Vec<Toy>,
    /// What was acknowledged, and how many operations the disk had seen then.
    pub(crate) acknowledged: Vec<(usize, Stamp)>,
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
    /// Runs `steps` on an empty disk until one fails.
    pub(crate) fn of(steps: &[Step]) -> Self {
        let disk = SimFs::new();
        let mut run = Self { disk, states: vec![Toy::default()], acknowledged: Vec::new() };
        let mut open: Option<Manifest<Toy>> = None;
        for step in steps {
            match step {
                Step::Open => {
                    drop(open.take());
                    open = Some(open_or_create(&run.disk).unwrap());
                }
                Step::Append(edit) => {
                    let mut state = run.states.last().unwrap().clone();
                    state.apply(edit).unwrap();
                    run.states.push(state);
                    open.as_ref().unwrap().append(edit).unwrap();
                }
                Step::Close => open.as_ref().unwrap().close().unwrap(),
            }
            run.acknowledged.push((run.disk.ops(), open.as_ref().unwrap().stamp()));
        }
        run
    }

    /// What was acknowledged before operation `point`; nothing if the store was still being created.
    pub(crate) fn acknowledged_at(&self, point: usize) -> Option<Stamp> {
        let before = self.acknowledged.iter().take_while(|(ops, _)| *ops <= point);
        before.last().map(|(_, stamp)| *stamp)
    }

    /// Opens the store on `disk`, which crashed at `point`, and says what breaks the law.
    pub(crate) fn check(&self, disk: &SimFs, point: usize) -> std::result::Result<Stamp, String> {
        self.check_since(disk, self.acknowledged_at(point))
    }

    /// Opens the store on `disk`, where `acknowledged` was once true, and says what breaks the law.
    pub(crate) fn check_since(
        &self,
        disk: &SimFs,
        acknowledged: Option<Stamp>,
    ) -> std::result::Result<Stamp, String> {
        if acknowledged.is_some() && !Manifest::<Toy>::exists(&store(disk)).unwrap() {
            return Err("the store is gone".into());
        }
        let manifest = open_or_create(disk).map_err(|error| error.to_string())?;
        let stamp = manifest.stamp();
        let least = acknowledged.unwrap_or_default();
        if stamp.open_epoch <= least.open_epoch {
            return Err(format!("epoch {} again, after {least:?}", stamp.open_epoch));
        }
        if !(least.edit_number..=least.edit_number + 1).contains(&stamp.edit_number) {
            return Err(format!("{stamp:?} after {least:?}"));
        }
        match self.states.get(stamp.edit_number as usize) {
            Some(state) if *state == *manifest.state() => Ok(stamp),
            _ => Err(format!("a state that never was after {} edits", stamp.edit_number)),
        }
    }
}

fn open_or_create(disk: &SimFs) -> Result<Manifest<Toy>> {
    let store = store(disk);
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
