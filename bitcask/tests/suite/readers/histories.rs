//! Random histories of a writer, with a reader that is refreshed now and then.

use std::collections::BTreeMap;
use std::time::Duration;

use bitcask::{Bitcask, MergeOptions, Reader};
use durable::{MetadataModel, SimFs, Variant};
use kv::{Durability, KeyRange, Kv, Snapshot, Snapshots, UnixMillis, WriteBatch};

use crate::world::{STORE, World, entries, key};

struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % below
    }
}

const KEYS: u64 = 40;

/// Each key with its value and when it expires.
type State = BTreeMap<Vec<u8>, (Vec<u8>, u64)>;

/// Keys and values in order.
type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// What is visible of a state at a time.
fn visible(state: &State, now: u64) -> Entries {
    let living = state.iter().filter(|(_, (_, end))| now < *end);
    living.map(|(key, (value, _))| (key.clone(), value.clone())).collect()
}

fn seen(snapshot: &dyn Snapshot) -> Entries {
    let mut cursor = snapshot.scan(KeyRange::all()).unwrap();
    let mut entries = Vec::new();
    while cursor.next().unwrap() {
        entries.push((cursor.key().to_vec(), cursor.value().unwrap().to_vec()));
    }
    entries
}

/// Takes what was not synced, as a power cut would, and leaves the disk where it is.
fn cut_power(disk: &SimFs, model: MetadataModel) {
    let image = disk.crash(disk.ops(), &Variant::None(model));
    for path in disk.files() {
        disk.delete(&path);
    }
    for path in image.files() {
        disk.set_contents(&path, image.contents(&path).unwrap());
    }
}

struct History {
    world: World,
    random: Random,
    merge: MergeOptions,
    engine: Option<Bitcask>,
    /// The state after each write.
    states: Vec<State>,
    reader: Reader,
    /// What the reader shows.
    shown: State,
    /// With what each must show for ever.
    snapshots: Vec<(Box<dyn Snapshot>, Entries)>,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let world = World::new();
        let mut merge = MergeOptions::default();
        merge.trigger_percent = 10 + random.below(80) as u8;
        merge.include_percent = random.below(u64::from(merge.trigger_percent) + 1) as u8;
        merge.limit_percent = if random.below(2) == 0 { 80 } else { u8::MAX };
        merge.small_files = 2 + random.below(8) as usize;
        let engine = Some(Bitcask::open(STORE, world.options().merge(Some(merge))).unwrap());
        let reader = Bitcask::open_read_only(STORE, world.options()).unwrap();
        let (states, shown) = (vec![State::new()], State::new());
        Self { world, random, merge, engine, states, reader, shown, snapshots: Vec::new() }
    }

    fn now(&self) -> u64 {
        durable::Clock::now(&*self.world.clock).0
    }

    fn write(&mut self) {
        let mut batch = WriteBatch::new();
        let mut state = self.states.last().unwrap().clone();
        for _ in 0..=self.random.below(3) {
            let number = self.random.below(KEYS) as u32;
            let value = vec![self.states.len() as u8; self.random.below(250) as usize];
            match self.random.below(5) {
                0 | 1 => {
                    batch.delete(&key(number));
                    state.remove(&key(number)[..]);
                }
                2 => {
                    let end = self.now() + self.random.below(3_000);
                    batch.put_expiring(&key(number), &value, UnixMillis(end));
                    state.insert(key(number).to_vec(), (value, end));
                }
                _ => {
                    batch.put(&key(number), &value);
                    state.insert(key(number).to_vec(), (value, u64::MAX));
                }
            }
        }
        let durability =
            if self.random.below(6) == 0 { Durability::Sync } else { Durability::Buffered };
        let engine = self.engine.as_ref().unwrap();
        let sequence = engine.write(&batch, durability).unwrap();
        assert_eq!(sequence.0, self.states.len() as u64);
        self.states.push(state);
    }

    fn reopen(&mut self) {
        let engine = self.engine.take().unwrap();
        let ending = self.random.below(3);
        if ending == 0 {
            engine.close().unwrap();
        }
        drop(engine);
        self.world.executor.run_all();
        if ending == 2 {
            let strict = self.random.below(2) == 0;
            let model = if strict { MetadataModel::Strict } else { MetadataModel::Journalled };
            cut_power(&self.world.disk, model);
        }
        if self.random.below(3) == 0 {
            self.refresh();
        }
        let engine = Bitcask::open(STORE, self.world.options().merge(Some(self.merge))).unwrap();
        self.states.truncate(engine.newest_sequence().0 as usize + 1);
        self.engine = Some(engine);
    }

    fn refresh(&mut self) {
        let before = self.reader.newest_sequence();
        let newest = self.reader.refresh().unwrap();
        if let Some(engine) = &self.engine {
            assert_eq!(newest, engine.newest_sequence());
            assert_eq!(newest.0 as usize + 1, self.states.len());
        }
        self.shown = self.states[newest.0 as usize].clone();
        self.check(&format!("from {before:?} to {newest:?}"));
    }

    fn check(&mut self, when: &str) {
        let expected = visible(&self.shown, self.now());
        assert_eq!(entries(&self.reader), expected, "{when}");
        for number in 0..KEYS as u32 {
            let expected = expected.iter().find(|(found, _)| found[..] == key(number));
            let found = self.reader.get(&key(number)).unwrap();
            assert_eq!(found.as_deref(), expected.map(|(_, value)| &value[..]), "{when}");
        }
        for (snapshot, expected) in &self.snapshots {
            assert_eq!(seen(&**snapshot), *expected, "{when}");
        }
        let stats = self.reader.statistics();
        assert!(stats.keys >= expected.len() as u64 && stats.keys <= KEYS, "{stats:?}");
    }

    fn step(&mut self) {
        match self.random.below(40) {
            0..20 => self.write(),
            20..30 => {
                let jobs = self.random.below(6);
                self.world.step(jobs);
            }
            30 => self.world.executor.run_all(),
            31 => self.world.clock.advance(Duration::from_millis(self.random.below(1_500))),
            32 if self.random.below(4) == 0 => self.engine.as_ref().unwrap().merge().unwrap(),
            33 if self.random.below(2) == 0 => self.reopen(),
            34 if self.snapshots.len() < 3 => {
                let snapshot = self.reader.snapshot().unwrap();
                let expected = visible(&self.shown, self.now());
                self.snapshots.push((snapshot, expected));
            }
            35 if !self.snapshots.is_empty() => {
                let at = self.random.below(self.snapshots.len() as u64) as usize;
                drop(self.snapshots.swap_remove(at));
            }
            36..39 => self.refresh(),
            _ => self.check("between"),
        }
    }
}

#[test]
fn through_random_histories_a_reader_shows_the_writer_s_state_at_its_last_refresh() {
    for seed in 0..60 {
        let mut history = History::new(seed);
        (0..700).for_each(|_| history.step());
        history.world.executor.run_all();
        history.refresh();
        history.engine.take().unwrap().close().unwrap();
        history.refresh();
    }
}
