//! A tree with the real entries of its files, and the answers that reads of it must give.

use std::collections::{BTreeMap, BTreeSet};

use lsm::compaction::{Busy, DropGuard, File, FileId, OutputCutter, Plan, Strategy, Tree};

/// One entry; entries order by key, the newest of a key first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: u64,
    pub(crate) sequence: u64,
    pub(crate) is_tombstone: bool,
    pub(crate) bytes: u64,
}

/// Which sequence number wins for each key, and whether it is a tombstone.
type Oracle = BTreeMap<u64, (u64, bool)>;

/// A tree, its entries and the compactions in flight.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) tree: Tree<u64>,
    pub(crate) busy: Busy<u64>,
    pub(crate) in_flight: Vec<(Plan<u64>, DropGuard<u64>)>,
    contents: BTreeMap<FileId, Vec<Entry>>,
    oracle: Oracle,
    snapshot: Option<(u64, Oracle)>,
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
            contents: BTreeMap::new(),
            oracle: Oracle::new(),
            snapshot: None,
            next_file: 1,
            sequence: 0,
            flushed: 0,
            compacted: 0,
        }
    }

    /// Writes each operation, a key with its bytes or `None` for a tombstone, and flushes them as files of at most
    /// `file_entries`.
    pub(crate) fn flush(&mut self, operations: &[(u64, Option<u64>)], file_entries: usize) {
        let mut memtable = BTreeMap::new();
        for (key, put) in operations {
            self.sequence += 1;
            let bytes = put.unwrap_or(20);
            let is_tombstone = put.is_none();
            memtable
                .insert(*key, Entry { key: *key, sequence: self.sequence, is_tombstone, bytes });
            self.oracle.insert(*key, (self.sequence, is_tombstone));
        }
        let entries: Vec<Entry> = memtable.into_values().collect();
        let files = entries.chunks(file_entries).map(|part| self.file(part.to_vec()));
        let files: Vec<File<u64>> = files.collect();
        self.flushed += files.iter().map(|file| file.bytes).sum::<u64>();
        self.tree.set_now(self.tree.now() + 1);
        self.tree.flush(files);
    }

    fn file(&mut self, entries: Vec<Entry>) -> File<u64> {
        let id = self.next_file;
        self.next_file += 1;
        let file = File {
            id,
            bytes: entries.iter().map(|entry| entry.bytes).sum(),
            smallest: entries[0].key,
            largest: entries[entries.len() - 1].key,
            entries: entries.len() as u64,
            tombstones: entries.iter().filter(|entry| entry.is_tombstone).count() as u64,
            newest: entries.iter().map(|entry| entry.sequence).max().unwrap(),
            created: self.tree.now(),
        };
        self.contents.insert(id, entries);
        file
    }

    /// Keeps a snapshot of now, or lets it go.
    pub(crate) fn toggle_snapshot(&mut self) {
        self.snapshot = match self.snapshot {
            Some(_) => None,
            None => Some((self.sequence, self.oracle.clone())),
        };
        let horizon = self.snapshot.as_ref().map_or(u64::MAX, |(sequence, _)| *sequence);
        self.tree.set_horizon(horizon);
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
        if plan.is_move {
            plan.install(&mut self.tree, plan.moved());
            return;
        }
        let merged = self.merge(&plan, |key, sequence| may_drop(guard.may_drop(key, sequence)));
        let (target, limit) = (strategy.target_file_bytes(), strategy.max_grandparent_bytes());
        let mut cutter = OutputCutter::new(&plan, &self.tree, target, limit);
        let mut parts: Vec<Vec<Entry>> = Vec::new();
        let mut last_key = None;
        for entry in merged {
            // The entries of one key stay together.
            let is_new_key = last_key != Some(entry.key);
            if parts.is_empty() || (is_new_key && cutter.cuts_before(&entry.key)) {
                parts.push(Vec::new());
            }
            cutter.add(entry.bytes);
            last_key = Some(entry.key);
            parts.last_mut().unwrap().push(entry);
        }
        let outputs: Vec<File<u64>> = parts.into_iter().map(|part| self.file(part)).collect();
        self.compacted += outputs.iter().map(|file| file.bytes).sum::<u64>();
        for file in plan.files() {
            self.contents.remove(&file.id);
        }
        plan.install(&mut self.tree, outputs);
    }

    /// The entries of the plan that are still needed. An input that is newer has its entries first, whatever their
    /// sequence numbers: the place is the age.
    fn merge(&self, plan: &Plan<u64>, may_drop: impl Fn(&u64, u64) -> bool) -> Vec<Entry> {
        let mut by_key = BTreeMap::<u64, Vec<Entry>>::new();
        for file in plan.files() {
            for entry in &self.contents[&file.id] {
                by_key.entry(entry.key).or_default().push(*entry);
            }
        }
        let horizon = self.tree.horizon();
        let mut merged = Vec::new();
        for entries in by_key.into_values() {
            // Entries that are newer than the snapshot, without those that the first one hides, and the newest other one.
            let cut = entries.iter().position(|entry| entry.sequence <= horizon);
            let needed = [Some(0), cut].into_iter().flatten().collect::<BTreeSet<_>>();
            for at in needed {
                let entry = entries[at];
                let goes = entry.is_tombstone && may_drop(&entry.key, entry.sequence);
                if !goes {
                    merged.push(entry);
                }
            }
        }
        merged
    }

    /// The first entry of `key` that a read at `sequence` finds.
    fn find(&self, key: u64, sequence: u64) -> Option<Entry> {
        self.tree.runs().find_map(|(_, run)| {
            let file = &run.files()[run.overlapping(&key, &key)];
            let entries = &self.contents[&file.first()?.id];
            let start = entries.partition_point(|entry| entry.key < key);
            let of_key = entries[start..].iter().take_while(|entry| entry.key == key);
            of_key.copied().find(|entry| entry.sequence <= sequence)
        })
    }

    /// P2 and P3.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.tree.check().map_err(|text| format!("P2: {text}"))?;
        self.check_reads(u64::MAX, &self.oracle)?;
        let snapshot = self.snapshot.as_ref();
        snapshot.map_or(Ok(()), |(sequence, oracle)| self.check_reads(*sequence, oracle))
    }

    fn check_reads(&self, sequence: u64, oracle: &Oracle) -> Result<(), String> {
        for (key, (newest, is_tombstone)) in oracle {
            let found = self.find(*key, sequence);
            let is_right = match found {
                Some(entry) => entry.sequence == *newest,
                None => *is_tombstone,
            };
            if !is_right {
                return Err(format!("P3: key {key} at {sequence}: {found:?} instead of {newest}"));
            }
        }
        Ok(())
    }
}
