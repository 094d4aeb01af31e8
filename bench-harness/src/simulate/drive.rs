//! A strategy at work: flushes and compactions one after the other, and what they cost.

use std::collections::HashMap;

use lsm::compaction::{
    Action, Busy, DropGuard, File, FileId, OutputCutter, Plan, Strategy, Tree, Urgency,
};

use super::model::{Flush, Model, Part};

/// What a part of the simulation has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cost {
    /// Bytes written to tables for each byte of the user.
    pub(super) write: f64,
    /// Runs that a read of an absent key asks without filters, on average after each flush.
    pub(super) read: f64,
    /// Bytes of all tables for each live byte, on average after each flush.
    pub(super) space: f64,
    /// The same at most, with inputs and outputs of the compaction at work.
    pub(super) space_peak: f64,
    pub(super) flushes: u64,
    pub(super) compactions: u64,
    /// Compactions that only changed the places of files.
    pub(super) moves: u64,
    /// Levels below 0 with files, at the end.
    pub(super) levels: u64,
}

/// Sums from which a cost is made.
#[derive(Clone, Copy, Debug, Default)]
struct Meter {
    /// Bytes written by the user.
    user: f64,
    /// Bytes written to tables.
    written: f64,
    /// Runs after each flush, summed up.
    runs: f64,
    /// Bytes of all tables for each live byte after each flush, summed up.
    space: f64,
    /// The same at most, inputs and outputs of a compaction included.
    peak: f64,
    flushes: u64,
    compactions: u64,
    moves: u64,
}

/// A tree under a workload.
pub(super) struct Simulation<'s, M: Model> {
    strategy: &'s dyn Strategy<u64>,
    model: M,
    tree: Tree<u64>,
    contents: HashMap<FileId, M::Content>,
    next_file: FileId,
    meter: Meter,
}

impl<'s, M: Model> Simulation<'s, M> {
    pub(super) fn new(strategy: &'s dyn Strategy<u64>, model: M, levels: usize) -> Self {
        let tree = Tree::new(levels);
        let contents = HashMap::new();
        Self { strategy, model, tree, contents, next_file: 1, meter: Meter::default() }
    }

    /// Loads every key in the order of the keys.
    pub(super) fn load(&mut self) -> Cost {
        self.meter = Meter::default();
        while let Some(flush) = self.model.load() {
            // Each key is loaded once, so all that is loaded is live.
            let live = self.meter.user + flush.user_bytes;
            self.step(flush, live);
        }
        self.cost()
    }

    /// Writes the workload until the user has written so many times the live bytes.
    pub(super) fn run(&mut self, times: f64) -> Cost {
        self.meter = Meter::default();
        let live = self.model.live_bytes();
        while self.meter.user < times * live {
            let flush = self.model.flush();
            self.step(flush, live);
        }
        self.cost()
    }

    /// Flushes and compacts a store that has so many live bytes after the flush.
    fn step(&mut self, flush: Flush<M::Content>, live: f64) {
        self.meter.user += flush.user_bytes;
        self.meter.flushes += 1;
        let files = self.keep(flush.parts);
        self.meter.written += files.iter().map(|file| file.bytes as f64).sum::<f64>();
        self.tree.set_now(self.tree.now() + 1);
        self.tree.flush(files);
        self.meter.peak = self.meter.peak.max(self.tree.bytes() as f64 / live);
        let idle = Busy::default();
        while let Some(plan) = self.strategy.pick(&self.tree, &idle, Urgency::Mandatory) {
            self.compact(&plan, live);
        }
        let files = self.tree.runs().map(|(_, run)| run.files().len()).sum::<usize>();
        debug_assert_eq!(self.contents.len(), files, "each file has a content");
        self.meter.runs += self.tree.runs().count() as f64;
        self.meter.space += self.tree.bytes() as f64 / live;
    }

    fn keep(&mut self, parts: Vec<Part<M::Content>>) -> Vec<File<u64>> {
        let created = self.tree.now();
        let keep = |part: Part<M::Content>| {
            let Part { smallest, largest, entries, tombstones, bytes, content } = part;
            let id = self.next_file;
            self.next_file += 1;
            self.contents.insert(id, content);
            File { tombstones, created, ..File::new(id, (smallest, largest), entries, bytes) }
        };
        parts.into_iter().map(keep).collect()
    }

    fn compact(&mut self, plan: &Plan<u64>, live: f64) {
        self.meter.compactions += 1;
        if plan.is_move() {
            self.meter.moves += 1;
            plan.install(&mut self.tree, plan.moved());
            return;
        }
        let parts = if plan.action == Action::Drop { Vec::new() } else { self.merge(plan) };
        let outputs = self.keep(parts);
        let written: u64 = outputs.iter().map(|file| file.bytes).sum();
        self.meter.written += written as f64;
        self.meter.peak = self.meter.peak.max((self.tree.bytes() + written) as f64 / live);
        for file in plan.files() {
            self.contents.remove(&file.id);
        }
        plan.install(&mut self.tree, outputs);
    }

    /// The outputs of `plan`.
    fn merge(&self, plan: &Plan<u64>) -> Vec<Part<M::Content>> {
        let guard = DropGuard::new(plan, &self.tree);
        let target = self.strategy.target_file_bytes();
        let limit = self.strategy.max_grandparent_bytes();
        let mut cutter = OutputCutter::new(plan, &self.tree, target, limit);
        let content = |file: &File<u64>| &self.contents[&file.id];
        let sources = plan.inputs.iter();
        let sources =
            sources.map(|input| input.files.iter().map(|file| (file, content(file))).collect());
        let sources: Vec<Vec<_>> = sources.collect();
        self.model.merge(&sources, &guard, &mut cutter)
    }

    fn cost(&self) -> Cost {
        let Meter { user, written, runs, space, peak, flushes, compactions, moves } = self.meter;
        let samples = flushes.max(1) as f64;
        assert!(moves <= compactions, "a move is a compaction");
        let filled = self.tree.levels()[1..].iter().filter(|level| !level.is_empty());
        Cost {
            write: written / user.max(1.0),
            read: runs / samples,
            space: space / samples,
            space_peak: peak,
            flushes,
            compactions,
            moves,
            levels: filled.count() as u64,
        }
    }
}
