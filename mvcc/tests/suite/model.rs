//! Random histories of several transactions in one thread, against a model that keeps every state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use durable::{Entropy as _, SeededEntropy};
use kv::{Error, KeyRange, Savepoint, SequenceNumber, Transaction as _, TransactionOptions};
use mvcc::{HistoryWindow, Mvcc, Options, Transaction, VersionedStore as _};

use crate::store::Store;
use crate::{collect_garbage, engine_and_store, keys};

type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// The states before each of the last so many commits can be read.
const WINDOW: u64 = 3;

/// Everything that was committed.
struct Model {
    /// The state after each number.
    states: Vec<State>,
    /// The keys that each commit has written or marked, in the order of the commits. Some have no number.
    commits: Vec<BTreeSet<Vec<u8>>>,
}

/// A transaction, in the engine and in the model.
struct Pair {
    real: Transaction,
    snapshot: u64,
    /// How many commits there were when it began.
    begun_after: usize,
    changes: Changes,
    savepoints: Vec<(Savepoint, Changes)>,
    is_read_only: bool,
}

#[derive(Clone, Default)]
struct Changes {
    state: State,
    touched: BTreeSet<Vec<u8>>,
    has_written: bool,
}

struct History {
    seed: u64,
    random: SeededEntropy,
    engine: Mvcc,
    store: Arc<Store>,
    model: Model,
    open: Vec<Pair>,
    conflicts: usize,
    commits: usize,
}

impl History {
    fn new(seed: u64) -> Self {
        let options = Options::new().history(HistoryWindow::commits(WINDOW));
        let (engine, store) = engine_and_store(options);
        Self {
            seed,
            random: SeededEntropy::new(seed),
            engine,
            store,
            model: Model { states: vec![State::new()], commits: Vec::new() },
            open: Vec::new(),
            conflicts: 0,
            commits: 0,
        }
    }

    fn below(&self, end: usize) -> usize {
        (self.random.next_u64() % end as u64) as usize
    }

    fn key(&self) -> Vec<u8> {
        vec![b'a' + self.below(6) as u8]
    }

    fn newest(&self) -> u64 {
        self.model.states.len() as u64 - 1
    }

    fn run(&mut self) {
        for _ in 0..150 {
            if self.open.is_empty() || (self.open.len() < 4 && self.below(6) == 0) {
                self.begin();
                continue;
            }
            let at = self.below(self.open.len());
            match self.below(16) {
                0..=4 => self.write(at),
                5..=8 => self.read(at),
                9 => self.scan(at),
                10 => self.set_savepoint(at),
                11 => self.roll_back_to_savepoint(at),
                12..=14 => self.commit(at),
                _ => drop(self.open.swap_remove(at)),
            }
            self.check_retained();
        }
    }

    fn begin(&mut self) {
        let newest = self.newest();
        let options = TransactionOptions::default();
        let (options, snapshot) = match self.below(5) {
            0 => (options.read_only(), newest),
            1 => {
                let past = self.random.next_u64() % (newest + 1);
                (options.as_of(SequenceNumber(past)), past)
            }
            _ => (options, newest),
        };
        let real = match self.engine.begin(options) {
            Ok(real) => real,
            Err(error) => {
                assert!(matches!(error, Error::SnapshotTooOld), "seed {}: {error}", self.seed);
                assert!(snapshot + WINDOW < newest, "seed {}: it is in the window", self.seed);
                return;
            }
        };
        assert!(snapshot + WINDOW >= newest, "seed {}: it is below the window", self.seed);
        assert_eq!(real.snapshot().0, snapshot, "seed {}", self.seed);
        let state = self.model.states[snapshot as usize].clone();
        self.open.push(Pair {
            real,
            snapshot,
            begun_after: self.model.commits.len(),
            changes: Changes { state, ..Changes::default() },
            savepoints: Vec::new(),
            is_read_only: options.read_only,
        });
    }

    fn write(&mut self, at: usize) {
        let (key, choice, value) = (self.key(), self.below(4), vec![self.below(256) as u8]);
        let pair = &mut self.open[at];
        let written = match choice {
            0 => pair.real.delete(&key),
            1 => pair.real.mark(&key),
            _ => pair.real.put(&key, &value),
        };
        if pair.is_read_only {
            assert!(matches!(written, Err(Error::ReadOnly)));
            return;
        }
        written.unwrap();
        match choice {
            0 => drop(pair.changes.state.remove(&key)),
            1 => {}
            _ => drop(pair.changes.state.insert(key.clone(), value)),
        }
        pair.changes.has_written |= choice != 1;
        pair.changes.touched.insert(key);
    }

    fn read(&mut self, at: usize) {
        let key = self.key();
        let pair = &self.open[at];
        let value = pair.real.get(&key).unwrap().map(|value| value.to_vec());
        assert_eq!(value.as_ref(), pair.changes.state.get(&key), "seed {} {key:?}", self.seed);
    }

    fn scan(&mut self, at: usize) {
        let pair = &self.open[at];
        let mut cursor = pair.real.scan(KeyRange::all()).unwrap();
        let mut entries = State::new();
        while cursor.next().unwrap() {
            entries.insert(cursor.key().to_vec(), cursor.value().unwrap().to_vec());
        }
        assert_eq!(entries, pair.changes.state, "seed {}", self.seed);
        let mut keys = Vec::new();
        while cursor.prev().unwrap() {
            keys.push(cursor.key().to_vec());
        }
        assert!(keys.iter().rev().eq(entries.keys()), "seed {}", self.seed);
    }

    fn set_savepoint(&mut self, at: usize) {
        let pair = &mut self.open[at];
        let savepoint = pair.real.savepoint().unwrap();
        pair.savepoints.push((savepoint, pair.changes.clone()));
    }

    fn roll_back_to_savepoint(&mut self, at: usize) {
        let choice = self.below(3);
        let pair = &mut self.open[at];
        if pair.savepoints.is_empty() {
            return;
        }
        let chosen = choice % pair.savepoints.len();
        let (savepoint, changes) = pair.savepoints[chosen].clone();
        pair.real.rollback_to(savepoint).unwrap();
        pair.changes = changes;
        pair.savepoints.truncate(chosen + 1);
    }

    fn commit(&mut self, at: usize) {
        let Pair { real, snapshot, begun_after, changes, .. } = self.open.swap_remove(at);
        let concurrent = &self.model.commits[begun_after..];
        let conflicts = concurrent.iter().any(|other| !other.is_disjoint(&changes.touched));
        let committed = real.commit();
        if conflicts {
            self.conflicts += 1;
            assert!(matches!(committed, Err(Error::Conflict(_))), "seed {}", self.seed);
            return;
        }
        let number = committed.unwrap_or_else(|error| panic!("seed {}: {error}", self.seed)).0;
        if changes.touched.is_empty() {
            assert_eq!(number, snapshot, "seed {}", self.seed);
            return;
        }
        self.commits += 1;
        self.model.commits.push(changes.touched.clone());
        if !changes.has_written {
            assert_eq!(number, self.newest(), "seed {}: marks take no number", self.seed);
            return;
        }
        // The newest state with the changes: a touched key without a value was deleted, or only marked.
        let mut state = self.model.states[self.newest() as usize].clone();
        for key in &changes.touched {
            match changes.state.get(key) {
                Some(value) => drop(state.insert(key.clone(), value.clone())),
                None => drop(state.remove(key)),
            }
        }
        self.model.states.push(state);
        assert_eq!(number, self.newest(), "seed {}", self.seed);
    }

    /// After a collection no key has more versions than snapshots that can be read, and the newest one.
    fn check_retained(&self) {
        if self.below(10) == 0 {
            collect_garbage(&self.store);
            let snapshots: BTreeSet<u64> = self.open.iter().map(|pair| pair.snapshot).collect();
            let most = 6 * (snapshots.len() as u64 + WINDOW + 1);
            let retained = self.store.history().versions;
            assert!(retained <= most, "seed {}: {retained} of {most}", self.seed);
        }
    }
}

#[test]
fn random_histories_answer_as_a_model_that_keeps_every_state() {
    let (mut conflicts, mut commits) = (0, 0);
    for seed in 0..400 {
        let mut history = History::new(seed);
        history.run();
        conflicts += history.conflicts;
        commits += history.commits;
        // Nothing is left when the last transaction has ended, but for the window.
        history.open.clear();
        history.store.retain_from(SequenceNumber(u64::MAX));
        collect_garbage(&history.store);
        assert_eq!(history.store.history().versions, 0, "seed {seed}");
        assert_eq!(
            keys(&history.store),
            history.model.states.last().unwrap().len() as u64,
            "seed {seed}"
        );
    }
    assert!(conflicts > 300 && commits > 2_000, "{conflicts} conflicts, {commits} commits");
}
