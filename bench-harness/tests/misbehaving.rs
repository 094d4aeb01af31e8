//! An engine that prints, leaves processes behind, writes where it should not or needs too much memory ends its own cell at
//! most, and the run says which one. One that puts its work off or hides its memory has that counted.
//!
//! This file is a `kvbench` with one further engine, which misbehaves in a way that `KVBENCH_HABIT` names. Without that
//! variable it is the test: it runs itself once for each way.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test, though without the harness that clippy knows tests by"
)]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode, Output};
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use bench_harness::{EngineConfig, Registration, own_engines};
use kv::memory::MemoryEngine;
use kv::{
    Capabilities, Cursor, Durability, KeyRange, Kv, Result, SequenceNumber, Stats, WriteBatch,
};
use rustix::time::{ClockId, clock_gettime};

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
    an_engine_that_panics_ends_its_cell_with_its_own_exit_code();
    a_line_that_is_no_message_ends_the_cell_though_the_engine_goes_on();
    a_cell_that_is_killed_while_its_content_is_compared_has_no_figures();
    work_that_a_sync_waits_for_counts_in_cpu_time_and_in_the_settled_speed();
    an_engine_that_works_without_end_is_not_at_rest_and_has_no_place();
    memory_in_an_unlinked_file_and_memory_for_a_moment_are_memory();
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
    assert!(
        complaint(&output).contains("odd in w, block 1: the process crashed (signal: 6"),
        "{output:?}"
    );
}

fn an_engine_that_panics_ends_its_cell_with_its_own_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let output = run("panic", folder.path(), &[]);
    assert_eq!(output.status.code(), Some(5), "{}", complaint(&output));
    let expected = "odd in w, block 1: the process crashed (exit status: 101)";
    assert!(complaint(&output).contains(expected), "{}", complaint(&output));
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
    assert_eq!(output.status.code(), Some(5), "it is the only engine: {complaint}");
    let expected = "2 cells did not fit into their memory and were not checked: odd; what was";
    assert!(complaint.contains(expected), "{complaint}");
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

/// The thread of the engine burns `BURNT` for each of 1,000 puts, during the phase or after it, so both together take no less.
fn work_that_a_sync_waits_for_counts_in_cpu_time_and_in_the_settled_speed() {
    let rows = rows("queue", &["-r", "1"]);
    let figure = |name: &str| rows[0].figure(name);
    let (time, deferred) = (figure("duration_s"), figure("deferred_s"));
    let least = 1_000.0 * BURNT.as_secs_f64();
    assert!(time + deferred >= 0.99 * least, "{time} s and {deferred} s after it");
    assert!((figure("throughput_ops_s") * time - 1_000.0).abs() < 1.0, "{time} s");
    assert!(figure("settled_throughput_ops_s") * (time + deferred) <= 1_010.0);
    assert!(figure("cpu_ns_per_op") >= 0.9 * BURNT.as_nanos() as f64);
}

/// The thread of the engine runs or waits for a core whenever anybody looks, however little of a core it gets.
fn an_engine_that_works_without_end_is_not_at_rest_and_has_no_place() {
    let undone = rows("put-off", &["-r", "2"]);
    assert!(undone.iter().all(|row| row.text("is_at_rest") == "false"), "{undone:?}");
    assert!(undone.iter().all(|row| row.figure("deferred_s") > 0.0), "{undone:?}");
    let folder = tempfile::tempdir().unwrap();
    let output = run("put-off", folder.path(), &["-r", "2"]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = printed.lines().find(|line| line.contains("odd∞")).unwrap_or_default();
    assert!(line.trim_start().starts_with("-  odd"), "{printed}");
}

fn memory_in_an_unlinked_file_and_memory_for_a_moment_are_memory() {
    let hidden = &rows("hide", &["-r", "1"])[0];
    assert!(hidden.figure("memory_elsewhere_bytes") >= BALLOON as f64, "{hidden:?}");
    let mapped = &rows("balloon", &["-r", "1"])[0];
    assert!(mapped.figure("memory_peak_bytes") >= 0.5 * BALLOON as f64, "{mapped:?}");
    assert!(mapped.figure("memory_anon_bytes") < 0.5 * BALLOON as f64, "{mapped:?}");
    assert!(mapped.figure("memory_elsewhere_bytes") < 0.5 * BALLOON as f64, "{mapped:?}");
}

/// A row of the engine.
#[derive(Debug)]
struct OddRow(Vec<(String, String)>);

impl OddRow {
    fn text(&self, name: &str) -> &str {
        &self.0.iter().find(|(column, _)| column == name).unwrap().1
    }

    fn figure(&self, name: &str) -> f64 {
        self.text(name).parse().unwrap_or_else(|_| panic!("{name} is no number in {self:?}"))
    }
}

/// The rows of the sums of the engine.
fn rows(habit: &str, further: &[&str]) -> Vec<OddRow> {
    let folder = tempfile::tempdir().unwrap();
    let output = run(habit, folder.path(), &[further, &["--format", "csv"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", complaint(&output));
    let mut reader = csv::Reader::from_reader(&output.stdout[..]);
    let head: Vec<_> = reader.headers().unwrap().iter().map(String::from).collect();
    let rows = reader.records().map(std::result::Result::unwrap);
    let rows =
        rows.map(|row| OddRow(head.iter().cloned().zip(row.iter().map(String::from)).collect()));
    rows.filter(|row| row.text("engine") == "odd" && row.text("op") == "all").collect()
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
    open: |path, config| Ok(Box::new(Odd::open(path, config)?)),
    settings: |_| "everything in memory".into(),
};

fn habit() -> String {
    std::env::var(HABIT).unwrap()
}

struct Odd {
    inner: Box<dyn Kv>,
    habit: String,
    /// To a thread that works for each write, and answers where an answer is asked for.
    queue: Mutex<Sender<Option<Sender<()>>>>,
    /// An unlinked file.
    hidden: Option<File>,
}

/// CPU time for each write that is put off.
const BURNT: Duration = Duration::from_micros(200);
/// The same for an engine that does not wait for it: it is not done before the process ends.
const BURNT_WITHOUT_END: Duration = Duration::MAX;
/// Memory that is hidden, or held for a moment.
const BALLOON: usize = 128 << 20;

/// Uses the processor for `time`.
fn burn(time: Duration) {
    let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
    let begun = now();
    while now().saturating_sub(begun) < time {}
}

impl Odd {
    fn open(path: &Path, config: EngineConfig) -> Result<Self> {
        let (habit, (queue, queued)) = (habit(), channel::<Option<Sender<()>>>());
        let time = if habit == "queue" { BURNT } else { BURNT_WITHOUT_END };
        std::thread::spawn(move || {
            for answer in queued {
                answer.map_or_else(|| burn(time), drop);
            }
        });
        let unlinked = std::env::temp_dir().join(format!("kvbench-odd-{}", std::process::id()));
        let hidden = (habit == "hide").then(|| File::create_new(&unlinked).unwrap());
        if hidden.is_some() {
            fs::remove_file(&unlinked).unwrap();
        }
        // Work that is put off counts in the speed of engines that keep what they are given.
        let inner: Box<dyn Kv> = match habit.as_str() {
            "queue" | "put-off" => {
                let own = own_engines();
                (own.iter().find(|engine| engine.name == "bitcask").unwrap().open)(path, config)?
            }
            _ => Box::new(MemoryEngine::new()),
        };
        Ok(Self { inner, habit, queue: Mutex::new(queue), hidden })
    }

    /// Work or memory beside a write.
    fn burden(&self) {
        match self.habit.as_str() {
            "queue" | "put-off" => self.queue.lock().unwrap().send(None).unwrap(),
            "hide" => {
                let mut file = self.hidden.as_ref().unwrap();
                if file.metadata().unwrap().len() == 0 {
                    file.write_all(&vec![1; BALLOON]).unwrap();
                }
            }
            "balloon" if self.inner.scan(KeyRange::all()).unwrap().next().unwrap() => {}
            "balloon" => {
                let balloon = std::hint::black_box(vec![1_u8; BALLOON]);
                wait_for_a_sample();
                drop(balloon);
            }
            _ => {}
        }
    }

    /// The walk over everything at the end; memory that is written to counts.
    fn misbehave(&self) {
        match self.habit.as_str() {
            "print" => println!("cache miss"),
            "panic" => panic!("cache miss"),
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
            "queue" | "put-off" | "hide" | "balloon" => {}
            habit => panic!("{habit} is no habit"),
        }
    }
}

/// Waits until a thread beside the calling one has gone to sleep three times: the harness samples the memory between two
/// sleeps, and no other thread has anything to do. Without samples the cell ends at its time limit.
fn wait_for_a_sample() {
    let before = sleeps();
    let has_sampled = |(thread, count): (&String, &u64)| {
        before.get(thread).is_some_and(|earlier| *count >= earlier + 3)
    };
    while !sleeps().iter().any(has_sampled) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How often each thread beside the calling one has gone to sleep.
fn sleeps() -> BTreeMap<String, u64> {
    let own = fs::read_link("/proc/thread-self").unwrap();
    let mut sleeps = BTreeMap::new();
    for thread in fs::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap()) {
        // A thread that has ended meanwhile sleeps no more.
        let Ok(status) = fs::read_to_string(thread.path().join("status")) else { continue };
        let mut counts = status.lines().filter_map(|l| l.strip_prefix("voluntary_ctxt_switches:"));
        if Some(&*thread.file_name()) != own.file_name() {
            let count = counts.next().unwrap().trim().parse().unwrap();
            sleeps.insert(thread.file_name().into_string().unwrap(), count);
        }
    }
    sleeps
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
        self.burden();
        self.inner.write(batch, durability)
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        self.misbehave();
        self.inner.scan(range)
    }

    fn sync(&self) -> Result<()> {
        if self.habit == "queue" {
            let (answer, answered) = channel();
            self.queue.lock().unwrap().send(Some(answer)).unwrap();
            // The thread drops its end when it has come so far.
            answered.recv().unwrap_err();
        }
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
