//! Random histories with range deletions, against every state that the store has had.

use std::ops::Bound;

use kv::{Cursor, Durability, Error, KeyRange, Kv, SequenceNumber, Snapshot, WriteBatch};
use lsm::{Lsm, Options};

use crate::compactions::{Model, Numbers, shown};
use crate::world::{STORE, World, strategies};

/// Keys of which some are prefixes of others, and are each other's successors.
fn key_of(number: u64) -> Vec<u8> {
    let ends: [&[u8]; 4] = [b"", b"\0", b"\0\0", b"\xff"];
    [&[(number / 4 % 8) as u8][..], ends[(number % 4) as usize]].concat()
}

fn random_key(numbers: &mut Numbers) -> Vec<u8> {
    if numbers.below(30) == 0 { Vec::new() } else { key_of(numbers.below(32)) }
}

fn random_bound(key: &[u8], numbers: &mut Numbers) -> Bound<Vec<u8>> {
    match numbers.below(8) {
        0 => Bound::Unbounded,
        1..4 => Bound::Excluded(key.to_vec()),
        _ => Bound::Included(key.to_vec()),
    }
}

fn random_range(numbers: &mut Numbers) -> KeyRange {
    let (one, other) = (random_key(numbers), random_key(numbers));
    let (start, end) = (random_bound(&one, numbers), random_bound(&other, numbers));
    let of = |start: &Bound<Vec<u8>>, end: &Bound<Vec<u8>>| {
        KeyRange::new((start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice)))
    };
    let range = of(&start, &end);
    let turned = of(&end, &start);
    // Of two equal keys that are both left out, no order is a range.
    [range, turned].into_iter().find(|range| range.check().is_ok()).unwrap_or_else(KeyRange::all)
}

/// A cursor over `range` turns around at random, and agrees with `state` at each step.
fn walk(snapshot: &dyn Snapshot, state: &Model, range: &KeyRange, numbers: &mut Numbers) {
    let mut expected = shown(state);
    expected.retain(|(key, _)| range.contains(key));
    let mut cursor = snapshot.scan(range.clone()).expect("the store is open");
    let (mut gap, mut is_on) = (0, false);
    for _ in 0..30 {
        let sought = random_key(numbers);
        let least = expected.partition_point(|(key, _)| *key < sought);
        let (found, next, is_forward) = match numbers.below(6) {
            0 => (cursor.seek_ge(&sought), Some(least), true),
            1 => (cursor.seek_lt(&sought), least.checked_sub(1), false),
            2 | 3 => (cursor.next(), Some(gap + usize::from(is_on)), true),
            _ if !is_on && gap == 0 => continue,
            _ => (cursor.prev(), gap.checked_sub(1), false),
        };
        let next = next.filter(|at| *at < expected.len());
        assert_eq!(found.expect("the disk is whole"), next.is_some(), "{expected:?}");
        is_on = next.is_some();
        gap = next.unwrap_or(if is_forward { expected.len() } else { 0 });
        if is_on {
            let (key, value) = &expected[gap];
            assert_eq!(cursor.entry().expect("the disk is whole"), (&key[..], &value[..]));
        }
    }
    let sought = random_key(numbers);
    let found = snapshot.get(&sought).expect("the disk is whole");
    assert_eq!(found.as_deref(), state.get(&sought).map(|value| &value[..]), "{sought:?}");
}

/// A store, all its states, and some snapshots of them.
struct History {
    engine: Option<Lsm>,
    /// The state after each batch.
    states: Vec<Model>,
    pins: Vec<(Box<dyn Snapshot>, usize)>,
    numbers: Numbers,
}

impl History {
    fn engine(&self) -> &Lsm {
        self.engine.as_ref().expect("the store is open")
    }

    /// A batch of range deletions, puts and deletes in any order.
    fn write(&mut self, round: u64) {
        let mut state = self.states.last().expect("the first state").clone();
        let mut batch = WriteBatch::new();
        for _ in 0..=self.numbers.below(4) {
            match self.numbers.below(10) {
                0..6 => {
                    let key = random_key(&mut self.numbers);
                    let value = round.to_le_bytes().repeat(1 + self.numbers.below(8) as usize);
                    batch.put(&key, &value);
                    state.insert(key, value);
                }
                6 => {
                    let key = random_key(&mut self.numbers);
                    batch.delete(&key);
                    state.remove(&key);
                }
                _ => {
                    let range = random_range(&mut self.numbers);
                    batch.delete_range(range.clone());
                    state.retain(|key, _| !range.contains(key));
                }
            }
        }
        let written = self.engine().write(&batch, Durability::Buffered);
        assert_eq!(written.expect("the disk is whole"), SequenceNumber(self.states.len() as u64));
        self.states.push(state);
    }

    /// Reads the state after a random batch, if it can be read. Keeps some snapshots.
    fn read(&mut self) {
        let newest = self.states.len() as u64 - 1;
        let at = newest - self.numbers.below(newest.min(12) + 1);
        match self.engine().pin_at(SequenceNumber(at)) {
            Ok(pin) => {
                let range = random_range(&mut self.numbers);
                walk(&pin, &self.states[at as usize], &range, &mut self.numbers);
                if self.numbers.below(4) == 0 {
                    self.pins.push((Box::new(pin), at as usize));
                }
            }
            Err(error) => {
                assert!(matches!(error, Error::SnapshotTooOld) && at < newest, "{error}");
            }
        }
    }

    /// Reads a snapshot and lets go of it.
    fn release(&mut self) {
        if !self.pins.is_empty() {
            let at = self.numbers.below(self.pins.len() as u64) as usize;
            let (pin, state) = self.pins.swap_remove(at);
            walk(&*pin, &self.states[state], &KeyRange::all(), &mut self.numbers);
        }
    }
}

fn run(seed: u64) {
    let world = World::new();
    let options = |numbers: &mut Numbers| -> Options {
        let strategy = strategies()[numbers.below(3) as usize];
        let threads = 1 + numbers.below(3) as usize;
        let options = world.compacting(strategy).compaction_threads(threads);
        options.memtable_bytes(400 + numbers.below(900)).table_bytes(120 + numbers.below(300))
    };
    let mut numbers = Numbers(seed * 7919 + 1);
    let engine = Some(Lsm::open(STORE, options(&mut numbers)).expect("the disk is whole"));
    let mut history = History { engine, states: vec![Model::new()], pins: Vec::new(), numbers };
    for round in 0..300 {
        match history.numbers.below(20) {
            0..10 => history.write(round),
            10 => history.engine().flush().expect("the disk is whole"),
            11 => {
                let range = random_range(&mut history.numbers);
                history.engine().compact_range(&range).expect("the disk is whole");
            }
            12 | 13 => history.release(),
            14 if history.numbers.below(4) == 0 => {
                history.pins.clear();
                if history.numbers.below(2) == 0 {
                    history.engine().close().expect("the disk is whole");
                }
                history.engine = None;
                let options = options(&mut history.numbers);
                history.engine = Some(Lsm::open(STORE, options).expect("the disk is whole"));
            }
            15 if history.numbers.below(8) == 0 => {
                history.engine().verify().expect("the store is sound");
            }
            _ => history.read(),
        }
        for _ in 0..history.numbers.below(5) {
            let _ran: bool = world.executor.step();
        }
    }
    while !history.pins.is_empty() {
        history.release();
    }
    history.engine().verify().expect("the store is sound");
    history.engine().compact_range(&KeyRange::all()).expect("the disk is whole");
    history.read();
    let statistics = history.engine().statistics();
    assert_eq!(statistics.table_range_fragments, 0, "seed {seed}");
    let left = history.states.last().expect("the first state").len() as u64;
    assert_eq!(statistics.table_entries, left, "seed {seed}");
}

#[test]
fn every_state_that_can_be_read_is_the_one_of_its_batch() {
    (0..60).for_each(run);
}
