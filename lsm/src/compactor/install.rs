//! Steps 3 to 5: the outputs take the place of the inputs; and what happens to a compaction that fails.

use kv::{Error, Result};

use super::Compactor;
use super::compaction::{Compaction, Counts, Ended};
use crate::background::Task;
use crate::compaction::{Action, Input};
use crate::events::CompactionOutcome;
use crate::state::Edit;
use crate::steps::Step;
use crate::table_writer::{NewTable, paths_of};

/// The outputs of a compaction.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    tables: u64,
    bytes: u64,
}

impl Compactor {
    /// Tells the listener that `compaction` begins. The caller holds no lock.
    pub(super) fn tell_begun(&self, compaction: &Compaction) {
        self.parts.events.tell(|listener| listener.compaction_begun(&compaction.event()));
    }

    /// Tells the listener that `compaction` has ended, with tables of so many bytes.
    fn tell_ended(&self, compaction: &Compaction, outcome: &Result<Written>) {
        self.parts.events.tell(|listener| {
            let now = self.parts.store.env.clock.elapsed();
            let written = outcome.as_ref().copied().unwrap_or_default();
            let outcome = CompactionOutcome {
                tables: written.tables,
                table_bytes: written.bytes,
                took: now.saturating_sub(compaction.started),
                failure: outcome.as_ref().err().cloned(),
            };
            listener.compaction_ended(&compaction.event(), &outcome);
        });
    }

    /// Part `number` has ended. With the last one the compaction ends.
    pub(super) fn end_part(
        &self,
        compaction: &Compaction,
        number: usize,
        outcome: Result<(Vec<NewTable>, Counts)>,
    ) {
        let Some(Ended { outputs, counts, failure }) = compaction.end_part(number, outcome) else {
            return;
        };
        let ended = match failure {
            None => self.install(compaction, outputs, counts),
            Some(error) => {
                self.writer().remove(&paths_of(&outputs));
                Err(error)
            }
        };
        // The failure is counted, and has poisoned the store if it does not pass.
        drop(self.end(compaction, ended));
    }

    /// Ends a compaction that moves or drops its inputs as they are.
    ///
    /// # Errors
    /// `Io`, which has poisoned the store unless a resource ran out.
    pub(super) fn end_without_parts(&self, compaction: &Compaction) -> Result<()> {
        let installed = self.install(compaction, Vec::new(), Counts::default());
        self.end(compaction, installed)
    }

    fn install(
        &self,
        compaction: &Compaction,
        mut outputs: Vec<NewTable>,
        counts: Counts,
    ) -> Result<Written> {
        let steps = &self.parts.store.steps;
        outputs.truncate(steps.each(Step::NameOutputs, &outputs).len());
        let plan = &compaction.plan;
        let place = (plan.output.level as u64, plan.output.rank.0);
        let inputs: Vec<u64> = compaction.inputs.iter().map(|input| input.id).collect();
        let bytes = outputs.iter().map(|(_, facts)| facts.len).sum();
        let written = Written { tables: outputs.len() as u64, bytes };
        let paths = paths_of(&outputs);
        let edit = match plan.action {
            Action::Move => Edit::move_tables(place, inputs),
            Action::Rewrite | Action::Drop => {
                let floor = steps.run(Step::RecordFloor, || compaction.history_floor);
                Edit::compact(place, inputs, floor, outputs)
            }
        };
        let store = &self.parts.store;
        // 3. Edit, and 4. install.
        let installed = self.parts.versions.install(None, || {
            store.check()?;
            store.edit(&edit)?;
            Ok(store.state())
        });
        installed.inspect_err(|_| self.writer().remove_unnamed(&paths))?;
        // 5. Retire.
        if plan.action != Action::Move {
            let retire = || compaction.inputs.iter().for_each(|input| input.retire());
            steps.run(Step::RetireInputs, retire);
        }
        self.counters.count(plan, written.bytes, counts);
        self.measure(compaction);
        Ok(written)
    }

    /// Updates the back-pressure after the install of `compaction`.
    fn measure(&self, compaction: &Compaction) {
        let of_level_0 = compaction.plan.inputs.iter().filter(|input| input.place.level == 0);
        let drained: u64 = of_level_0.map(Input::bytes).sum();
        let now = self.parts.store.env.clock.elapsed();
        if drained > 0 && compaction.plan.action == Action::Rewrite {
            self.parts.pressure.compacted(drained, now.saturating_sub(compaction.started));
        }
        self.parts.pressure.measure(&self.parts.versions);
    }

    /// Takes the compaction out of flight, and looks for the next one.
    ///
    /// # Errors
    /// That of `outcome`.
    fn end(&self, compaction: &Compaction, outcome: Result<Written>) -> Result<()> {
        let outcome = outcome.map_err(|error| self.count_failure(error));
        let is_damaged = outcome.as_ref().is_err_and(Error::is_corruption);
        if let Err(error) = &outcome {
            compaction.record_failure(error);
            // Before others can find nothing in flight: then they ask why nothing can be done.
            self.parts.pressure.compaction_failed(error);
        }
        let mut schedule = self.schedule.lock();
        debug_assert!(schedule.parts >= compaction.parts, "its parts were counted");
        schedule.parts -= compaction.parts;
        schedule.ended += 1;
        if !is_damaged {
            schedule.busy.end(&compaction.plan);
        }
        if let Err(error) = &outcome {
            schedule.failures += 1;
            schedule.last_failure = Some(error.clone());
        }
        drop(schedule);
        self.tell_ended(compaction, &outcome);
        match &outcome {
            Ok(_) => {
                self.parts.background.succeeded(Task::PickCompaction);
                self.parts.background.request(Task::PickCompaction);
            }
            Err(_) if is_damaged => self.parts.background.request(Task::PickCompaction),
            Err(error) if error.is_out_of_resources() => {
                self.parts.background.retry(Task::PickCompaction);
            }
            Err(_) => {}
        }
        outcome.map(drop)
    }

    /// Counts a failure, and poisons the store unless it passes.
    fn count_failure(&self, error: Error) -> Error {
        if matches!(error, Error::Closed) || self.parts.store.is_abandoned() {
            return error;
        }
        self.counters.count_failure();
        let passes = error.is_out_of_resources() || error.is_corruption();
        // A store that is poisoned already keeps its first cause.
        let keeps = passes || self.parts.store.check().is_err();
        if keeps { error } else { self.parts.store.poison(error) }
    }
}
