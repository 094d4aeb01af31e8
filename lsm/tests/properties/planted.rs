//! One mistake for each property, and the proof that the histories find it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lsm::compaction::{
    Action, Busy, File, Input, Place, Plan, Reason, Score, Strategy, Tree, Urgency,
};

use crate::checks;
use crate::history::{self, Shape};
use crate::oracle::Operation;
use crate::presets::{Boxed, KINDS};
use crate::world::World;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mistake {
    /// A tree at rest has its oldest file rewritten.
    NeverRests,
    /// A file that the outputs overlap is left out of the inputs.
    ForgetsOverlap,
    /// Buckets are made by size alone, as in Cassandra.
    IgnoresAge,
    /// Plans in flight are not looked at.
    IgnoresBusy,
    /// Level 0 is never compacted.
    SkipsLevel0,
    /// The debt counts everything once a level is due, and nothing before.
    DebtJumps,
    /// Each compaction takes all files.
    TakesEverything,
    /// A file goes if a range tombstone has its keys, whichever is newer.
    DropsNewer,
    /// A file of tombstones and expired entries goes, whatever lies below it.
    DropsAboveOlder,
    /// A level at its limit counts as stopped, and takes files nevertheless.
    MovesIntoStopped,
}

/// A strategy with a mistake.
#[derive(Debug)]
pub(crate) struct Mistaken {
    pub(crate) inner: Boxed,
    pub(crate) mistake: Mistake,
}

fn plan_of(mut inputs: Vec<Input<u64>>, reason: Reason) -> Option<Plan<u64>> {
    inputs.sort_by_key(|input| input.place);
    let output = inputs.last()?.place;
    let files = || inputs.iter().flat_map(|input| &input.files);
    let smallest = files().map(|file| file.smallest).min()?;
    let largest = files().map(|file| file.largest).max()?;
    let (action, unseen_from) = (Action::Rewrite, 0);
    Some(Plan { reason, smallest, largest, inputs, output, action, unseen_from })
}

fn whole(tree: &Tree<u64>) -> Vec<Input<u64>> {
    tree.runs().map(|(place, run)| Input { place, files: run.files().to_vec() }).collect()
}

fn oldest_file(tree: &Tree<u64>) -> Option<(Place, &File<u64>)> {
    tree.runs().last().map(|(place, run)| (place, &run.files()[0]))
}

fn files(tree: &Tree<u64>) -> impl Iterator<Item = (Place, &File<u64>)> {
    tree.runs().flat_map(|(place, run)| run.files().iter().map(move |file| (place, file)))
}

/// The removal of a file for which `goes` holds, without further checks.
fn drop_of(
    tree: &Tree<u64>,
    busy: &Busy<u64>,
    goes: impl Fn(&File<u64>) -> bool,
) -> Option<Plan<u64>> {
    let mut gone = files(tree).filter(|(_, file)| !busy.has(file) && goes(file));
    gone.find_map(|(place, file)| {
        let mut plan = plan_of(vec![Input { place, files: vec![file.clone()] }], Reason::Obsolete)?;
        plan.action = Action::Drop;
        busy.allows(&plan).then_some(plan)
    })
}

impl Mistaken {
    /// Three runs of similar size, adjacent or not.
    fn bucket_by_size(tree: &Tree<u64>, busy: &Busy<u64>) -> Option<Plan<u64>> {
        let mut runs = whole(tree);
        runs.sort_by_key(Input::bytes);
        runs.truncate(3);
        let plan = plan_of(runs, Reason::Size).filter(|plan| plan.inputs.len() == 3)?;
        (busy.is_idle() && plan.output.level == 0).then_some(plan)
    }
}

impl Strategy<u64> for Mistaken {
    fn pick(&self, tree: &Tree<u64>, busy: &Busy<u64>, urgency: Urgency) -> Option<Plan<u64>> {
        let none = Busy::default();
        let plan = self.inner.pick(tree, busy, urgency);
        match self.mistake {
            Mistake::NeverRests => plan.or_else(|| {
                let (place, file) = oldest_file(tree).filter(|(_, file)| !busy.has(file))?;
                let inputs = vec![Input { place, files: vec![file.clone()] }];
                plan_of(inputs, Reason::Tombstones).filter(|plan| busy.allows(plan))
            }),
            Mistake::ForgetsOverlap => plan.map(|mut plan| {
                let last = plan.inputs.last_mut().filter(|input| input.files.len() > 1);
                if let Some(input) = last.filter(|input| input.place == plan.output) {
                    input.files.pop();
                }
                plan
            }),
            Mistake::IgnoresAge => Self::bucket_by_size(tree, busy).or(plan),
            Mistake::IgnoresBusy => self.inner.pick(tree, &none, urgency),
            Mistake::SkipsLevel0 => {
                plan.filter(|plan| plan.inputs.iter().all(|input| input.place.level > 0))
            }
            Mistake::DebtJumps | Mistake::MovesIntoStopped => plan,
            Mistake::DropsNewer => {
                let ranges = files(tree).flat_map(|(_, file)| &file.reclaimable.range_tombstones);
                let ranges: Vec<_> = ranges.collect();
                let is_deleted = |file: &File<u64>| {
                    ranges.iter().any(|range| range.contains(&file.smallest, &file.largest))
                };
                drop_of(tree, busy, is_deleted).or(plan)
            }
            Mistake::DropsAboveOlder => {
                drop_of(tree, busy, |file| file.is_dead(tree.expiry_horizon())).or(plan)
            }
            Mistake::TakesEverything => {
                let plan = plan.filter(|_| busy.is_idle()).map(|_| whole(tree));
                plan.and_then(|inputs| plan_of(inputs, Reason::Size))
            }
        }
    }

    fn is_stopped(&self, tree: &Tree<u64>, level: usize) -> bool {
        match self.mistake {
            Mistake::MovesIntoStopped => self.inner.scores(tree)[level].value >= 1.0,
            _ => self.inner.is_stopped(tree, level),
        }
    }

    fn scores(&self, tree: &Tree<u64>) -> Vec<Score> {
        self.inner.scores(tree)
    }

    fn debt(&self, tree: &Tree<u64>) -> u64 {
        let is_due = self.scores(tree).iter().any(|score| score.value >= 1.0);
        match self.mistake {
            Mistake::DebtJumps if is_due => tree.bytes() * self.debt_factor(tree),
            Mistake::DebtJumps => 0,
            _ => self.inner.debt(tree),
        }
    }

    fn debt_factor(&self, tree: &Tree<u64>) -> u64 {
        self.inner.debt_factor(tree)
    }

    fn max_input_bytes(&self) -> Option<u64> {
        self.inner.max_input_bytes()
    }

    fn target_file_bytes(&self) -> u64 {
        self.inner.target_file_bytes()
    }

    fn max_grandparent_bytes(&self) -> u64 {
        self.inner.max_grandparent_bytes()
    }
}

/// The outcome of a history; a panic of an assertion counts as found, with its text.
fn outcome(seed: u64, shape: &Shape) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| history::run(seed, shape))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        Err(text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default())
    })
}

/// Some history of each kind of strategy in `kinds` fails with one of `texts`.
fn is_found(kinds: &[u64], texts: &[&str], shape: impl Fn(u64) -> Shape) {
    for kind in kinds {
        let mut outcomes = (0..60).map(|seed| outcome(seed, &shape(*kind)));
        let found = outcomes.find_map(Result::err);
        let found = found.unwrap_or_else(|| panic!("kind {kind}: nothing found"));
        assert!(texts.iter().any(|text| found.contains(text)), "kind {kind}: {found}");
    }
}

const ALL: [u64; KINDS as usize] = [0, 1, 2];

macro_rules! wrapped {
    ($mistake:ident) => {
        |kind| Shape {
            wrap: |inner| Box::new(Mistaken { inner, mistake: Mistake::$mistake }),
            ..Shape::plain(kind)
        }
    };
}

#[test]
fn p1_finds_a_strategy_that_never_rests() {
    is_found(&ALL, &["P1"], wrapped!(NeverRests));
}

#[test]
fn p2_finds_outputs_that_overlap_a_file_of_their_run() {
    is_found(&[0], &["P2", "do not overlap"], wrapped!(ForgetsOverlap));
}

#[test]
fn p3_finds_buckets_that_ignore_age() {
    is_found(&[1, 2], &["P3"], wrapped!(IgnoresAge));
}

#[test]
fn p4_finds_a_strategy_that_ignores_plans_in_flight() {
    let shape = wrapped!(IgnoresBusy);
    is_found(&ALL, &["P4"], |kind| Shape { in_flight: 3, ..shape(kind) });
}

#[test]
fn p5_finds_a_strategy_that_leaves_level_0_alone() {
    is_found(&ALL, &["P5"], wrapped!(SkipsLevel0));
}

#[test]
fn p6_finds_tombstones_that_go_too_early() {
    is_found(&ALL, &["P3"], |kind| Shape { may_drop: |_| true, ..Shape::plain(kind) });
}

#[test]
fn p6_finds_tombstones_that_never_go() {
    let texts = &["P1", "P6"];
    is_found(&ALL, texts, |kind| Shape { may_drop: |_| false, ..Shape::plain(kind) });
}

#[test]
fn p7_finds_a_debt_that_jumps() {
    is_found(&ALL, &["P7"], wrapped!(DebtJumps));
}

#[test]
fn p10_finds_a_plan_without_a_limit() {
    is_found(&[0], &["P10"], wrapped!(TakesEverything));
}

#[test]
fn p6_finds_files_that_go_with_entries_newer_than_the_range_tombstone() {
    is_found(&ALL, &["P3"], wrapped!(DropsNewer));
}

#[test]
fn p6_finds_files_that_go_with_tombstones_that_hide_older_entries() {
    is_found(&ALL, &["P3"], wrapped!(DropsAboveOlder));
}

#[test]
fn p11_finds_a_plan_that_moves_files_into_a_stopped_level() {
    is_found(&[0], &["P11"], wrapped!(MovesIntoStopped));
}

#[test]
fn p13_finds_a_key_in_two_runs_and_a_tombstone() {
    let mut twice = World::new(4);
    twice.flush(&[Operation::put(5, 10)], 10);
    assert_eq!(checks::range(&twice, 0, 10), Ok(()));
    twice.flush(&[Operation::put(5, 10)], 10);
    assert!(checks::range(&twice, 0, 10).is_err_and(|text| text.contains("an older run")));
    let mut deleted = World::new(4);
    deleted.flush(&[Operation::Delete { key: 5 }], 10);
    assert!(checks::range(&deleted, 0, 10).is_err_and(|text| text.contains("obsolete entries")));
    assert_eq!(checks::range(&deleted, 6, 10), Ok(()), "outside the range");
}
