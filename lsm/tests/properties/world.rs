//! A tree with the real entries of its files, and the answers that reads of it must give.

use std::collections::{BTreeMap, BTreeSet};

use lsm::compaction::{
    Action, Busy, DropGuard, File, FileId, OutputCutter, Plan, RangeTombstone, Strategy, Tree,
};

use crate::contents::{Content, Entry};
use crate::oracle::{Operation, Oracle};

/// A reader that sees the tree as it was.
#[derive(Debug)]
struct Snapshot {
    sequence: u64,
    now: u64,
    oracle: Oracle,
}

/// A tree, its entries and the compactions in flight.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) tree: Tree<u64>,
    pub(crate) busy: Busy<u64>,
    pub(crate) in_flight: Vec<(Plan<u64>, DropGuard<u64>)>,
    /// Each compaction is divided into at most so many parts.
    pub(crate) threads: usize,
    /// A flush ends files where range tombstones begin and end. Otherwise a range can make a file as wide as itself.
    pub(crate) splits_at_ranges: bool,
    contents: BTreeMap<FileId, Content>,
    oracle: Oracle,
    snapshot: Option<Snapshot>,
    next_file: FileId,
    sequence: u64,
    /// Bytes that flushes wrote.
    pub(crate) flushed: u64,
    /// Bytes that compactions wrote.
    pub(crate) compacted: u64,
}

impl World {
    pub(crate) fn new(levels: usize) -> Self {
        Self {
            tree: Tree::new(levels),
            busy: Busy::default(),
            in_flight: Vec::new(),
            threads: 1,
            splits_at_ranges: false,
            contents: BTreeMap::new(),
            oracle: Oracle::default(),
            snapshot: None,
            next_file: 1,
            sequence: 0,
            flushed: 0,
            compacted: 0,
        }
    }

    /// Writes each operation, and flushes them as files of at most `file_entries`.
    pub(crate) fn flush(&mut self, operations: &[Operation], file_entries: usize) {
        let memtable = self.write(operations);
        let chunks = memtable.entries.chunks(file_entries);
        let mut starts: BTreeSet<u64> = chunks.skip(1).map(|chunk| chunk[0].key).collect();
        starts.insert(0);
        if self.splits_at_ranges {
            let ranges = memtable.ranges.iter();
            starts.extend(ranges.flat_map(|range| [range.smallest, range.largest + 1]));
        }
        let files = self.keep(memtable.divide(starts.iter().copied()));
        self.flushed += files.iter().map(|file| file.bytes).sum::<u64>();
        self.tree.set_now(self.tree.now() + 1);
        self.set_horizons();
        self.tree.flush(files);
    }

    fn write(&mut self, operations: &[Operation]) -> Content {
        let (mut memtable, mut ranges) = (BTreeMap::<u64, Entry>::new(), Vec::new());
        for operation in operations {
            self.sequence += 1;
            let sequence = self.sequence;
            let entry = match *operation {
                Operation::Put { key, bytes, expires } => {
                    Entry { key, sequence, is_tombstone: false, expires, bytes }
                }
                Operation::Delete { key } => Entry::tombstone(key, sequence),
                Operation::DeleteRange { smallest, largest } => {
                    memtable.retain(|key, _| !(smallest..=largest).contains(key));
                    ranges.push(RangeTombstone { smallest, largest, sequence });
                    self.oracle.delete_range(smallest, largest, sequence);
                    continue;
                }
            };
            memtable.insert(entry.key, entry);
            self.oracle.insert(entry);
        }
        Content { entries: memtable.into_values().collect(), ranges }
    }

    fn keep(&mut self, contents: Vec<Content>) -> Vec<File<u64>> {
        let keep = |content: Content| {
            let file = content.file(self.next_file, self.tree.now());
            self.next_file += 1;
            self.contents.insert(file.id, content);
            file
        };
        contents.into_iter().map(keep).collect()
    }

    /// Keeps a snapshot of now, or lets it go.
    pub(crate) fn toggle_snapshot(&mut self) {
        let (sequence, now) = (self.sequence, self.tree.now());
        self.snapshot = match self.snapshot {
            Some(_) => None,
            None => Some(Snapshot { sequence, now, oracle: self.oracle.clone() }),
        };
        self.set_horizons();
    }

    fn set_horizons(&mut self) {
        let snapshot = self.snapshot.as_ref();
        self.tree.set_horizon(snapshot.map_or(u64::MAX, |snapshot| snapshot.sequence));
        self.tree.set_expiry_horizon(snapshot.map_or(self.tree.now(), |snapshot| snapshot.now));
    }

    pub(crate) fn drop_snapshot(&mut self) {
        if self.snapshot.is_some() {
            self.toggle_snapshot();
        }
    }

    /// Puts `plan` into flight.
    pub(crate) fn begin(&mut self, plan: Plan<u64>) {
        self.busy.begin(&plan);
        let guard = DropGuard::new(&plan, &self.tree);
        self.in_flight.push((plan, guard));
    }

    /// Merges and installs a plan in flight. `may_drop` decides about tombstones with the answer of the guard.
    pub(crate) fn finish(
        &mut self,
        at: usize,
        strategy: &dyn Strategy<u64>,
        may_drop: impl Fn(bool) -> bool,
    ) {
        let (plan, guard) = self.in_flight.swap_remove(at);
        self.busy.end(&plan);
        if plan.is_move() {
            plan.install(&mut self.tree, plan.moved());
            return;
        }
        let mut outputs = Vec::new();
        if plan.action == Action::Rewrite {
            let merged = self.merge(&plan, &guard, may_drop);
            let starts = self.starts(&plan, strategy, &merged);
            outputs = self.keep(merged.divide(starts.iter().copied()));
        }
        self.compacted += outputs.iter().map(|file| file.bytes).sum::<u64>();
        for file in plan.files() {
            self.contents.remove(&file.id);
        }
        plan.install(&mut self.tree, outputs);
    }

    /// The keys at which output files begin, each part of the plan with a cutter of its own.
    fn starts(
        &self,
        plan: &Plan<u64>,
        strategy: &dyn Strategy<u64>,
        merged: &Content,
    ) -> BTreeSet<u64> {
        let (target, limit) = (strategy.target_file_bytes(), strategy.max_grandparent_bytes());
        let mut starts = BTreeSet::new();
        for part in plan.parts(plan.anchors(), self.threads, target) {
            starts.insert(part.from);
            let cutter = OutputCutter::new(plan, &self.tree, target, limit);
            let mut cutter = cutter.for_part(&part);
            let mut last_key = None;
            for entry in merged.entries.iter().filter(|entry| part.contains(&entry.key)) {
                // The entries of one key stay together.
                if last_key != Some(entry.key) && cutter.cuts_before(&entry.key) {
                    starts.insert(entry.key);
                }
                cutter.add(entry.bytes);
                last_key = Some(entry.key);
            }
        }
        starts
    }

    /// The entries and range tombstones of the plan that are still needed. An input that is newer has its entries first,
    /// whatever their sequence numbers: the place is the age.
    fn merge(
        &self,
        plan: &Plan<u64>,
        guard: &DropGuard<u64>,
        may_drop: impl Fn(bool) -> bool,
    ) -> Content {
        let horizon = self.tree.horizon();
        let contents = || plan.files().map(|file| &self.contents[&file.id]);
        let mut ranges: Vec<_> = contents().flat_map(|content| content.ranges.clone()).collect();
        let is_deleted = |entry: &Entry| {
            let mut newer = ranges.iter().filter(|range| entry.sequence < range.sequence);
            newer.any(|range| range.sequence <= horizon && range.contains(&entry.key, &entry.key))
        };
        let mut by_key = BTreeMap::<u64, Vec<Entry>>::new();
        for entry in contents().flat_map(|content| &content.entries) {
            if !is_deleted(entry) {
                let entry = entry.expire(self.tree.expiry_horizon());
                by_key.entry(entry.key).or_default().push(entry);
            }
        }
        let mut entries = Vec::new();
        for of_key in by_key.into_values() {
            // Entries that are newer than the snapshot, without those that the first one hides, and the newest other one.
            let cut = of_key.iter().position(|entry| entry.sequence <= horizon);
            let needed = [Some(0), cut].into_iter().flatten().collect::<BTreeSet<_>>();
            let needed = needed.into_iter().map(|at| of_key[at]);
            entries.extend(needed.filter(|entry| {
                !entry.is_tombstone || !may_drop(guard.may_drop(&entry.key, entry.sequence))
            }));
        }
        ranges.retain(|range| !may_drop(guard.may_drop_range(range)));
        Content { entries, ranges }
    }

    /// The first entry of `key` that a read at `sequence` finds.
    fn find(&self, key: u64, sequence: u64) -> Option<Entry> {
        self.tree.runs().find_map(|(_, run)| {
            let file = &run.files()[run.overlapping(&key, &key)];
            self.contents[&file.first()?.id].find(key, sequence)
        })
    }

    /// P2 and P3.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.tree.check().map_err(|text| format!("P2: {text}"))?;
        self.oracle.check(self.tree.now(), |key| self.find(key, u64::MAX))?;
        self.snapshot.as_ref().map_or(Ok(()), |snapshot| {
            snapshot.oracle.check(snapshot.now, |key| self.find(key, snapshot.sequence))
        })
    }
}
