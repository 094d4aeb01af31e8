//! Random histories of a writer, and a reader that is refreshed at random moments, also between two calls that a refresh or
//! the writer makes to the file system.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use durable::{Inject, Plan, SimFs};
use kv::{Durability, KeyRange, Kv, Snapshot, Snapshots, WriteBatch};
use lsm::{Lsm, Reader};

use super::read_through;
use crate::world::{STORE, World, entries, key, leveled, rest, strategies};

const KEYS: u64 = 24;

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// Numbers that look random (`SplitMix64`).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// A writer, and the state after each of its batches.
struct Writer {
    world: World,
    random: Random,
    engine: Option<Lsm>,
    present: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The entries after each batch; the number of the batch is the place.
    states: Vec<Entries>,
}

impl Writer {
    fn new(seed: u64) -> Self {
        let mut writer = Self {
            world: World::new(),
            random: Random(seed),
            engine: None,
            present: BTreeMap::new(),
            states: vec![Vec::new()],
        };
        writer.reopen();
        writer
    }

    fn reopen(&mut self) {
        drop(self.engine.take());
        let strategy = strategies()[self.random.below(3) as usize];
        self.engine = Some(Lsm::open(STORE, self.world.compacting(strategy)).unwrap());
    }

    fn write(&mut self) {
        let mut batch = WriteBatch::new();
        for _ in 0..=self.random.below(3) {
            let key = key(self.random.below(KEYS) as u32);
            if self.random.below(3) == 0 {
                batch.delete(&key);
                self.present.remove(&key[..]);
            } else {
                let value = vec![self.random.below(256) as u8; self.random.below(200) as usize];
                batch.put(&key, &value);
                self.present.insert(key.to_vec(), value);
            }
        }
        let durability =
            if self.random.below(6) == 0 { Durability::Sync } else { Durability::Buffered };
        let number = self.engine.as_ref().unwrap().write(&batch, durability).unwrap();
        let entries = self.present.iter().map(|(key, value)| (key.clone(), value.clone()));
        self.states.push(entries.collect());
        assert_eq!(number.0 as usize, self.states.len() - 1);
    }

    /// Does something.
    fn step(&mut self) {
        match self.random.below(40) {
            0..26 => self.write(),
            26..36 => {
                for _ in 0..self.random.below(8) {
                    let _ = self.world.executor.step();
                }
            }
            36 => self.engine.as_ref().unwrap().flush().unwrap(),
            37 => self.world.executor.run_all(),
            38 if self.random.below(6) == 0 => {
                self.engine.as_ref().unwrap().compact_range(&KeyRange::all()).unwrap();
            }
            39 if self.random.below(6) == 0 => {
                if self.random.below(2) == 0 {
                    self.engine.as_ref().unwrap().close().unwrap();
                }
                self.reopen();
            }
            _ => {}
        }
    }
}

/// A reader, and what it must show.
struct Follower {
    reader: Reader,
    snapshots: Vec<Box<dyn Snapshot>>,
    shown: usize,
}

impl Follower {
    fn check(&self, states: &[Entries]) {
        assert_eq!(self.reader.newest_sequence().0 as usize, self.shown);
        assert_eq!(entries(&self.reader), states[self.shown]);
        for snapshot in &self.snapshots {
            let seen = rest(&mut *snapshot.scan(KeyRange::all()).unwrap());
            assert_eq!(seen, states[snapshot.sequence().0 as usize]);
        }
        for number in 0..KEYS as u32 {
            let expected = states[self.shown].iter().find(|(found, _)| **found == key(number));
            let got = self.reader.get(&key(number)).unwrap();
            assert_eq!(got.as_deref(), expected.map(|(_, value)| &value[..]));
        }
    }
}

/// Runs a history. With `interrupted`, the writer goes on between the calls that a refresh makes.
fn run(seed: u64, steps: usize, interrupted: bool) {
    let writer = Arc::new(Mutex::new(Writer::new(seed)));
    let disk: SimFs = writer.lock().unwrap().world.disk.clone();
    let inject = Inject::over_sim(disk, Plan::none());
    let reader = read_through(&writer.lock().unwrap().world, &inject).unwrap();
    let mut follower = Follower { reader, snapshots: Vec::new(), shown: 0 };
    let mut random = Random(!seed);
    for _ in 0..steps {
        writer.lock().unwrap().step();
        if random.below(8) == 0 {
            let acknowledged = writer.lock().unwrap().states.len() - 1;
            if interrupted {
                let (writer, chance) =
                    (Arc::clone(&writer), Mutex::new(Random(random.below(1 << 40))));
                inject.on_call(Arc::new(move |_| {
                    if chance.lock().unwrap().below(12) == 0 {
                        writer.lock().unwrap().step();
                    }
                }));
            }
            let newest = follower.reader.refresh().unwrap().0 as usize;
            inject.on_call(Arc::new(|_| ()));
            assert!(newest >= acknowledged && newest >= follower.shown, "seed {seed}");
            follower.shown = newest;
        }
        match random.below(30) {
            0 if follower.snapshots.len() < 3 => {
                follower.snapshots.push(follower.reader.snapshot().unwrap());
            }
            1 if !follower.snapshots.is_empty() => drop(follower.snapshots.pop()),
            2..6 => follower.check(&writer.lock().unwrap().states),
            _ => {}
        }
    }
    follower.reader.refresh().unwrap();
    let writer = writer.lock().unwrap();
    follower.shown = writer.states.len() - 1;
    follower.check(&writer.states);
}

#[test]
fn through_random_histories_a_reader_shows_the_state_after_one_batch() {
    (0..30).for_each(|seed| run(seed, 300, false));
}

#[test]
fn a_refresh_during_flushes_compactions_and_reopenings_shows_the_state_after_one_batch() {
    (100..140).for_each(|seed| run(seed, 200, true));
}

/// At every call that the writer makes to the disk, a new reader opens the store.
#[test]
fn at_every_call_of_a_writer_a_reader_finds_all_that_was_acknowledged_and_a_prefix() {
    let world = World::new();
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let (states, opened) = (Arc::new(Mutex::new(vec![Vec::new()])), Arc::new(Mutex::new(0)));
    let options = |world: &World| {
        let mut options = world.compacting(leveled());
        options.env.fs = Arc::new(inject.clone());
        options
    };
    let engine = Lsm::open(STORE, options(&world)).unwrap();
    let (disk, known, count) = (world.disk.clone(), Arc::clone(&states), Arc::clone(&opened));
    inject.on_call(Arc::new(move |call| {
        let reader = Lsm::open_read_only(STORE, World::on(disk.clone()).options());
        let reader = reader.unwrap_or_else(|error| panic!("before {call:?}: {error}"));
        let known: &Vec<Entries> = &known.lock().unwrap();
        let shown = reader.newest_sequence().0 as usize;
        // The state after a batch is noted before the batch is written.
        assert!(known.len() <= shown + 2 && shown < known.len(), "{shown} of {}", known.len());
        assert_eq!(entries(&reader), known[shown], "before {call:?}");
        *count.lock().unwrap() += 1;
    }));
    let mut present = BTreeMap::new();
    for number in 0..80_u32 {
        let (key, value) = (key(number % 17), [number as u8; 90]);
        present.insert(key.to_vec(), value.to_vec());
        let next = present.clone().into_iter().collect();
        states.lock().unwrap().push(next);
        let durability =
            if number.is_multiple_of(9) { Durability::Sync } else { Durability::Buffered };
        engine.put(&key, &value, durability).unwrap();
        if number.is_multiple_of(3) {
            let _ = world.executor.step();
        }
    }
    engine.flush().unwrap();
    world.executor.run_all();
    engine.close().unwrap();
    inject.on_call(Arc::new(|_| ()));
    assert!(*opened.lock().unwrap() > 300, "{}", opened.lock().unwrap());
}
