//! A small engine with snapshot isolation, in memory: a map that every transaction clones.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use kv::{
    Access, Bytes, Conflict, ConflictEdge, ConflictKind, Cursor, CursorPosition, Cycle, Direction,
    Error, KeyRange, MAX_KEY_LEN, Metric, Operation, Result, SequenceNumber, Stats, Transaction,
    TransactionOptions, Transactional, Unit,
};

type Map = BTreeMap<Bytes, Bytes>;

/// The engine. First committer wins.
#[derive(Default)]
pub(crate) struct TransactionalMap {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    committed: Arc<Map>,
    newest: SequenceNumber,
    /// The newest commit that wrote each key, and the transaction that made it.
    writers: BTreeMap<Bytes, (SequenceNumber, u64)>,
    begun: u64,
    commits: u64,
    conflicts: u64,
    is_closed: bool,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap()
}

impl State {
    fn check_open(&self) -> Result<()> {
        if self.is_closed { Err(Error::Closed) } else { Ok(()) }
    }
}

impl Transactional for TransactionalMap {
    fn begin(&self, options: TransactionOptions) -> Result<Box<dyn Transaction>> {
        let mut state = lock(&self.state);
        state.check_open()?;
        if options.as_of.is_some() {
            return Err(Error::Unsupported("reading the past"));
        }
        state.begun += 1;
        Ok(Box::new(MapTransaction {
            id: state.begun,
            snapshot: Arc::clone(&state.committed),
            begun_at: state.newest,
            state: Arc::clone(&self.state),
            options,
            writes: BTreeMap::new(),
            reads: Cell::new(0),
        }))
    }

    fn sync(&self) -> Result<()> {
        lock(&self.state).check_open()
    }

    fn close(&self) -> Result<()> {
        lock(&self.state).is_closed = true;
        Ok(())
    }

    fn stats(&self) -> Stats {
        let state = lock(&self.state);
        let conflicts = Metric::new("conflicts", Unit::Count, state.conflicts);
        Stats::default()
            .with("commits", Unit::Count, state.commits)
            .with_metric(conflicts.label("rule", "first-committer-wins"))
    }
}

/// A transaction. Reads count themselves, as a tracker of reads would: `Transaction` need not be `Sync`.
struct MapTransaction {
    id: u64,
    snapshot: Arc<Map>,
    begun_at: SequenceNumber,
    state: Arc<Mutex<State>>,
    options: TransactionOptions,
    /// `None` for a deletion.
    writes: BTreeMap<Bytes, Option<Bytes>>,
    reads: Cell<u64>,
}

impl MapTransaction {
    fn write(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        if self.options.read_only {
            return Err(Error::ReadOnly);
        }
        if key.len() > MAX_KEY_LEN {
            return Err(Error::InvalidArgument(format!("a key of {} bytes", key.len())));
        }
        self.writes.insert(Bytes::copy_from_slice(key), value.map(Bytes::copy_from_slice));
        Ok(())
    }

    /// The conflict with a transaction that wrote one of the keys after this one began.
    fn find_conflict(&self, state: &State) -> Option<Conflict> {
        let operation = |value: &Option<Bytes>| {
            if value.is_some() { Operation::Put } else { Operation::Delete }
        };
        self.writes.iter().find_map(|(key, value)| {
            let &(committed, winner) = state.writers.get(key)?;
            (committed > self.begun_at).then(|| {
                let first = Access::new(winner, Operation::Put, key.clone());
                let second = Access::new(self.id, operation(value), key.clone());
                Conflict::new(ConflictKind::Write, self.id)
                    .with_edge(ConflictEdge::new(first, second))
                    .with_cycle(Cycle::Unchecked)
            })
        })
    }
}

impl Transaction for MapTransaction {
    fn id(&self) -> u64 {
        self.id
    }

    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.reads.set(self.reads.get() + 1);
        let own = self.writes.get(key).map(Option::as_ref);
        let value = own.unwrap_or_else(|| self.snapshot.get(key));
        value.inspect(|value| found(value));
        Ok(value.is_some())
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor + '_>> {
        range.check()?;
        self.reads.set(self.reads.get() + 1);
        let mut entries: BTreeMap<&[u8], &[u8]> =
            self.snapshot.iter().map(|(key, value)| (&key[..], &value[..])).collect();
        for (key, value) in &self.writes {
            match value {
                Some(value) => entries.insert(key, value),
                None => entries.remove(&key[..]),
            };
        }
        entries.retain(|key, _| range.contains(key));
        let (entries, position) = (entries.into_iter().collect(), CursorPosition::Fresh);
        Ok(Box::new(EntryCursor { entries, position }))
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.write(key, Some(value))
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.write(key, None)
    }

    fn commit(self: Box<Self>) -> Result<SequenceNumber> {
        let mut state = lock(&self.state);
        state.check_open()?;
        if let Some(conflict) = self.find_conflict(&state) {
            state.conflicts += 1;
            return Err(Error::Conflict(Box::new(conflict)));
        }
        if self.writes.is_empty() {
            return Ok(state.newest);
        }
        let sequence = state.newest.next();
        let mut committed = Map::clone(&state.committed);
        for (key, value) in &self.writes {
            state.writers.insert(key.clone(), (sequence, self.id));
            match value {
                Some(value) => committed.insert(key.clone(), value.clone()),
                None => committed.remove(key),
            };
        }
        (state.committed, state.newest) = (Arc::new(committed), sequence);
        state.commits += 1;
        Ok(sequence)
    }

    fn rollback(self: Box<Self>) {}
}

/// A cursor that borrows its entries from the transaction.
struct EntryCursor<'t> {
    entries: Vec<(&'t [u8], &'t [u8])>,
    position: CursorPosition<usize>,
}

impl EntryCursor<'_> {
    fn step(&mut self, direction: Direction) -> bool {
        let found = self.position.step_in(self.entries.len(), direction);
        found.is_some_and(|found| self.position.land(found, direction))
    }

    fn first_not_less(&self, key: &[u8]) -> usize {
        self.entries.partition_point(|(entry, _)| *entry < key)
    }
}

impl Cursor for EntryCursor<'_> {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        let found = Some(self.first_not_less(key)).filter(|&at| at < self.entries.len());
        Ok(self.position.land(found, Direction::Forward))
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        let found = self.first_not_less(key).checked_sub(1);
        Ok(self.position.land(found, Direction::Backward))
    }

    fn next(&mut self) -> Result<bool> {
        Ok(self.step(Direction::Forward))
    }

    fn prev(&mut self) -> Result<bool> {
        Ok(self.step(Direction::Backward))
    }

    fn key(&self) -> &[u8] {
        self.entries[*self.position.entry()].0
    }

    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        Ok(self.entries[*self.position.entry()])
    }
}
