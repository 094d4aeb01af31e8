//! An engine that lies must end the run with exit code 3 and without a number.
//!
//! This file is a `kvbench` with one further engine, which answers wrongly in a way that `KVBENCH_LIE` names. Without
//! that variable it is the test: it runs itself once for each lie.

#![expect(
    clippy::unwrap_used,
    reason = "a test, though without the harness that clippy knows tests by"
)]

mod seal;

use std::ops::Bound;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bench_harness::Registration;
use kv::memory::MemoryEngine;
use kv::{
    Capabilities, Cursor, Durability, KeyRange, Kv, Result, SequenceNumber, Stats, WriteBatch,
};

/// The ways to lie to one thread, and a word of the complaint that each must lead to.
const LIES: [(&str, &str); 10] = [
    ("flip", "checksum"),
    ("cut", "checksum"),
    ("tear", "checksum"),
    ("shorten", " bytes where "),
    ("swap", "has the value of key number"),
    ("lose-get", "found nothing where version"),
    ("lose-put", " where "),
    ("resurrect", " where "),
    ("skip-in-scan", "found nothing where version"),
    ("lose-at-end", "the store lost key"),
];

/// The ways to lie to a thread that reads beside a writer. No key is ever deleted there.
const LIES_BESIDE_A_WRITER: [(&str, &str); 7] = [
    ("lose-get", "get of key"),
    ("shorten", "gets returned"),
    ("lose-while-put", "found nothing where version"),
    ("old-get", "get of key"),
    ("skip-in-scan", "scan of key"),
    ("empty-scan", "scan of key"),
    ("old-scan", "scan of key"),
];

/// Behind all keys of the workloads.
const NO_KEY: &[u8] = b"~";
/// How long a put that is no atomic one leaves its key absent.
const GAP: Duration = Duration::from_millis(1);

/// A call in this many is answered wrongly.
const RARELY: u64 = 50;

fn main() -> ExitCode {
    if std::env::var_os("KVBENCH_LIE").is_some() {
        return bench_harness::main(&[LIAR]);
    }
    for (lie, complaint) in LIES {
        check("honesty", lie, complaint);
    }
    for (lie, complaint) in LIES_BESIDE_A_WRITER {
        check("company", lie, complaint);
    }
    ExitCode::SUCCESS
}

fn check(workload: &str, lie: &str, complaint: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/liar.toml");
    let output = Command::new(std::env::current_exe().unwrap())
        .env("KVBENCH_LIE", lie)
        .args(["run", "-e", "liar", "-r", "1", "--quiet", "--seed", "1", "-c", file])
        .args(["-w", workload, "--out"])
        .arg(folder.path())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{lie}: {errors}");
    assert!(output.stdout.is_empty(), "{lie}: a number was printed");
    let cell = format!("liar in {workload}, block 1: ");
    assert!(errors.contains(&cell) && errors.contains(complaint), "{lie}: {errors}");
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

struct Liar {
    honest: MemoryEngine,
    /// The first version of each key.
    old: MemoryEngine,
    lie: String,
    calls: AtomicU64,
}

impl Liar {
    fn new() -> Self {
        let lie = std::env::var("KVBENCH_LIE").unwrap();
        let (honest, old) = (MemoryEngine::new(), MemoryEngine::new());
        Self { honest, old, lie, calls: AtomicU64::new(0) }
    }

    fn is_lying(&self, lie: &str) -> bool {
        self.lie == lie && self.calls.fetch_add(1, Ordering::Relaxed) % RARELY == RARELY - 1
    }

    /// Puts new keys among the old ones, and takes the others away for a while.
    fn prepare_lie(&self, batch: &WriteBatch) -> Result<()> {
        for op in batch.ops() {
            let mut one = WriteBatch::new();
            if !self.old.get_with(op.key(), &mut |_| ())? {
                one.put(op.key(), op.value());
                self.old.write(&one, Durability::None)?;
            } else if self.is_lying("lose-while-put") {
                one.delete(op.key());
                self.honest.write(&one, Durability::None)?;
                std::thread::sleep(GAP);
            }
        }
        Ok(())
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
        if self.is_lying("old-get") {
            return self.old.get_with(key, found);
        }
        let swapped = if self.is_lying("swap") { Some(self.some_other(key)?) } else { None };
        let (flip, cut, tear) =
            (self.is_lying("flip"), self.is_lying("cut"), self.is_lying("tear"));
        let shorten = self.is_lying("shorten");
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
            if shorten {
                value = seal::shortened(&value);
            }
            found(&value);
        })
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<SequenceNumber> {
        let is_delete = batch.ops().any(|op| matches!(op, kv::Op::Delete { .. }));
        if self.is_lying("lose-put") || (is_delete && self.lie == "resurrect") {
            return Ok(SequenceNumber::ZERO);
        }
        self.prepare_lie(batch)?;
        self.honest.write(batch, durability)
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        let is_all = range == KeyRange::all();
        if !is_all && self.is_lying("old-scan") {
            return self.old.scan(range);
        }
        if !is_all && self.is_lying("empty-scan") {
            let range = KeyRange::new((Bound::Excluded(NO_KEY), Bound::Unbounded));
            return self.honest.scan(range);
        }
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
