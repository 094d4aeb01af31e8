//! An engine that lies must end the run with exit code 3 and without a number.
//!
//! This file is a `kvbench` with one further engine, which answers wrongly in a way that `KVBENCH_LIE` names. Without
//! that variable it is the test: it runs itself once for each lie.

#![expect(
    clippy::unwrap_used,
    reason = "a test, though without the harness that clippy knows tests by"
)]

use std::collections::HashMap;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::ThreadId;

use bench_harness::Registration;
use kv::memory::MemoryEngine;
use kv::{
    Capabilities, Cursor, Durability, KeyRange, Kv, Result, SequenceNumber, Stats, WriteBatch,
};

/// The ways to lie, and a word of the complaint that each must lead to.
const LIES: [(&str, &str); 10] = [
    ("flip", "checksum"),
    ("cut", "checksum"),
    ("tear", "checksum"),
    ("swap", "has the value of key number"),
    ("lose-get", "found nothing where version"),
    ("lose-put", " where "),
    ("resurrect", " where "),
    ("skip-in-scan", "comes first"),
    ("lose-at-end", "at the end there are"),
    // Only the order of two threads shows it: each thread gets right answers about the keys that it writes itself.
    ("stale-to-others", "liar in company: get of"),
];

/// A call in this many is answered wrongly.
const RARELY: u64 = 50;

fn main() -> ExitCode {
    if std::env::var_os("KVBENCH_LIE").is_some() {
        return bench_harness::main(&[LIAR]);
    }
    for (lie, complaint) in LIES {
        check(lie, complaint);
    }
    ExitCode::SUCCESS
}

fn check(lie: &str, complaint: &str) {
    let folder = tempfile::tempdir().unwrap();
    let workload = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/liar.toml");
    let output = Command::new(std::env::current_exe().unwrap())
        .env("KVBENCH_LIE", lie)
        .args(["run", "-e", "liar", "-r", "1", "--quiet", "--seed", "1", "-c", workload, "--out"])
        .arg(folder.path())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{lie}: {errors}");
    assert!(output.stdout.is_empty(), "{lie}: a number was printed");
    assert!(errors.contains("liar in ") && errors.contains(complaint), "{lie}: {errors}");
    assert_eq!(errors.lines().count(), 1, "{lie}: {errors}");
    let run = folder.path().read_dir().unwrap().next().unwrap().unwrap().path();
    assert!(!run.join("summary.csv").exists(), "{lie}: numbers were kept");
    assert!(!run.join("stores").exists(), "{lie}: the files of the engine were left");
}

const LIAR: Registration = Registration {
    name: "liar",
    about: "answers wrongly",
    version: "0",
    classes: &[Durability::None],
    open: |_, _| Ok(Box::new(Liar::new())),
    settings: |_| "everything in memory".into(),
};

/// The value first put to a key, and the thread that wrote the key last.
type Written = (Vec<u8>, ThreadId);

struct Liar {
    honest: MemoryEngine,
    lie: String,
    calls: AtomicU64,
    /// The writes to each key.
    written: Mutex<HashMap<Vec<u8>, Written>>,
}

impl Liar {
    fn new() -> Self {
        let lie = std::env::var("KVBENCH_LIE").unwrap();
        Self {
            honest: MemoryEngine::new(),
            lie,
            calls: AtomicU64::new(0),
            written: Mutex::default(),
        }
    }

    fn is_lying(&self, lie: &str) -> bool {
        self.lie == lie && self.calls.fetch_add(1, Ordering::Relaxed) % RARELY == RARELY - 1
    }

    /// The first value of a key that another thread than this one wrote last.
    fn first_value(&self, key: &[u8]) -> Option<Vec<u8>> {
        let written = self.written.lock().unwrap();
        let (value, writer) = written.get(key)?;
        (*writer != std::thread::current().id()).then(|| value.clone())
    }

    fn note(&self, batch: &WriteBatch) {
        let mut written = self.written.lock().unwrap();
        for op in batch.ops() {
            let first = || (op.value().to_vec(), std::thread::current().id());
            let entry = written.entry(op.key().to_vec()).or_insert_with(first);
            entry.1 = std::thread::current().id();
        }
    }

    fn some_other(&self, key: &[u8]) -> Result<Vec<u8>> {
        let mut cursor = self.honest.scan(KeyRange::all())?;
        while cursor.next()? && cursor.key() == key {}
        Ok(cursor.value()?.to_vec())
    }
}

impl Kv for Liar {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        if self.is_lying("lose-get") {
            return Ok(false);
        }
        if self.lie == "stale-to-others"
            && let Some(first) = self.first_value(key)
        {
            found(&first);
            return Ok(true);
        }
        let swapped = if self.is_lying("swap") { Some(self.some_other(key)?) } else { None };
        let (flip, cut, tear) =
            (self.is_lying("flip"), self.is_lying("cut"), self.is_lying("tear"));
        self.honest.get_with(key, &mut |value| {
            let mut value = swapped.clone().unwrap_or_else(|| value.to_vec());
            if flip {
                value[20] ^= 1;
            }
            if cut {
                value.pop();
            }
            if tear {
                value[50..].rotate_left(8);
            }
            found(&value);
        })
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<SequenceNumber> {
        let is_delete = batch.ops().any(|op| matches!(op, kv::Op::Delete { .. }));
        if self.is_lying("lose-put") || (is_delete && self.lie == "resurrect") {
            return Ok(SequenceNumber::ZERO);
        }
        if self.lie == "stale-to-others" {
            self.note(batch);
        }
        self.honest.write(batch, durability)
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        let is_all = range == KeyRange::all();
        let mut cursor = self.honest.scan(range)?;
        let skips = if is_all { self.lie == "lose-at-end" } else { self.is_lying("skip-in-scan") };
        if skips {
            cursor.next()?;
        }
        Ok(cursor)
    }

    fn sync(&self) -> Result<()> {
        self.honest.sync()
    }

    fn close(&self) -> Result<()> {
        self.honest.close()
    }

    fn capabilities(&self) -> Capabilities {
        self.honest.capabilities()
    }

    fn stats(&self) -> Stats {
        self.honest.stats()
    }
}
