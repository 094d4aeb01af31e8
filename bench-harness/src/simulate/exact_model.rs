//! Files with their real keys: what the window model is tested against.

use std::collections::BTreeMap;

use lsm::compaction::{DropGuard, OutputCutter};

use super::model::{Flush, Model, Part, Source};
use crate::distribution::{KeyChoice, Picker};
use crate::input::TraceStep;
use crate::random::{Random, Scatter};

/// One entry: the bytes of key and value; a tombstone has no value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    key: u64,
    bytes: u64,
    is_tombstone: bool,
}

/// Where operations come from.
#[derive(Debug)]
pub(super) enum Operations {
    /// Puts of entries of one size.
    Drawn { picker: Picker, entry_bytes: u64 },
    /// Copies of a trace, each at its own place in it.
    Traced { steps: Vec<TraceStep>, key_bytes: Vec<usize>, places: Vec<usize>, scatter: Scatter },
}

impl Operations {
    pub(super) fn drawn(choice: KeyChoice, keys: u64, entry_bytes: u64) -> Self {
        Self::Drawn { picker: Picker::new(choice, keys), entry_bytes }
    }

    pub(super) fn traced(
        steps: Vec<TraceStep>,
        key_bytes: Vec<usize>,
        copies: usize,
        random: &mut Random,
    ) -> Self {
        let places = (0..copies).map(|_| random.below(steps.len() as u64) as usize).collect();
        let scatter = Scatter::new((copies * key_bytes.len()) as u64);
        Self::Traced { steps, key_bytes, places, scatter }
    }

    fn next(&mut self, random: &mut Random) -> Entry {
        match self {
            Self::Drawn { picker, entry_bytes } => {
                let key = picker.pick(random);
                Entry { key, bytes: *entry_bytes, is_tombstone: false }
            }
            Self::Traced { steps, key_bytes, places, scatter } => {
                let copy = random.below(places.len() as u64) as usize;
                let step = steps[places[copy]];
                places[copy] = (places[copy] + 1) % steps.len();
                let key = (copy * key_bytes.len()) as u64 + u64::from(step.id);
                let bytes =
                    key_bytes[step.id as usize] as u64 + step.value_bytes.map_or(0, u64::from);
                Entry { key: scatter.place(key), bytes, is_tombstone: step.value_bytes.is_none() }
            }
        }
    }
}

/// Files with their entries.
#[derive(Debug)]
pub(super) struct ExactModel {
    operations: Operations,
    random: Random,
    /// What is left of the load.
    load: std::vec::IntoIter<Entry>,
    memtable_bytes: u64,
    live_bytes: f64,
}

impl ExactModel {
    /// A store that is first loaded with `load`, in the order of its keys. `live_bytes` is their size on average.
    pub(super) fn new(
        operations: Operations,
        load: Vec<Entry>,
        memtable_bytes: u64,
        live_bytes: f64,
        random: Random,
    ) -> Self {
        Self { operations, random, load: load.into_iter(), memtable_bytes, live_bytes }
    }
}

/// Entries of one size for all keys.
pub(super) fn all_keys(keys: u64, bytes: u64) -> Vec<Entry> {
    (0..keys).map(|key| Entry { key, bytes, is_tombstone: false }).collect()
}

/// The state of all copies of a trace at the places where they begin.
pub(super) fn state_of_copies(operations: &Operations) -> Vec<Entry> {
    let Operations::Traced { steps, key_bytes, places, scatter } = operations else {
        return Vec::new();
    };
    let mut live = BTreeMap::new();
    for (copy, place) in places.iter().enumerate() {
        // The last round of the trace before the place.
        for at in 0..steps.len() {
            let step = steps[(place + at) % steps.len()];
            let key = scatter.place((copy * key_bytes.len()) as u64 + u64::from(step.id));
            match step.value_bytes {
                Some(value) => {
                    let bytes = key_bytes[step.id as usize] as u64 + u64::from(value);
                    live.insert(key, Entry { key, bytes, is_tombstone: false });
                }
                None => {
                    live.remove(&key);
                }
            }
        }
    }
    live.into_values().collect()
}

fn part(entries: Vec<Entry>) -> Part<Vec<Entry>> {
    assert!(!entries.is_empty(), "a file has entries");
    debug_assert!(entries.is_sorted_by(|a, b| a.key < b.key), "keys ascend in a file");
    Part {
        smallest: entries[0].key,
        largest: entries[entries.len() - 1].key,
        entries: entries.len() as u64,
        tombstones: entries.iter().filter(|entry| entry.is_tombstone).count() as u64,
        bytes: entries.iter().map(|entry| entry.bytes).sum(),
        content: entries,
    }
}

impl Model for ExactModel {
    type Content = Vec<Entry>;

    fn load(&mut self) -> Option<Flush<Vec<Entry>>> {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        while bytes < self.memtable_bytes {
            let Some(entry) = self.load.next() else { break };
            bytes += entry.bytes;
            entries.push(entry);
        }
        let is_end = entries.is_empty();
        (!is_end).then(|| Flush { parts: vec![part(entries)], user_bytes: bytes as f64 })
    }

    fn flush(&mut self) -> Flush<Vec<Entry>> {
        let (mut memtable, mut bytes, mut user_bytes) = (BTreeMap::new(), 0_u64, 0_u64);
        while bytes < self.memtable_bytes {
            let entry = self.operations.next(&mut self.random);
            user_bytes += entry.bytes;
            let old = memtable.insert(entry.key, entry).map_or(0, |old: Entry| old.bytes);
            bytes = bytes + entry.bytes - old;
        }
        let entries = memtable.into_values().collect();
        Flush { parts: vec![part(entries)], user_bytes: user_bytes as f64 }
    }

    fn merge(
        &self,
        sources: &[Source<'_, Vec<Entry>>],
        guard: &DropGuard<u64>,
        cutter: &mut OutputCutter<u64>,
    ) -> Vec<Part<Vec<Entry>>> {
        let mut newest = BTreeMap::new();
        for entry in sources.iter().flatten().flat_map(|(_, entries)| entries.iter()) {
            newest.entry(entry.key).or_insert(*entry);
        }
        let mut files: Vec<Vec<Entry>> = Vec::new();
        for entry in newest.into_values() {
            if entry.is_tombstone && guard.may_drop(&entry.key, 0) {
                continue;
            }
            if cutter.cuts_before(&entry.key) || files.is_empty() {
                files.push(Vec::new());
            }
            cutter.add(entry.bytes);
            if let Some(file) = files.last_mut() {
                file.push(entry);
            }
        }
        files.into_iter().map(part).collect()
    }

    fn live_bytes(&self) -> f64 {
        self.live_bytes
    }
}
