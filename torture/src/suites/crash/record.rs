//! One run of a script, with the promise at each operation.

use std::sync::Arc;

use durable::SimFs;

use crate::marks::{Marks, Promise};
use crate::oracle::History;
use crate::run::EngineRun;
use crate::script::Script;
use crate::subject::Subject;
use crate::world::{BEGINNING, World};

/// A run that can be crashed anywhere.
pub(super) struct Recording {
    pub(super) script: Script,
    pub(super) sim: SimFs,
    pub(super) history: History,
    pub(super) keys: Vec<u8>,
    marks: Marks,
}

impl Recording {
    pub(super) fn make(
        subject: &dyn Subject,
        option_set: usize,
        script: &Script,
    ) -> Result<Self, String> {
        let sim = SimFs::new();
        let world = World::on(Arc::new(sim.clone()), 1);
        let keys = script.keys();
        let mut run = EngineRun::start(subject, option_set, world, keys.clone())?;
        let mut marks = Marks::default();
        marks.note(&run, &sim);
        for (at, step) in script.0.iter().enumerate() {
            run.step(step).map_err(|what| format!("step {at} ({step}): {what}"))?;
            marks.note(&run, &sim);
        }
        let history = run.history.clone();
        assert_eq!(marks.ops_after(script.0.len()), sim.ops(), "the last mark is the end");
        drop(run);
        Ok(Self { script: script.clone(), sim, history, keys, marks })
    }

    /// The first crash point that no shorter script has: the first one after the start of step `from`, because the point at
    /// its start is the end of a shorter script. For step 0 it is the beginning.
    pub(super) fn first_point_of(&self, from: usize) -> usize {
        if from == 0 { 0 } else { self.marks.ops_after(from) + 1 }
    }

    /// The promise that a crash at `point` must keep.
    pub(super) fn promise_at(&self, point: usize) -> Promise {
        let nothing = Promise { synced: 0, handed_over: 0, issued: 0, now: BEGINNING };
        self.marks.promise_at(point, nothing)
    }
}
