//! An engine that prints, leaves processes behind, writes where it should not or needs too much memory ends its own cell at
//! most, and the run says which one.
//!
//! This file is a `kvbench` with one further engine, which misbehaves in a way that `KVBENCH_HABIT` names. Without that
//! variable it is the test: it runs itself once for each way.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test, though without the harness that clippy knows tests by"
)]

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode, Output};

use bench_harness::Registration;
use kv::memory::MemoryEngine;
use kv::{
    Capabilities, Cursor, Durability, KeyRange, Kv, Result, SequenceNumber, Stats, WriteBatch,
};

const HABIT: &str = "KVBENCH_HABIT";

const WORKLOAD: &str = r#"
[workload.w]
about = ""
records = 1000
[[workload.w.phase]]
name = "load"
load = "random"
"#;

fn main() -> ExitCode {
    if std::env::var_os(HABIT).is_some() {
        return bench_harness::main(&[ENGINE]);
    }
    what_an_engine_prints_goes_to_stderr();
    a_crash_is_reported_and_the_processes_of_the_engine_end_with_it();
    a_line_that_is_no_message_ends_the_cell_though_the_engine_goes_on();
    a_cell_that_is_killed_while_its_content_is_compared_has_no_figures();
    ExitCode::SUCCESS
}

fn what_an_engine_prints_goes_to_stderr() {
    let folder = tempfile::tempdir().unwrap();
    let output = run("print", folder.path(), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", complaint(&output));
    assert!(complaint(&output).contains("cache miss"), "{}", complaint(&output));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.contains("odd") && !printed.contains("cache miss"), "{printed}");
}

/// The processes hold stderr open: as long as one of them lives, there is no end of the output to wait for.
fn a_crash_is_reported_and_the_processes_of_the_engine_end_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let output = run("leave", folder.path(), &[]);
    assert_eq!(output.status.code(), Some(5), "{}", complaint(&output));
    assert!(complaint(&output).contains("odd in w: the process crashed (signal: 6"), "{output:?}");
}

fn a_line_that_is_no_message_ends_the_cell_though_the_engine_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let output = run("ramble", folder.path(), &[]);
    assert_eq!(output.status.code(), Some(5), "{}", complaint(&output));
    assert!(complaint(&output).contains("no message: \"cache miss\""), "{}", complaint(&output));
}

fn a_cell_that_is_killed_while_its_content_is_compared_has_no_figures() {
    let folder = tempfile::tempdir().unwrap();
    let output = run("devour", folder.path(), &["-r", "2", "--limit-memory", "32MiB"]);
    let complaint = complaint(&output);
    if complaint.contains("needs a memory cgroup") {
        println!("skipped, because no memory group can be made here: {complaint}");
        return;
    }
    assert_eq!(output.status.code(), Some(0), "{complaint}");
    assert!(complaint.contains("2 cells did not fit into their memory and were not checked"));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.contains("odd: did not fit in 32.0M"), "{printed}");
    let run = folder.path().join("out").read_dir().unwrap().next().unwrap().unwrap().path();
    let summary = fs::read_to_string(run.join("summary.csv")).unwrap();
    let mut lines = summary.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let head = lines.next().unwrap();
    let column = |name: &str| head.iter().position(|column| *column == name).unwrap();
    let (engine, speed) = (column("engine"), column("throughput_ops_s"));
    let speeds: Vec<_> =
        lines.filter(|line| line[engine] == "odd").map(|line| line[speed]).collect();
    assert_eq!(speeds, ["", ""], "{summary}");
}

fn run(habit: &str, folder: &Path, further: &[&str]) -> Output {
    let file = folder.join("w.toml");
    fs::write(&file, WORKLOAD).unwrap();
    let out = folder.join("out");
    let run = ["run", "-e", "odd", "--quiet", "--seed", "1", "-c"];
    let blocks = if further.is_empty() { &["-r", "1"][..] } else { further };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(HABIT, habit).args(run).arg(&file).args(blocks).arg("--out").arg(&out);
    command.output().unwrap()
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const ENGINE: Registration = Registration {
    name: "odd",
    about: "misbehaves",
    version: "0",
    classes: &[Durability::Buffered],
    open: |_, _| Ok(Box::new(Odd { inner: MemoryEngine::new(), habit: habit() })),
    settings: |_| "everything in memory".into(),
};

fn habit() -> String {
    std::env::var(HABIT).unwrap()
}

struct Odd {
    inner: MemoryEngine,
    habit: String,
}

impl Odd {
    /// The walk over everything at the end; memory that is written to counts.
    fn misbehave(&self) {
        match self.habit.as_str() {
            "print" => println!("cache miss"),
            "leave" => {
                let sleep = |pipe| Command::new("sleep").arg("1d").stdout(pipe).spawn().unwrap();
                let sleepers: Vec<_> = pipes().into_iter().map(sleep).collect();
                assert!(!sleepers.is_empty(), "some process outlives this one");
                std::process::abort();
            }
            "ramble" => {
                for mut pipe in pipes() {
                    pipe.write_all(b"cache miss\n").unwrap();
                }
                loop {
                    std::thread::park();
                }
            }
            "devour" => drop(std::hint::black_box(vec![1_u8; 256 << 20])),
            habit => panic!("{habit} is no habit"),
        }
    }
}

/// The pipes of this process beside the three that every process has, that to its parent among them.
fn pipes() -> Vec<File> {
    let mut pipes = Vec::new();
    for descriptor in fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path()) {
        let number: u32 = descriptor.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let is_pipe = fs::read_link(&descriptor)
            .is_ok_and(|target| target.to_string_lossy().starts_with("pipe:"));
        if number > 2 && is_pipe {
            pipes.push(OpenOptions::new().write(true).open(&descriptor).unwrap());
        }
    }
    pipes
}

impl Kv for Odd {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.inner.get_with(key, found)
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<SequenceNumber> {
        self.inner.write(batch, durability)
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        self.misbehave();
        self.inner.scan(range)
    }

    fn sync(&self) -> Result<()> {
        self.inner.sync()
    }

    fn close(&self) -> Result<()> {
        self.inner.close()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn stats(&self) -> Stats {
        self.inner.stats()
    }
}
