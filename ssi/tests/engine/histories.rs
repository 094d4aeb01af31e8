//! Random transactions of several threads, judged by the checker of histories.

use std::sync::Mutex;

use durable::{Entropy as _, SeededEntropy};
use kv::{Error, KeyRange, Transaction as _, TransactionOptions};
use mvcc::{MemoryStore, Options};
use ssi::Ssi;
use ssi::certify::{Candidate, Certifier, Refusal};
use ssi::history::{
    Completion, HistoryBuilder, IsolationLevel, Operation, Outcome, Report, Scalar, check,
};

use crate::{RULES, engine, engine_on_lsm};

const THREADS: u64 = 4;
const ROUNDS: u64 = 250;

/// One thread: transactions of up to four operations on eight keys. Each written value is new.
fn work(engine: &Ssi, thread: u64, history: &Mutex<HistoryBuilder>) {
    let random = SeededEntropy::new(thread + 1);
    let below = |end: u64| random.next_u64() % end;
    for round in 0..ROUNDS {
        let process = thread;
        let mut ops = Vec::new();
        history.lock().unwrap().invoke(process).unwrap();
        let read_only = below(4) == 0;
        let options = TransactionOptions::default();
        let options = if read_only { options.read_only() } else { options };
        let mut transaction = engine.begin(options).unwrap();
        for step in 0..=below(4) {
            let key = format!("{}", below(8));
            match below(if read_only { 2 } else { 5 }) {
                0 => {
                    let mut cursor = transaction.scan(KeyRange::new(&b"2"[..]..&b"6"[..])).unwrap();
                    let mut found = Vec::new();
                    while cursor.next().unwrap() {
                        let (key, value) = cursor.entry().unwrap();
                        found.push((text(key).into(), number(value)));
                    }
                    drop(cursor);
                    ops.push(Operation::Scan(Some("2".into()), Some("6".into()), found));
                }
                1 | 2 => {
                    let value = transaction.get(key.as_bytes()).unwrap();
                    ops.push(Operation::Read(
                        key.as_str().into(),
                        value.map(|value| number(&value)),
                    ));
                }
                3 => {
                    transaction.delete(key.as_bytes()).unwrap();
                    ops.push(Operation::Write(key.as_str().into(), None));
                }
                _ => {
                    let value = ((thread * ROUNDS + round) * 8 + step + 1).cast_signed();
                    transaction.put(key.as_bytes(), value.to_string().as_bytes()).unwrap();
                    ops.push(Operation::Write(key.as_str().into(), Some(value.into())));
                }
            }
            if below(3) == 0 {
                std::thread::yield_now();
            }
        }
        let writes = transaction_writes(&ops);
        let completion = match transaction.commit() {
            Ok(sequence) if writes => Completion::new(Outcome::Committed, ops).commit(sequence.0),
            Ok(_) => Completion::new(Outcome::Committed, ops),
            Err(Error::Conflict(_)) => Completion::new(Outcome::Aborted, ops),
            Err(error) => panic!("{error}"),
        };
        history.lock().unwrap().complete(process, completion).unwrap();
    }
}

fn transaction_writes(ops: &[Operation]) -> bool {
    ops.iter().any(|op| matches!(op, Operation::Write(..)))
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn number(bytes: &[u8]) -> Scalar {
    text(bytes).parse::<i64>().unwrap().into()
}

/// Runs all threads, and checks what they have seen.
fn report(engine: &Ssi) -> Report {
    let history = Mutex::new(HistoryBuilder::new());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let history = &history;
            scope.spawn(move || work(engine, thread, history));
        }
    });
    check(&history.into_inner().unwrap().finish()).unwrap()
}

#[test]
fn random_histories_are_strictly_serializable_under_each_certifier() {
    for rule in RULES {
        for engine in [engine(rule), engine_on_lsm(rule)] {
            let report = report(&engine);
            assert!(report.holds(IsolationLevel::StrictSerializable), "{rule}: {report}");
            let stats = kv::Transactional::stats(&engine);
            assert_eq!(stats.get("tracked_running"), Some(0));
            assert_eq!(stats.get("tracked_committed"), Some(0), "{rule}: nobody runs");
        }
    }
}

/// A certifier that lets everybody commit, as snapshot isolation does.
#[derive(Debug)]
struct AllowAll;

impl Certifier for AllowAll {
    fn name(&self) -> &'static str {
        "none"
    }

    fn refuse(&self, _: &Candidate<'_>) -> Option<Refusal> {
        None
    }
}

/// The checker must notice.
#[test]
fn without_a_certifier_the_same_work_shows_write_skew() {
    let is_refuted = |_| {
        let report = report(&Ssi::new(MemoryStore::new(), AllowAll, Options::new()));
        assert!(report.holds(IsolationLevel::SnapshotIsolation), "{report}");
        !report.holds(IsolationLevel::Serializable)
    };
    assert!((0..50).any(is_refuted));
}
