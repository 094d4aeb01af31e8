//! From source files and a destination to a plan that keeps the order of ages.

use super::busy::Busy;
use super::file::Key;
use super::overlap;
use super::plan::{Action, Input, Plan, Reason};
use super::run::{Place, Run};
use super::tree::Tree;

/// Whether the inputs are rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Motion {
    /// They are rewritten.
    Rewrite,
    /// They move if none overlaps another and no tombstone can go.
    MoveIfClean,
    /// They move if none overlaps another. Tombstones go later.
    Move,
    /// They go without being read. Readers at this number and at later ones find no live entry in them.
    Drop { unseen_from: u64 },
}

/// Input files and the place that they go to.
#[derive(Debug)]
pub(super) struct Draft<K> {
    pub(super) reason: Reason,
    /// The inputs, the newest first.
    pub(super) sources: Vec<Input<K>>,
    pub(super) output: Place,
    pub(super) motion: Motion,
}

/// All files of the run at `place` as an input.
pub(super) fn whole<K: Key>((place, run): (Place, &Run<K>)) -> Input<K> {
    Input { place, files: run.files().to_vec() }
}

impl<K: Key> Draft<K> {
    /// The plan: the sources, and the files of the output's run that overlap them. `None` if a plan in flight forbids it, or
    /// the order of ages does.
    pub(super) fn plan(self, tree: &Tree<K>, busy: &Busy<K>) -> Option<Plan<K>> {
        let Self { reason, mut sources, output, motion } = self;
        debug_assert!(
            sources.is_sorted_by(|newer, older| newer.place < older.place),
            "newest first"
        );
        let files = sources.iter().flat_map(|input| &input.files);
        let (smallest, largest) = overlap::hull(files)?;
        let is_source = sources.iter().any(|input| input.place == output);
        let destination = tree.run(output).filter(|_| !is_source);
        let overlapped =
            destination.map(|run| run.files()[run.overlapping(&smallest, &largest)].to_vec());
        if let Some(files) = overlapped.filter(|files| !files.is_empty()) {
            sources.push(Input { place: output, files });
        }
        let files = || sources.iter().flat_map(|input| &input.files);
        let (smallest, largest) = overlap::hull(files())?;
        let has_tombstones = files().any(|file| file.tombstones > 0);
        let is_clean = || !has_tombstones || !is_oldest(tree, output, &smallest, &largest);
        let may_move = match motion {
            Motion::Rewrite | Motion::Drop { .. } => false,
            Motion::MoveIfClean => is_clean(),
            Motion::Move => true,
        };
        let unseen_from = if let Motion::Drop { unseen_from } = motion { unseen_from } else { 0 };
        let action = match motion {
            Motion::Drop { .. } => Action::Drop,
            _ if may_move && overlap::are_disjoint(files()) => Action::Move,
            _ => Action::Rewrite,
        };
        debug_assert!(smallest <= largest, "a plan has keys");
        let inputs = sources;
        let plan = Plan { reason, inputs, output, smallest, largest, action, unseen_from };
        if !busy.allows(&plan) {
            return None;
        }
        let order = plan.check(tree);
        debug_assert_eq!(order, Ok(()), "strategies keep the order of ages");
        order.is_ok().then_some(plan)
    }
}

/// Whether no run older than `place` has keys in `smallest..=largest`.
pub(super) fn is_oldest<K: Key>(tree: &Tree<K>, place: Place, smallest: &K, largest: &K) -> bool {
    debug_assert!(smallest <= largest, "a range has a first and a last key");
    let mut older = tree.runs().rev().take_while(|(other, _)| *other > place);
    older.all(|(_, run)| run.overlapping(smallest, largest).is_empty())
}
