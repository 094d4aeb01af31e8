//! Step 1: the next compaction is picked and begun.

use std::collections::BTreeMap;
use std::sync::Arc;

use kv::Result;

use super::compaction::Compaction;
use super::part::PartMerge;
use super::tree::tree_of;
use super::version_filter::VersionFilter;
use super::{Compactor, Schedule};
use crate::background::Task;
use crate::boundary::Boundary;
use crate::compaction::{Action, DropGuard, OutputCutter, Plan, Tree, Urgency};
use crate::history::History;
use crate::table_file::{TableFile, TableRun};
use crate::version::Version;

/// A plan whose inputs are busy.
pub(super) struct Begun {
    pub(super) compaction: Arc<Compaction>,
    /// The parts to merge. None: the files change their place, or go, as they are.
    pub(super) parts: Vec<PartMerge>,
}

/// A tree, and the version that it shows.
pub(super) struct Present {
    pub(super) version: Arc<Version>,
    pub(super) tree: Tree<Boundary>,
}

impl Compactor {
    /// Begins the next compaction of the strategy. One that moves or drops files is done when this returns. `false`: there is
    /// none, or no thread is free.
    ///
    /// # Errors
    /// `Closed`; `Poisoned`; the failure of a move.
    pub(super) fn begin_next(&self) -> Result<bool> {
        self.check_open()?;
        let look = self.parts.pressure.begin_look();
        let mut schedule = self.schedule.lock();
        let free = self.threads.saturating_sub(schedule.parts);
        if free == 0 {
            return Ok(false);
        }
        let present = self.present();
        self.parts.pressure.measure(&self.parts.versions);
        self.parts.pressure.measure_debt(self.strategy.debt(&present.tree));
        let Some(plan) = self.pick(&present.tree, &schedule) else {
            if schedule.parts == 0 {
                schedule.rests += 1;
                self.parts.pressure.found_nothing(look, present.version.level_0_runs());
            }
            return Ok(false);
        };
        let begun = self.begin(&mut schedule, present, plan, free);
        drop(schedule);
        self.start(begun)?;
        Ok(true)
    }

    /// An estimate of the bytes that compactions have to write before the tree is at rest.
    pub(crate) fn debt(&self) -> u64 {
        self.strategy.debt(&self.present().tree)
    }

    /// The plan of the strategy. Eligible plans are for an idle device.
    fn pick(&self, tree: &Tree<Boundary>, schedule: &Schedule) -> Option<Plan<Boundary>> {
        let pick = |urgency| self.strategy.pick(tree, &schedule.busy, urgency);
        let is_idle = schedule.parts == 0 && self.parts.versions.sealed_count() == 0;
        pick(Urgency::Mandatory).or_else(|| is_idle.then(|| pick(Urgency::Eligible)).flatten())
    }

    /// The present version, as the pickers see it.
    pub(super) fn present(&self) -> Present {
        let version = Arc::clone(&self.parts.versions.load().version);
        let mut tree = tree_of(&version).expect("the opening and each edit have checked the runs");
        tree.set_now(self.parts.store.env.clock.now().0);
        let history = self.parts.pins.history();
        tree.set_horizon(history.horizon());
        tree.set_expiry_horizon(history.expired_up_to());
        Present { version, tree }
    }

    /// Begins `plan`, divided into parts for `threads`.
    pub(super) fn begin(
        &self,
        schedule: &mut Schedule,
        mut present: Present,
        mut plan: Plan<Boundary>,
        threads: usize,
    ) -> Begun {
        let newest = plan.files().map(|file| file.newest).max().unwrap_or_default();
        // A file that goes unread is hidden by what is newer than all of it.
        let newest = newest.max(plan.unseen_from);
        let (history, floor) = match plan.action {
            // No version goes.
            Action::Move => (self.parts.pins.history(), 0),
            Action::Rewrite | Action::Drop => self.parts.pins.begin_dropping(newest),
        };
        // Somebody may have pinned an older number since the tree was made, and need what the plan drops unread.
        if plan.action == Action::Drop && newest > history.horizon() {
            plan.action = Action::Rewrite;
        }
        present.tree.set_horizon(history.horizon());
        let begun = self.divide(&present, plan, (history, floor), threads);
        schedule.busy.begin(&begun.compaction.plan);
        schedule.parts += begun.compaction.parts;
        begun
    }

    /// The plan with its inputs, in parts.
    fn divide(
        &self,
        present: &Present,
        plan: Plan<Boundary>,
        (history, floor): (History, u64),
        threads: usize,
    ) -> Begun {
        debug_assert_eq!(plan.check(&present.tree), Ok(()), "plans keep the order of ages");
        let started = self.parts.store.env.clock.elapsed();
        let runs = runs_of(&plan, &present.version);
        let inputs = runs.iter().flat_map(|run| run.tables().iter().cloned()).collect();
        if plan.action != Action::Rewrite {
            let compaction = Compaction::new(plan, inputs, floor, started, 1);
            return Begun { compaction: Arc::new(compaction), parts: Vec::new() };
        }
        let least_bytes = self.strategy.target_file_bytes();
        let parts = plan.parts(plan.anchors(), threads.max(1), least_bytes);
        let guard = DropGuard::new(&plan, &present.tree);
        let filter = VersionFilter::new(history, guard, self.parts.store.steps.clone());
        let most_overlap = self.strategy.max_grandparent_bytes();
        let cutter = OutputCutter::new(&plan, &present.tree, least_bytes, most_overlap);
        let compaction = Compaction::new(plan, inputs, floor, started, parts.len());
        let compaction = Arc::new(compaction);
        let merge = |(number, part)| {
            let of = (Arc::clone(&compaction), number);
            let merge = PartMerge::new(of, part, &runs, filter.clone(), cutter.clone());
            merge.expect("the tables of a run are in order")
        };
        let parts = parts.iter().enumerate().map(merge).collect();
        Begun { compaction, parts }
    }

    /// Hands the parts of `begun` to jobs, or ends a compaction without parts.
    fn start(&self, begun: Begun) -> Result<()> {
        self.tell_begun(&begun.compaction);
        let count = begun.parts.len();
        if count == 0 {
            return self.end_without_parts(&begun.compaction);
        }
        self.schedule.lock().waiting.extend(begun.parts);
        (0..count).for_each(|_| self.parts.background.request(Task::MergePart));
        Ok(())
    }
}

/// The input tables of `plan` as runs, the newest first.
fn runs_of(plan: &Plan<Boundary>, version: &Version) -> Vec<TableRun> {
    let known: BTreeMap<u64, &Arc<TableFile>> =
        version.tables().map(|table| (table.id, table)).collect();
    let handle = |id: u64| Arc::clone(known.get(&id).expect("the plan is of this version"));
    let run = |input: &crate::compaction::Input<Boundary>| {
        let tables = input.files.iter().map(|file| handle(file.id)).collect();
        TableRun::new(input.place.level as u64, input.place.rank.0, tables)
    };
    plan.inputs.iter().map(run).collect()
}
