//! Running a schedule.

use std::collections::{BTreeMap, BTreeSet};

use kv::{
    Conflict, ConflictKind, Cursor, Error, KeyRange, Savepoint, SequenceNumber, Target,
    Transaction, TransactionOptions, Transactional,
};

use super::{Scan, Schedule, Step, Victim};

/// The transactions of a schedule that lost, and why.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ran {
    /// In the order in which they lost.
    pub lost: Vec<Lost>,
}

/// A transaction that lost.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Lost {
    /// Its number in the schedule.
    pub transaction: u64,
    /// Its conflict. Each number in it is the one of the schedule.
    pub conflict: Conflict,
}

impl Schedule {
    /// Runs the schedule on an empty store with the isolation that `rule` names.
    ///
    /// # Errors
    /// The first read with another answer; a call that failed with anything but a conflict; other victims than the text
    /// names; a conflict between writes that does not name the key and the other transaction.
    pub fn run(&self, store: &dyn Transactional, rule: &str) -> Result<Ran, String> {
        let mut runner = Runner { store, actors: BTreeMap::new(), lost: Vec::new() };
        let ran = runner.run(self, rule);
        ran.map_err(|why| format!("schedule {} under {rule}: {why}", self.name))?;
        Ok(Ran { lost: runner.lost })
    }
}

struct Runner<'s> {
    store: &'s dyn Transactional,
    actors: BTreeMap<u64, Actor>,
    lost: Vec<Lost>,
}

/// One transaction of the schedule.
struct Actor {
    id: u64,
    /// `None`: it has ended.
    transaction: Option<Box<dyn Transaction>>,
    committed: Option<SequenceNumber>,
    /// The keys that it has written or marked.
    written: BTreeSet<String>,
    savepoints: BTreeMap<String, Savepoint>,
}

/// Why a step failed.
enum StepFailure {
    Lost(Conflict),
    Wrong(String),
}

impl From<Error> for StepFailure {
    fn from(error: Error) -> Self {
        match error {
            Error::Conflict(conflict) => Self::Lost(*conflict),
            error => Self::Wrong(error.to_string()),
        }
    }
}

impl Runner<'_> {
    fn run(&mut self, schedule: &Schedule, rule: &str) -> Result<(), String> {
        self.set_up(&schedule.setup).map_err(|error| format!("setup: {error}"))?;
        for (at, (number, step)) in schedule.steps.iter().enumerate() {
            let located = |why: String| format!("step {} ({number} {step:?}): {why}", at + 1);
            match self.step(*number, step) {
                Ok(()) => {}
                Err(StepFailure::Lost(conflict)) => {
                    self.lose(*number, conflict).map_err(located)?;
                }
                Err(StepFailure::Wrong(why)) => return Err(located(why)),
            }
        }
        let is_write = |lost: &Lost| lost.conflict.kind == ConflictKind::Write;
        let victim = |lost: &Lost| Victim {
            transaction: lost.transaction,
            is_write_conflict: is_write(lost),
        };
        let mut victims: Vec<_> = self.lost.iter().map(victim).collect();
        victims.sort_unstable();
        let expected = schedule.victims(rule);
        if victims == expected {
            return Ok(());
        }
        Err(format!("{victims:?} lost, and not {expected:?}"))
    }

    fn set_up(&self, entries: &[(String, String)]) -> kv::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut transaction = self.store.begin(TransactionOptions::default())?;
        for (key, value) in entries {
            transaction.put(key.as_bytes(), value.as_bytes())?;
        }
        transaction.commit().map(drop)
    }

    fn step(&mut self, number: u64, step: &Step) -> Result<(), StepFailure> {
        if !self.actors.contains_key(&number) {
            let actor = self.begin(step)?;
            self.actors.insert(number, actor);
        }
        let actor = self.actors.get_mut(&number).expect("it has begun");
        // It has lost: the rest of its steps is left out.
        if self.lost.iter().any(|lost| lost.transaction == number) {
            return Ok(());
        }
        let Some(transaction) = actor.transaction.take() else {
            return Err(StepFailure::Wrong("the transaction has ended".into()));
        };
        match step {
            Step::Commit => actor.committed = Some(transaction.commit()?),
            Step::Rollback => transaction.rollback(),
            step => {
                let transaction = actor.transaction.insert(transaction);
                let written = &mut actor.written;
                take(transaction.as_mut(), step, written, &mut actor.savepoints)?;
            }
        }
        Ok(())
    }

    /// Begins the transaction whose first step is `step`.
    fn begin(&self, step: &Step) -> Result<Actor, StepFailure> {
        let options = TransactionOptions::default();
        let options = match step {
            Step::BeginReadOnly => options.read_only(),
            Step::BeginDeferrable => options.deferrable(),
            Step::BeginAfter(other) => {
                let committed = self.actors.get(other).and_then(|actor| actor.committed);
                let missing =
                    || StepFailure::Wrong(format!("transaction {other} is not committed"));
                options.as_of(committed.ok_or_else(missing)?)
            }
            _ => options,
        };
        let transaction = self.store.begin(options)?;
        Ok(Actor {
            id: transaction.id(),
            transaction: Some(transaction),
            committed: None,
            written: BTreeSet::new(),
            savepoints: BTreeMap::new(),
        })
    }

    /// Records that a transaction has lost, with the numbers of the schedule in its conflict.
    fn lose(&mut self, number: u64, mut conflict: Conflict) -> Result<(), String> {
        let told = conflict.to_string();
        let rename = |id: &mut u64| {
            let actor = self.actors.iter().find(|(_, actor)| actor.id == *id);
            let renamed = actor.map(|(number, _)| *number);
            *id = renamed.ok_or(format!("the conflict names transaction {id}: {told}"))?;
            Ok::<_, String>(())
        };
        rename(&mut conflict.loser)?;
        conflict.pivot.iter_mut().try_for_each(rename)?;
        for edge in &mut conflict.edges {
            rename(&mut edge.from.transaction)?;
            rename(&mut edge.to.transaction)?;
        }
        if conflict.loser != number {
            return Err(format!("the conflict names another loser: {told}"));
        }
        if conflict.kind == ConflictKind::Write {
            self.check_write_conflict(number, &conflict).map_err(|why| format!("{why}: {told}"))?;
        }
        self.actors.get_mut(&number).expect("it has begun").transaction = None;
        self.lost.push(Lost { transaction: number, conflict });
        Ok(())
    }

    /// A conflict between writes has one edge, from a committed write to an own one, on one key.
    fn check_write_conflict(&self, number: u64, conflict: &Conflict) -> Result<(), String> {
        let [edge] = &conflict.edges[..] else { return Err("not one edge".into()) };
        let (Target::Key(first), Target::Key(second)) = (&edge.from.target, &edge.to.target) else {
            return Err("no key".into());
        };
        let has_written = |transaction: u64| {
            let actor = &self.actors[&transaction];
            actor.written.iter().any(|key| key.as_bytes() == &first[..])
        };
        let winner = edge.from.transaction;
        if first != second || edge.to.transaction != number || winner == number {
            return Err("the edge does not lead to the loser".into());
        }
        if self.actors[&winner].committed.is_none() || !has_written(winner) || !has_written(number)
        {
            return Err("the edge is not between two writes".into());
        }
        Ok(())
    }
}

/// Takes a step other than the last one of a transaction.
fn take(
    transaction: &mut dyn Transaction,
    step: &Step,
    written: &mut BTreeSet<String>,
    savepoints: &mut BTreeMap<String, Savepoint>,
) -> Result<(), StepFailure> {
    let mut has_written = |key: &str| written.insert(key.into());
    match step {
        Step::Get(key, expected) => check_get(transaction, key, expected.as_deref())?,
        Step::Put(key, value) => {
            has_written(key);
            transaction.put(key.as_bytes(), value.as_bytes())?;
        }
        Step::Delete(key) => {
            has_written(key);
            transaction.delete(key.as_bytes())?;
        }
        Step::Mark(key) => {
            has_written(key);
            transaction.mark(key.as_bytes())?;
        }
        Step::Scan(scan) => check_scan(transaction, scan)?,
        Step::DeleteScanned(scan) => {
            check_scan(transaction, scan)?;
            for (key, _) in &scan.answer {
                has_written(key);
                transaction.delete(key.as_bytes())?;
            }
        }
        Step::SetSavepoint(name) => {
            savepoints.insert(name.clone(), transaction.savepoint()?);
        }
        Step::RollbackTo(name) => transaction.rollback_to(savepoint_of(savepoints, name)?)?,
        // The transaction has just begun in this way.
        Step::BeginReadOnly | Step::BeginDeferrable | Step::BeginAfter(_) => {}
        Step::Commit | Step::Rollback => unreachable!("the runner ends the transaction"),
    }
    Ok(())
}

fn check_get(
    transaction: &dyn Transaction,
    key: &str,
    expected: Option<&str>,
) -> Result<(), StepFailure> {
    let value = transaction.get(key.as_bytes())?;
    let value = value.map(|value| text(&value));
    if value.as_deref() == expected {
        return Ok(());
    }
    Err(StepFailure::Wrong(format!("got {value:?}")))
}

fn savepoint_of(
    savepoints: &BTreeMap<String, Savepoint>,
    name: &str,
) -> Result<Savepoint, StepFailure> {
    let missing = || StepFailure::Wrong(format!("no savepoint is called {name}"));
    savepoints.get(name).copied().ok_or_else(missing)
}

fn check_scan(transaction: &dyn Transaction, scan: &Scan) -> Result<(), StepFailure> {
    let mut cursor = transaction.scan(KeyRange::prefix(scan.prefix.as_bytes()))?;
    let mut answer = Vec::new();
    while step_cursor(cursor.as_mut(), scan.is_backward)? {
        let (key, value) = cursor.entry()?;
        let (key, value) = (text(key), text(value));
        if scan.filter.keeps(&value) {
            answer.push((key, value));
        }
    }
    if answer == scan.answer {
        return Ok(());
    }
    Err(StepFailure::Wrong(format!("scanned {answer:?}")))
}

fn step_cursor(cursor: &mut dyn Cursor, is_backward: bool) -> kv::Result<bool> {
    if is_backward { cursor.prev() } else { cursor.next() }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
