//! An engine that claims a class and loses writes with its process must end the run with exit code 3 and without a number.
//!
//! This file is a `kvbench` with one further engine, a log whose entries are held in memory. `KVBENCH_HABIT` names the way in
//! which it fails to keep them. Without that variable it is the test: it runs itself once for each way.

#![expect(
    clippy::unwrap_used,
    reason = "a test, though without the harness that clippy knows tests by"
)]

mod seal;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::sync::Mutex;

use bench_harness::Registration;
use kv::memory::MemoryEngine;
use kv::{
    Capabilities, Cursor, Durability, Error, KeyRange, Kv, Op, Result, ScanSupport, SequenceNumber,
    Stats, WriteBatch,
};

const HABIT: &str = "KVBENCH_HABIT";

/// The ways to lose writes, and the complaint that each must lead to.
const HABITS: [(&str, &str); 6] = [
    ("memory", "the store lost key \"user"),
    ("buffer", " after its process was killed, "),
    ("forget-deletions", " after its process was killed, and it was deleted"),
    ("lose-one", "the store lost key \"user"),
    ("shorten", " after its process was killed, with a value of 20 bytes where 100 were put"),
    ("break", "cannot open its store after its process was killed"),
];

const WORKLOAD: &str = r#"
[workload.w]
about = ""
records = 1000
value_bytes = 100
[[workload.w.phase]]
name = "load"
load = "random"
[[workload.w.phase]]
name = "run"
mix = { get = 50, put = 40, delete = 10 }
ops = 2000
"#;

fn main() -> ExitCode {
    if std::env::var_os(HABIT).is_some() {
        return bench_harness::main(&[LOG]);
    }
    a_store_that_has_everything_after_the_kill_is_counted_and_leaves_no_file();
    for (habit, complaint) in HABITS {
        for class in ["buffered", "sync"] {
            a_store_that_lost_something_ends_the_run_without_a_number(habit, class, complaint);
        }
    }
    the_same_engine_has_a_number_where_it_claims_nothing();
    ExitCode::SUCCESS
}

fn a_store_that_has_everything_after_the_kill_is_counted_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let output = run("honest", "buffered", folder.path());
    let complaint = complaint(&output);
    assert_eq!(output.status.code(), Some(0), "{complaint}");
    // That of the log and that of the yardstick, `bound:log+hash`.
    assert!(complaint.contains("; 2 stores had every write after a kill"), "{complaint}");
    assert!(!run_folder(folder.path()).join("stores").exists());
}

fn a_store_that_lost_something_ends_the_run_without_a_number(
    habit: &str,
    class: &str,
    expected: &str,
) {
    let folder = tempfile::tempdir().unwrap();
    let output = run(habit, class, folder.path());
    let complaint = complaint(&output);
    assert_eq!(output.status.code(), Some(3), "{habit}, {class}: {complaint}");
    assert!(output.stdout.is_empty(), "{habit}, {class}: a number was printed");
    assert!(complaint.contains("log in w, block 1: "), "{complaint}");
    assert!(complaint.contains(expected), "{habit}, {class}: {complaint}");
    assert!(!run_folder(folder.path()).join("summary.csv").exists(), "{habit}: numbers were kept");
    assert!(!run_folder(folder.path()).join("stores").exists(), "{habit}: files were left");
}

fn the_same_engine_has_a_number_where_it_claims_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let output = run("memory", "none", folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", complaint(&output));
}

fn run(habit: &str, class: &str, folder: &Path) -> Output {
    let file = folder.join("w.toml");
    fs::write(&file, WORKLOAD).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(HABIT, habit).args(["run", "-e", "log", "--quiet", "--seed", "1", "-r", "1"]);
    command.args(["--durability", class, "-c"]).arg(&file).arg("--out").arg(folder.join("out"));
    command.output().unwrap()
}

fn run_folder(folder: &Path) -> PathBuf {
    folder.join("out").read_dir().unwrap().next().unwrap().unwrap().path()
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const LOG: Registration = Registration {
    name: "log",
    about: "loses writes with its process",
    version: "0",
    classes: &[Durability::None, Durability::Buffered, Durability::Sync],
    open: |directory, _| Ok(Box::new(Log::open(directory)?)),
    settings: |_| "a log, and everything in memory".into(),
};

/// The bytes that the habit `buffer` gathers before it writes them.
const BUFFER_BYTES: usize = 64 << 10;
/// The value of a deleted key in the log; no other has as many bytes.
const DELETED: &[u8] = b"deleted";

struct Log {
    entries: MemoryEngine,
    tail: Mutex<Tail>,
    habit: String,
}

struct Tail {
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
}

impl Log {
    fn open(directory: &Path) -> Result<Self> {
        let path = directory.join("log");
        let failed = |error| Error::io("open", &path, error);
        let habit = std::env::var(HABIT).unwrap();
        let found = if path.exists() { fs::read(&path).map_err(failed)? } else { Vec::new() };
        let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
        if habit == "break" && !found.is_empty() {
            return Err(Error::corruption(&path, 0, "no clean end"));
        }
        let tail = Mutex::new(Tail { path, file, buffer: Vec::new() });
        let log = Self { entries: MemoryEngine::new(), tail, habit };
        log.replay(&found)?;
        if log.habit == "lose-one" && !found.is_empty() {
            log.lose_one()?;
        }
        Ok(log)
    }

    /// Takes the entries of a log: two lengths, a key and a value each.
    fn replay(&self, mut rest: &[u8]) -> Result<()> {
        while let Some((lens, behind)) = rest.split_first_chunk::<8>() {
            let lens = u64::from_le_bytes(*lens);
            let (key, behind) = behind.split_at(lens as u32 as usize);
            let (value, behind) = behind.split_at((lens >> 32) as usize);
            rest = behind;
            let mut batch = WriteBatch::new();
            if value == DELETED {
                batch.delete(key)
            } else {
                batch.put(key, value)
            };
            self.entries.write(&batch, Durability::None)?;
        }
        Ok(())
    }

    fn lose_one(&self) -> Result<()> {
        let mut cursor = self.entries.scan(KeyRange::all())?;
        cursor.next()?;
        let mut batch = WriteBatch::new();
        batch.delete(cursor.key());
        self.entries.write(&batch, Durability::None).map(drop)
    }
}

impl Tail {
    fn push(&mut self, key: &[u8], value: &[u8]) {
        let lens = (value.len() as u64) << 32 | key.len() as u64;
        self.buffer.extend_from_slice(&lens.to_le_bytes());
        self.buffer.extend_from_slice(key);
        self.buffer.extend_from_slice(value);
    }

    fn flush(&mut self) -> Result<()> {
        let written = self.file.write_all(&self.buffer);
        self.buffer.clear();
        written.map_err(|error| Error::io("write", &self.path, error))
    }
}

impl Kv for Log {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.entries.get_with(key, found)
    }

    fn write(&self, batch: &WriteBatch, _: Durability) -> Result<SequenceNumber> {
        let mut tail = self.tail.lock().unwrap();
        let habit = self.habit.as_str();
        for op in batch.ops() {
            match op {
                _ if habit == "memory" => {}
                Op::Delete { .. } if habit == "forget-deletions" => {}
                Op::Delete { key } => tail.push(key, DELETED),
                _ if habit == "shorten" => tail.push(op.key(), &seal::shortened(op.value())),
                _ => tail.push(op.key(), op.value()),
            }
        }
        if habit != "buffer" || tail.buffer.len() >= BUFFER_BYTES {
            tail.flush()?;
        }
        self.entries.write(batch, Durability::None)
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        self.entries.scan(range)
    }

    fn sync(&self) -> Result<()> {
        self.tail.lock().unwrap().flush()
    }

    fn close(&self) -> Result<()> {
        self.sync()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(ScanSupport::Ordered, Durability::Sync)
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }
}
