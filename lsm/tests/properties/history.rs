//! A random history of flushes, compactions, snapshots and changes of the strategy, checked after each step.

use std::collections::BTreeSet;

use lsm::compaction::{FileId, Plan, Urgency, pick_files, pick_range};

use crate::checks;
use crate::oracle::Operation;
use crate::presets::{self, Boxed, LEVELS};
use crate::random::Random;
use crate::world::World;

/// How a history differs from the plain one.
pub(crate) struct Shape {
    /// The first strategy.
    pub(crate) kind: u64,
    /// Other strategies take over in the middle.
    pub(crate) switches: bool,
    /// So many plans are in flight at once.
    pub(crate) in_flight: usize,
    pub(crate) steps: u64,
    /// Changes each strategy; a mistake, or nothing.
    pub(crate) wrap: fn(Boxed) -> Boxed,
    /// Changes the decision about tombstones.
    pub(crate) may_drop: fn(bool) -> bool,
}

impl Shape {
    pub(crate) fn plain(kind: u64) -> Self {
        let wrap = |strategy| strategy;
        let may_drop = |answer| answer;
        Self { kind, switches: false, in_flight: 1, steps: 150, wrap, may_drop }
    }

    pub(crate) fn switching(kind: u64) -> Self {
        Self { switches: true, in_flight: 3, ..Self::plain(kind) }
    }
}

struct History {
    random: Random,
    world: World,
    strategy: Boxed,
    keys: u64,
    deletes_of_ten: u64,
    expiring_of_ten: u64,
    /// One operation in so many deletes a range; with 0, none.
    range_every: u64,
}

/// Runs the history of `seed`; the error names the property.
pub(crate) fn run(seed: u64, shape: &Shape) -> Result<(), String> {
    let mut random = Random::new(seed);
    let strategy = (shape.wrap)(presets::strategy(shape.kind, &mut random));
    let keys = 20 + random.below(400);
    let deletes_of_ten = random.below(8);
    let expiring_of_ten = if random.one_in(2) { random.below(9) } else { 0 };
    let range_every = if random.one_in(2) { 10 + random.below(90) } else { 0 };
    let mut world = World::new(LEVELS);
    world.threads = 1 + random.below(4) as usize;
    world.splits_at_ranges = random.one_in(2);
    let mut history =
        History { random, world, strategy, keys, deletes_of_ten, expiring_of_ten, range_every };
    for step in 0..shape.steps {
        let outcome = history.step(shape);
        outcome.map_err(|text| format!("seed {seed}, step {step}: {text}"))?;
    }
    history.rest(shape).map_err(|text| format!("seed {seed}, at the end: {text}"))
}

impl History {
    fn step(&mut self, shape: &Shape) -> Result<(), String> {
        match self.random.below(12) {
            0..5 => self.flush()?,
            5..8 => self.begin(shape)?,
            8..11 => self.finish(shape)?,
            _ if self.random.one_in(3) => self.world.toggle_snapshot(),
            _ if shape.switches => {
                let kind = self.random.next();
                self.strategy = (shape.wrap)(presets::strategy(kind, &mut self.random));
            }
            _ => {}
        }
        self.world.check()
    }

    fn flush(&mut self) -> Result<(), String> {
        // Now and then a memtable is small, or all its keys lie side by side.
        let count = if self.random.one_in(5) { 1 + self.random.below(10) } else { 20 };
        let (from, keys) = match self.random.below(4) {
            0 => (self.random.below(self.keys), 30),
            _ => (0, self.keys),
        };
        let mut operations = Vec::new();
        for _ in 0..count {
            let key = (from + self.random.below(keys)) % self.keys;
            operations.push(self.operation(key));
        }
        let file_entries = 5 + self.random.below(40) as usize;
        let (before, bytes_before) = (self.debt(), self.world.tree.bytes());
        self.world.flush(&operations, file_entries);
        self.check_debt(before, self.world.tree.bytes() - bytes_before)
    }

    fn operation(&mut self, key: u64) -> Operation {
        if self.range_every > 0 && self.random.one_in(self.range_every) {
            let largest = key + self.random.below(1 + self.keys / 4);
            return Operation::DeleteRange { smallest: key, largest };
        }
        if self.random.below(10) < self.deletes_of_ten {
            return Operation::Delete { key };
        }
        let is_expiring = self.random.below(10) < self.expiring_of_ten;
        let expires = is_expiring.then(|| self.world.tree.now() + self.random.below(40));
        Operation::Put { key, bytes: 50 + self.random.below(100), expires }
    }

    /// The debt, and the most that a byte adds to it.
    fn debt(&self) -> (u64, u64) {
        (self.strategy.debt(&self.world.tree), self.strategy.debt_factor(&self.world.tree))
    }

    /// Picks a plan, and checks P4, P5 and the properties of a single plan on it.
    fn begin(&mut self, shape: &Shape) -> Result<(), String> {
        if self.world.in_flight.len() >= shape.in_flight {
            return Ok(());
        }
        let urgency = if self.random.one_in(4) { Urgency::Eligible } else { Urgency::Mandatory };
        let plan = self.strategy.pick(&self.world.tree, &self.world.busy, urgency);
        let is_due = |score: f64| score >= urgency.threshold();
        let mut scores = self.strategy.scores(&self.world.tree).into_iter();
        let due = scores.find(|score| is_due(score.value));
        let Some(plan) = plan else {
            let idle = self.world.in_flight.is_empty();
            return match due {
                Some(score) if idle => Err(format!("P5: {score:?} is due and there is no plan")),
                _ => Ok(()),
            };
        };
        checks::beside(&plan, &self.world)?;
        checks::plan(&plan, &*self.strategy, &self.world)?;
        self.world.begin(plan);
        Ok(())
    }

    /// Installs a plan in flight, not always the first one, and checks P7.
    fn finish(&mut self, shape: &Shape) -> Result<(), String> {
        let count = self.world.in_flight.len();
        if count == 0 {
            return Ok(());
        }
        let at = self.random.below(count as u64) as usize;
        let removed = self.world.in_flight[at].0.input_bytes();
        let (before, bytes_before) = (self.debt(), self.world.tree.bytes());
        self.world.finish(at, &*self.strategy, shape.may_drop);
        let added = (self.world.tree.bytes() + removed).saturating_sub(bytes_before);
        self.check_debt(before, added + removed)
    }

    /// P7.
    fn check_debt(&self, (before, factor): (u64, u64), changed: u64) -> Result<(), String> {
        let (after, factor_after) = self.debt();
        let factor = factor.max(factor_after);
        // Divisions of targets are rounded down, once a level.
        let rounding = factor * LEVELS as u64;
        if after.abs_diff(before) > changed * factor + rounding {
            return Err(format!("P7: {before} became {after} with {changed} bytes (x {factor})"));
        }
        Ok(())
    }

    /// P1 and the live half of P6: the tree comes to rest, and no file has so many tombstones that it is to be compacted.
    fn rest(&mut self, shape: &Shape) -> Result<(), String> {
        self.world.drop_snapshot();
        while !self.world.in_flight.is_empty() {
            self.finish(shape)?;
        }
        // First the compactions that are necessary, then those of an idle device.
        self.rest_at(Urgency::Mandatory, shape)?;
        checks::rest(&*self.strategy, &self.world, Urgency::Mandatory)?;
        self.rest_at(Urgency::Eligible, shape)?;
        checks::rest(&*self.strategy, &self.world, Urgency::Eligible)?;
        self.compact_requested(shape)
    }

    /// P13.
    fn compact_requested(&mut self, shape: &Shape) -> Result<(), String> {
        let all = self.world.tree.runs().flat_map(|(_, run)| run.files());
        let ids: BTreeSet<FileId> = all.map(|file| file.id).filter(|id| id % 3 == 0).collect();
        self.rest_of(shape, |history| pick_files(&history.world.tree, &history.world.busy, &ids))?;
        checks::files(&self.world, &ids)?;
        let smallest = self.random.below(self.keys);
        let largest = smallest + self.random.below(self.keys);
        self.rest_of(shape, |history| {
            pick_range(&history.world.tree, &history.world.busy, (&smallest, &largest), &|_| true)
        })?;
        checks::range(&self.world, smallest, largest)
    }

    fn rest_at(&mut self, urgency: Urgency, shape: &Shape) -> Result<(), String> {
        let outcome = self.rest_of(shape, |history| {
            history.strategy.pick(&history.world.tree, &history.world.busy, urgency)
        });
        outcome.map_err(|text| format!("{urgency:?}: {text}"))
    }

    /// Does all plans that `pick` makes, one after the other.
    fn rest_of(
        &mut self,
        shape: &Shape,
        pick: impl Fn(&Self) -> Option<Plan<u64>>,
    ) -> Result<(), String> {
        let files: usize = self.world.tree.runs().map(|(_, run)| run.files().len()).sum();
        // Each file goes down each level at most once, and what it overlaps goes with it.
        let budget = 20 * (files + 10) * LEVELS;
        for _ in 0..budget {
            let Some(plan) = pick(self) else { return Ok(()) };
            checks::plan(&plan, &*self.strategy, &self.world)?;
            self.world.begin(plan);
            self.finish(shape)?;
            self.world.check()?;
        }
        Err(format!("P1: no rest after {budget} compactions of {files} files"))
    }
}
