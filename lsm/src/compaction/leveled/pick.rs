//! The choice of files once it is known which level is to be compacted.

use super::super::busy::Busy;
use super::super::draft::{self, Draft, Motion};
use super::super::file::{File, Key};
use super::super::overlap;
use super::super::plan::{Input, Plan, Reason};
use super::super::run::{Place, Rank, Run};
use super::super::tree::Tree;
use super::Leveled;
use super::targets::Targets;

/// The newest run of `level`, or the place of the first one.
fn newest_place<K: Key>(tree: &Tree<K>, level: usize) -> Place {
    debug_assert!(level > 0, "level 0 takes flushes alone");
    let rank = tree.levels()[level].runs().first().map_or(Rank(0), Run::rank);
    Place { level, rank }
}

/// The place above which a run of level 0 larger than `least_bytes` can go without being rewritten: the deepest level
/// that has nothing in it or above it.
pub(in super::super) fn settle<K: Key>(
    tree: &Tree<K>,
    busy: &Busy<K>,
    least_bytes: u64,
) -> Option<Plan<K>> {
    let oldest = tree.levels()[0].runs().last().filter(|run| run.bytes() > least_bytes)?;
    let free = tree.levels()[1..].iter().take_while(|level| level.is_empty()).count();
    debug_assert!(free <= tree.last_level(), "level 0 is not counted");
    let output = (free > 0).then_some(Place { level: free, rank: Rank(0) })?;
    let source = draft::whole((Place { level: 0, rank: oldest.rank() }, oldest));
    let reason = Reason::Settle;
    Draft { reason, sources: vec![source], output, motion: Motion::Move }.plan(tree, busy)
}

impl Leveled {
    pub(super) fn settle<K: Key>(&self, tree: &Tree<K>, busy: &Busy<K>) -> Option<Plan<K>> {
        settle(tree, busy, self.l0_batch().max(self.options.base_bytes).saturating_mul(2))
    }

    /// The oldest runs of level 0, as many as fit, into the base level or a level above it that has files; nothing if that
    /// level takes nothing at the moment.
    pub(super) fn pick_l0<K: Key>(
        &self,
        tree: &Tree<K>,
        busy: &Busy<K>,
        targets: &Targets,
    ) -> Option<Plan<K>> {
        let filled = (1..targets.base).find(|level| !tree.levels()[*level].is_empty());
        let level = filled.unwrap_or(targets.base);
        debug_assert!(level > 0, "the base is below level 0");
        if self.stops(tree, level, targets) {
            return None;
        }
        let output = newest_place(tree, level);
        let runs = tree.levels()[0].runs();
        let fits = |bytes: u64| bytes <= self.options.max_input_bytes;
        for first in 0..runs.len() {
            let oldest = &runs[first..];
            if !fits(oldest.iter().map(Run::bytes).sum()) {
                continue;
            }
            let motion = Motion::MoveIfClean;
            let draft = Draft { reason: Reason::Runs, sources: inputs(0, oldest), output, motion };
            if let Some(plan) = draft.plan(tree, busy).filter(|plan| fits(plan.input_bytes())) {
                return Some(plan);
            }
        }
        let oldest = runs.last()?;
        let place = Place { level: 0, rank: oldest.rank() };
        self.pick_file(tree, busy, (place, oldest), output)
            .or_else(|| self.pick_intra_l0(tree, busy))
    }

    /// Adjacent runs of level 0 that are not busy, into one. Runs that are large already stay as they are.
    pub(super) fn pick_intra_l0<K: Key>(&self, tree: &Tree<K>, busy: &Busy<K>) -> Option<Plan<K>> {
        let runs = tree.levels()[0].runs();
        let least = self.options.l0_runs.max(2);
        let large = self.options.file_bytes.saturating_mul(2);
        let is_free = |run: &Run<K>| run.bytes() <= large && !busy.has_any(run.files());
        let window = runs.split(|run| !is_free(run)).max_by_key(|window| window.len())?;
        let mut bytes = 0_u64;
        let mut fits = |run: &Run<K>| {
            bytes = bytes.saturating_add(run.bytes());
            bytes <= self.options.max_input_bytes
        };
        let count = window.iter().rev().take_while(|run| fits(run)).count();
        let window = &window[window.len() - count..];
        debug_assert!(window.iter().all(is_free), "a plan in flight keeps its files");
        let output = Place { level: 0, rank: window.last()?.rank() };
        let sources = inputs(0, window);
        let draft = Draft { reason: Reason::IntraL0, sources, output, motion: Motion::MoveIfClean };
        if window.len() >= least { draft.plan(tree, busy) } else { None }
    }

    /// A file of the oldest run of `level` into the next level. If the level is within its target, or the next one takes
    /// nothing, a file of the oldest run but one goes into the oldest.
    pub(super) fn pick_level<K: Key>(
        &self,
        tree: &Tree<K>,
        busy: &Busy<K>,
        level: usize,
        targets: &Targets,
    ) -> Option<Plan<K>> {
        debug_assert!(level > 0, "level 0 has a function of its own");
        let runs = tree.levels()[level].runs();
        let oldest = runs.last()?;
        let place = Place { level, rank: oldest.rank() };
        let is_over = tree.levels()[level].bytes() > targets.bytes[level] / 100 * 85;
        if level < tree.last_level() && is_over && !self.stops(tree, level + 1, targets) {
            let plan = self.pick_file(tree, busy, (place, oldest), newest_place(tree, level + 1));
            if plan.is_some() {
                return plan;
            }
        }
        let newer = runs.len().checked_sub(2).map(|at| &runs[at])?;
        self.pick_file(tree, busy, (Place { level, rank: newer.rank() }, newer), place)
    }

    /// The file of `run` that overlaps the fewest bytes of the output's run for each byte of its own, with its neighbours
    /// that overlap nothing more.
    fn pick_file<K: Key>(
        &self,
        tree: &Tree<K>,
        busy: &Busy<K>,
        (place, run): (Place, &Run<K>),
        output: Place,
    ) -> Option<Plan<K>> {
        debug_assert!(place < output, "entries go to older places");
        let below = tree.run(output).map_or(&[][..], Run::files);
        let cost = |file: &File<K>| {
            let overlap = overlap::overlapping_bytes(below, &file.smallest, &file.largest);
            overlap as f64 / weight(file, tree.expiry_horizon())
        };
        let free = run.files().iter().enumerate().filter(|(_, file)| !busy.has(file));
        let mut candidates: Vec<(f64, usize)> = free.map(|(at, file)| (cost(file), at)).collect();
        candidates.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        candidates.into_iter().find_map(|(_, at)| {
            let files = self.with_neighbours(run.files(), at, below, busy);
            let motion = self.motion(tree, &files, output);
            let sources = vec![Input { place, files }];
            Draft { reason: Reason::Size, sources, output, motion }.plan(tree, busy)
        })
    }

    /// The file at `at` and those beside it that lie within the range which its overlaps below make part of the plan
    /// anyway.
    fn with_neighbours<K: Key>(
        &self,
        files: &[File<K>],
        at: usize,
        below: &[File<K>],
        busy: &Busy<K>,
    ) -> Vec<File<K>> {
        let seed = &files[at];
        let overlapped = &below[overlap::overlapping(below, &seed.smallest, &seed.largest)];
        let ends = overlap::hull(overlapped.iter().chain([seed]));
        let Some((smallest, largest)) = ends else { return vec![seed.clone()] };
        let mut bytes: u64 = seed.bytes + overlapped.iter().map(|file| file.bytes).sum::<u64>();
        let mut fits = |file: &File<K>| {
            bytes = bytes.saturating_add(file.bytes);
            let is_inside = smallest <= file.smallest && file.largest <= largest;
            is_inside && bytes <= self.options.max_input_bytes && !busy.has(file)
        };
        let before = files[..at].iter().rev().take_while(|file| fits(file)).count();
        let after = files[at + 1..].iter().take_while(|file| fits(file)).count();
        debug_assert!(before <= at && at + after < files.len(), "neighbours are in the run");
        files[at - before..=at + after].to_vec()
    }

    /// A file that overlaps much of the level after the next is rewritten, so that its outputs overlap less.
    fn motion<K: Key>(&self, tree: &Tree<K>, files: &[File<K>], output: Place) -> Motion {
        let runs = tree.levels().get(output.level + 1).map_or(&[][..], |level| level.runs());
        let overlap = |file: &File<K>| -> u64 {
            let bytes = |run: &Run<K>| {
                overlap::overlapping_bytes(run.files(), &file.smallest, &file.largest)
            };
            runs.iter().map(bytes).sum()
        };
        let limit = self.options.max_grandparent_files.saturating_mul(self.options.file_bytes);
        let is_wide = files.iter().any(|file| overlap(file) > limit);
        if is_wide { Motion::Rewrite } else { Motion::MoveIfClean }
    }
}

/// All files of `runs`, which are those of `level`.
fn inputs<K: Key>(level: usize, runs: &[Run<K>]) -> Vec<Input<K>> {
    runs.iter().map(|run| draft::whole((Place { level, rank: run.rank() }, run))).collect()
}

/// The bytes that a file takes from its level, with those that its tombstones and expired entries free below.
fn weight<K: Key>(file: &File<K>, expiry_horizon: u64) -> f64 {
    let dead = file.dead(expiry_horizon);
    let freed = file.bytes as f64 * dead as f64 / file.entries.max(1) as f64;
    debug_assert!(file.is_sound(), "tombstones are some of the entries");
    (file.bytes as f64 + freed).max(1.0)
}
