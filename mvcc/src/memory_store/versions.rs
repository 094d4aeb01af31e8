//! The map from keys to their versions, and the collector of the versions that nobody needs.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::ops::Bound;

use durable::sync::RwLock;
use kv::{Bytes, Direction, Op, SequenceNumber, WriteBatch, no_key_between};

use super::chain::{Chain, Queue, Retained, Version};
use crate::lock_order;
use crate::store::{HistoryUse, NewestVersion, VersionRead};
use crate::visibility::Horizon;

/// Operations, visits of the collector, or keys of a search that one step handles under the lock.
pub(super) const STEP: usize = 64;

/// All versions of all keys.
#[derive(Debug)]
pub(super) struct Versions {
    table: RwLock<Table>,
}

#[derive(Debug, Default)]
struct Table {
    chains: BTreeMap<Bytes, Chain>,
    retained: Retained,
    /// Untidy keys that the floor will let go of a version, each with the number that the floor has to reach.
    recent: BinaryHeap<Reverse<(SequenceNumber, Bytes)>>,
    /// Untidy keys with versions that a pinned snapshot needs. A key that is written again becomes a recent one, so a hot key
    /// keeps no more versions than others.
    held: BTreeSet<Bytes>,
    pass: Pass,
}

/// One pass of the collector over the held keys, in key order.
#[derive(Debug, Default)]
struct Pass {
    is_running: bool,
    /// The key that it has visited last.
    after: Option<Bytes>,
    /// How many pins had been released when it began.
    releases: u64,
    /// The same of the last pass that ended.
    ended: u64,
}

/// The result of one step of a search.
#[derive(Debug)]
pub(super) enum Searched {
    /// The first entry.
    Found(Bytes, Bytes),
    /// The step has ended at this key, and found no entry up to it.
    Paused(Bytes),
    /// The range has no further entry.
    Ended,
}

impl Versions {
    pub(super) fn new() -> Self {
        Self { table: RwLock::ranked(lock_order::VERSIONS, Table::default()) }
    }

    /// The number of keys that have a version.
    pub(super) fn len(&self) -> usize {
        self.table.read().chains.len()
    }

    /// The value of `key` in `snapshot`, and the versions that it has.
    pub(super) fn get(&self, key: &[u8], snapshot: SequenceNumber) -> (Option<Bytes>, VersionRead) {
        let table = self.table.read();
        let Some(chain) = table.chains.get(key) else { return (None, VersionRead::default()) };
        let visible = chain.visible_at(snapshot);
        let value = visible.and_then(|version| version.value.clone());
        let read = VersionRead {
            is_found: value.is_some(),
            version: visible.map_or(SequenceNumber::ZERO, |version| version.sequence),
            newest: chain.newest().sequence,
        };
        (value, read)
    }

    /// The newest version of `key`, visible or not.
    pub(super) fn newest(&self, key: &[u8]) -> Option<NewestVersion> {
        let table = self.table.read();
        table.chains.get(key).map(Chain::newest).map(|version| NewestVersion {
            sequence: version.sequence,
            is_tombstone: version.value.is_none(),
        })
    }

    /// The first entry of `snapshot` between the bounds, in `direction`. Calls `newer` with each key up to it that has a newer
    /// version. Looks at up to [`STEP`] keys.
    pub(super) fn search(
        &self,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
        direction: Direction,
        snapshot: SequenceNumber,
        newer: &mut dyn FnMut(&Bytes, SequenceNumber),
    ) -> Searched {
        // A map refuses bounds that are crossed.
        if no_key_between(bounds.0, bounds.1) {
            return Searched::Ended;
        }
        let table = self.table.read();
        let mut chains = table.chains.range::<[u8], _>(bounds);
        let mut last = None;
        for _ in 0..STEP {
            let chain = match direction {
                Direction::Forward => chains.next(),
                Direction::Backward => chains.next_back(),
            };
            let Some((key, chain)) = chain else { return Searched::Ended };
            if chain.newest().sequence > snapshot {
                newer(key, chain.newest().sequence);
            }
            if let Some(value) =
                chain.visible_at(snapshot).and_then(|version| version.value.as_ref())
            {
                return Searched::Found(key.clone(), value.clone());
            }
            last = Some(key);
        }
        Searched::Paused(last.expect("a step looks at a key").clone())
    }

    /// Adds the versions of a batch. Between two steps readers go on; none sees the number yet.
    pub(super) fn apply(&self, batch: &WriteBatch, sequence: SequenceNumber) {
        let mut ops = batch.ops().peekable();
        while ops.peek().is_some() {
            let mut table = self.table.write();
            for op in ops.by_ref().take(STEP) {
                table.apply(op, sequence);
            }
        }
    }

    /// Lets the collector visit up to `visits` keys. `releases` is how many pins had been released when `horizon` was
    /// computed. Returns whether the collector has visited every key of which `horizon` lets it free something.
    pub(super) fn collect(&self, visits: usize, horizon: &Horizon, releases: u64) -> bool {
        let mut left = visits;
        loop {
            let mut table = self.table.write();
            if releases < table.pass.releases {
                // Another thread has begun a pass with a newer horizon. This one would hold keys for a pin that was released.
                return false;
            }
            table.begin_pass(releases);
            for _ in 0..left.min(STEP) {
                if !table.visit_next(horizon) {
                    return table.pass.ended >= releases;
                }
            }
            left = left.saturating_sub(STEP);
            if left == 0 {
                return false;
            }
        }
    }

    /// The retained versions. `revoked` is how many pins had been released when the last one was revoked.
    pub(super) fn history(&self, revoked: u64) -> HistoryUse {
        let table = self.table.read();
        let Retained { versions, bytes } = table.retained;
        HistoryUse { versions, bytes, is_settled: table.pass.ended >= revoked }
    }
}

impl Table {
    fn apply(&mut self, op: Op<'_>, sequence: SequenceNumber) {
        let value = match op {
            Op::Put { value, .. } => Some(Bytes::copy_from_slice(value)),
            // A key without a version gets a tombstone as well: the delete is a write for conflicts.
            Op::Delete { .. } => None,
            Op::PutExpiring { .. } => unreachable!("the capabilities refuse expiry"),
        };
        let (version, key) = (Version { sequence, value }, op.key());
        if let Some(chain) = self.chains.get_mut(key) {
            chain.push(version, &mut self.retained);
            if chain.waits_in != Queue::Recent {
                let was_held = chain.waits_in == Queue::Held;
                chain.waits_in = Queue::Recent;
                let held = if was_held { self.held.take(key) } else { None };
                assert_eq!(held.is_some(), was_held, "a held key is in the set");
                let key = held.unwrap_or_else(|| Bytes::copy_from_slice(key));
                self.recent.push(Reverse((sequence, key)));
            }
            return;
        }
        let key = Bytes::copy_from_slice(key);
        let mut chain = Chain::new(version, &mut self.retained);
        if !chain.is_tidy() {
            chain.waits_in = Queue::Recent;
            self.recent.push(Reverse((sequence, key.clone())));
        }
        self.chains.insert(key, chain);
    }

    /// Begins a pass over the held keys if pins were released since the last one began.
    fn begin_pass(&mut self, releases: u64) {
        if !self.pass.is_running && self.pass.releases < releases {
            let ended = self.pass.ended;
            self.pass = Pass { is_running: true, after: None, releases, ended };
        }
    }

    /// Visits one key. Returns `false` if there is none to visit.
    fn visit_next(&mut self, horizon: &Horizon) -> bool {
        // A recent key: the floor has reached the write that replaced a version.
        let is_due = |next: &Reverse<(SequenceNumber, Bytes)>| next.0.0 <= horizon.floor();
        if self.recent.peek().is_some_and(is_due) {
            let Reverse((_, key)) = self.recent.pop().expect("there is a first one");
            self.visit(key, horizon);
            return true;
        }
        // A held key, once in each pass.
        if !self.pass.is_running {
            return false;
        }
        let after = self.pass.after.take().map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.held.range::<Bytes, _>((after, Bound::Unbounded)).next().cloned();
        let Some(key) = next else {
            self.pass.is_running = false;
            self.pass.ended = self.pass.releases;
            return false;
        };
        self.held.remove(&key);
        self.pass.after = Some(key.clone());
        self.visit(key, horizon);
        true
    }

    /// Prunes the versions of `key`, and queues the key again if it is still untidy.
    fn visit(&mut self, key: Bytes, horizon: &Horizon) {
        let chain = self.chains.get_mut(&key).expect("a queued key has versions");
        assert!(chain.waits_in != Queue::None, "each queued key is in one queue");
        if chain.prune(horizon, &mut self.retained) {
            self.chains.remove(&key);
        } else if chain.is_tidy() {
            chain.waits_in = Queue::None;
        } else if let Some(next) = chain.next_collectable(horizon.floor()) {
            // A write replaced a version after the floor: the floor will reach that write.
            chain.waits_in = Queue::Recent;
            self.recent.push(Reverse((next, key)));
        } else {
            // A pinned snapshot needs a version.
            chain.waits_in = Queue::Held;
            self.held.insert(key);
        }
    }
}
