//! Cells of small workloads in this process.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use kv::memory::MemoryEngine;
use kv::{
    Capabilities, Cursor, Durability, KeyRange, Kv, Result, SequenceNumber, Stats, WriteBatch,
};

use super::phase_clients::Target;
use super::phase_result::PhaseResult;
use super::sweep::sweep;
use super::{Ending, Job, check_after_kill, run};
use crate::client::{ClientBuffers, WindowCapacity};
use crate::dataset::Dataset;
use crate::engines::{NULL_ENGINE, Registration};
use crate::failure::Outcome;
use crate::judge::{Judge, Timeline};
use crate::keys::{KeyShape, KeySpace};
use crate::model::Model;
use crate::probe::Probe;
use crate::process_counters::CpuTime;
use crate::recorder::OperationStats;
use crate::row::Row;
use crate::values::Values;
use crate::workload::SweepDirection;

const LOAD: &str = r#"{"name": "load", "load": "random"}"#;

/// A disk that becomes slower with each look at it.
struct SlowingDisk(f64);

impl Probe for SlowingDisk {
    fn sync_ns(&mut self) -> Outcome<f64> {
        self.0 += 100.0;
        Ok(self.0)
    }
}

/// A cell with so many records that runs `phases`.
pub(super) fn job(engine: &str, durability: &str, records: u32, phases: &[&str]) -> Job {
    let phases = phases.join(", ");
    let workload = format!(r#"{{"about": "", "records": {records}, "phase": [{phases}]}}"#);
    Job {
        run_id: "run".into(),
        block: 1,
        order: 1,
        engine: engine.into(),
        workload_name: "w".into(),
        workload: serde_json::from_str(&workload).unwrap(),
        seed: 1,
        durability: durability.into(),
        rate: None,
        memory_budget_bytes: 1 << 20,
        limit_memory_bytes: None,
        directory: std::path::PathBuf::new(),
        time_limit: None,
        stream_steps: 16,
    }
}

fn run_job(engine: &Registration, job: Job) -> Vec<Row> {
    let folder = tempfile::tempdir().unwrap();
    let job = Job { directory: folder.path().join("store"), ..job };
    std::fs::create_dir(&job.directory).unwrap();
    let mut rows = Vec::new();
    let emit = &mut |row: Row| {
        rows.push(row);
        Ok(())
    };
    let ending = run(engine, &job, &mut SlowingDisk(0.0), &mut |_| Ok(()), emit).unwrap();
    if let Ending::MustSurvive(mut store) = ending {
        store.make_last_writes().unwrap();
        // Not closed, but this process goes on.
        drop(store);
        check_after_kill(engine, &job).unwrap();
    }
    rows
}

/// The rows of a cell with four records that runs `phases`.
fn rows(engine: &str, durability: &str, phases: &[&str]) -> Vec<Row> {
    let known = crate::engines::own();
    let registration = known.iter().find(|known| known.name == engine).unwrap();
    run_job(registration, job(engine, durability, 4, phases))
}

fn sums(engine: &str, durability: &str, phases: &[&str]) -> Vec<Row> {
    let rows = rows(engine, durability, phases).into_iter();
    rows.filter(|row| row.op == "all").collect()
}

fn probes(engine: &str, durability: &str) -> Vec<Option<(f64, f64)>> {
    let get = r#"{"name": "get", "mix": {"get": 1}, "ops": 4}"#;
    let rmw = r#"{"name": "rmw", "mix": {"get": 1, "rmw": 1}, "ops": 8}"#;
    let rows = sums(engine, durability, &[LOAD, get, rmw]).into_iter();
    rows.map(|row| row.probe_before_ns.zip(row.probe_after_ns)).collect()
}

#[test]
fn the_disk_is_probed_before_and_after_each_synced_phase_that_writes_and_in_no_other() {
    let (load, rmw) = (Some((100.0, 200.0)), Some((300.0, 400.0)));
    assert_eq!(probes("bitcask", "sync"), [load, None, rmw]);
    assert_eq!(probes("bitcask", "buffered"), [None; 3]);
}

#[test]
fn a_synced_phase_knows_the_fewest_syncs_that_its_puts_take() {
    let get = r#"{"name": "get", "mix": {"get": 1}, "ops": 4}"#;
    let two = r#"{"name": "two", "mix": {"put": 1}, "ops": 5, "threads": 2}"#;
    let batched = r#"{"name": "batched", "mix": {"put": 1}, "ops": 4, "batch": 2}"#;
    let least = |engine, durability| {
        let rows = sums(engine, durability, &[LOAD, get, two, batched]);
        assert!(rows.iter().all(|row| !row.lacks_syncs()), "{rows:?}");
        rows.iter().map(|row| row.least_fsyncs).collect::<Vec<_>>()
    };
    // Two threads make five puts each.
    assert_eq!(least("bitcask", "sync"), [Some(4), None, Some(5), Some(2)]);
    assert_eq!(least("bitcask", "buffered"), [None; 4]);
    let beside = r#"{"name": "beside", "mix": {"get": 1}, "ops": 20000, "background": {"put": 1}}"#;
    let rows = rows("bitcask", "sync", &[LOAD, beside]);
    let ops = |op: &str| rows.iter().find(|row| row.phase == "beside" && row.op == op);
    let puts = ops("background:put").map_or(0, |row| row.ops);
    let least_beside = ops("all").unwrap().least_fsyncs;
    assert_eq!(least_beside, Some(puts.div_ceil(2)).filter(|least| *least > 0));
    assert_eq!(least(NULL_ENGINE, "sync"), [None; 4]);
}

#[test]
fn the_disk_is_not_probed_beside_an_engine_that_does_nothing_or_keeps_nothing() {
    assert_eq!(probes(NULL_ENGINE, "sync"), [None; 3]);
    assert_eq!(probes("memory", "sync"), [None; 3]);
}

#[test]
fn answers_that_are_not_compared_are_not_counted_as_verified() {
    let mix = r#"{"name": "mix", "mix": {"get": 1, "get-miss": 1, "scan": 1}, "ops": 30}"#;
    let phases = [LOAD, mix, r#"{"name": "sweep", "sweep": "forward"}"#];
    let verified =
        |engine| sums(engine, "none", &phases).iter().map(|row| row.verified).collect::<Vec<_>>();
    assert_eq!(verified(NULL_ENGINE), [0; 3]);
    let compared = verified("memory");
    assert!(compared[0] == 0 && compared[1] >= 20 && compared[2] == 4, "{compared:?}");
}

#[test]
fn a_write_in_the_background_makes_a_phase_one_that_writes() {
    let mix = r#"{"name": "mix", "mix": {"get": 1}, "ops": 2000, "background": {"put": 1}}"#;
    let rows = rows("bitcask", "buffered", &[LOAD, mix]);
    let of_mix = |op: &str| rows.iter().find(|row| row.phase == "mix" && row.op == op).unwrap();
    let (sum, background) = (of_mix("all"), of_mix("background:put"));
    assert_eq!((sum.ops, sum.user_bytes_written), (2000, 0));
    assert!(background.user_bytes_written > 0);
    let written = sum.io_write_bytes.unwrap() as f64;
    let expected = written / background.user_bytes_written as f64;
    assert!((sum.write_amp.unwrap() - expected).abs() < 1e-5, "{sum:?}");
    assert!(sum.settled_throughput_ops_s.is_some());
}

#[test]
fn cpu_time_is_divided_by_the_operations_of_all_threads_that_it_was_spent_on() {
    let stats = |ops| OperationStats { ops, ..OperationStats::new("all") };
    let mut result = PhaseResult::from_stats(stats(10), Duration::from_secs(1));
    result.background = Some(stats(30));
    result.cpu = Some(CpuTime { total: Duration::from_micros(4), ..CpuTime::default() });
    (result.loop_ns, result.background_loop_ns) = (Some(10.0), Some(20.0));
    assert_eq!(result.cpu_ns_per_op(None), Some((4_000.0 - 100.0 - 600.0) / 40.0));
}

/// An engine whose scans take CPU time when they begin and when their cursor goes away.
struct BusyScans(MemoryEngine);

struct BusyCursor(Box<dyn Cursor>);

/// The CPU time of each end of a scan.
const BUSY: Duration = Duration::from_millis(5);

/// The CPU time and the wall time that scans have taken. The clock of the process counts other tests as well.
static SPENT: Mutex<(Duration, Duration)> = Mutex::new((Duration::ZERO, Duration::ZERO));

fn be_busy() {
    let (cpu, wall) = (CpuTime::now(), Instant::now());
    while CpuTime::now().since(cpu).total < BUSY || wall.elapsed() < BUSY {}
    let mut spent = SPENT.lock().unwrap();
    spent.1 += wall.elapsed();
    spent.0 += CpuTime::now().since(cpu).total;
}

impl Drop for BusyCursor {
    fn drop(&mut self) {
        be_busy();
    }
}

impl Cursor for BusyCursor {
    fn seek_ge(&mut self, target: &[u8]) -> Result<bool> {
        self.0.seek_ge(target)
    }

    fn seek_lt(&mut self, target: &[u8]) -> Result<bool> {
        self.0.seek_lt(target)
    }

    fn next(&mut self) -> Result<bool> {
        self.0.next()
    }

    fn prev(&mut self) -> Result<bool> {
        self.0.prev()
    }

    fn key(&self) -> &[u8] {
        self.0.key()
    }

    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        self.0.entry()
    }
}

impl Kv for BusyScans {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.0.get_with(key, found)
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<SequenceNumber> {
        self.0.write(batch, durability)
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        be_busy();
        Ok(Box::new(BusyCursor(self.0.scan(range)?)))
    }

    fn sync(&self) -> Result<()> {
        self.0.sync()
    }

    fn close(&self) -> Result<()> {
        self.0.close()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn stats(&self) -> Stats {
        self.0.stats()
    }
}

#[test]
fn the_times_of_a_sweep_hold_the_begin_and_the_end_of_its_scan() {
    let values = Values::Pooled;
    let writer = values.writer(0, 1, 16);
    let keys = KeySpace::Shaped(KeyShape::User);
    let dataset = Dataset { keys, values, common_value_bytes: Some(16), capacity: 1, order: None };
    let (model, timeline) = (Model::new(1), Timeline::new(1, 0, 1));
    let judge = Judge { dataset: &dataset, model, is_strict: true, timeline };
    let capacity = WindowCapacity { entries: 1, ..WindowCapacity::default() };
    let mut buffers = ClientBuffers::new(capacity, writer);
    let engine = BusyScans(MemoryEngine::new());
    let target = Target { engine: &engine, dataset: &dataset, durability: Durability::None };
    let result = sweep(target, SweepDirection::Forward, &mut buffers, &judge).unwrap();
    let (cpu, wall) = *SPENT.lock().unwrap();
    assert!(cpu >= 2 * BUSY && result.cpu.unwrap().total >= cpu);
    assert!(wall >= 2 * BUSY && result.wall >= wall);
}

/// An engine whose writes and syncs take at least these times, and whose reads take none.
struct Slow {
    inner: MemoryEngine,
    write: Duration,
    sync: Duration,
}

impl Slow {
    fn new(write: Duration, sync: Duration) -> Self {
        Self { inner: MemoryEngine::new(), write, sync }
    }
}

impl Kv for Slow {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.inner.get_with(key, found)
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<SequenceNumber> {
        std::thread::sleep(self.write);
        self.inner.write(batch, durability)
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        self.inner.scan(range)
    }

    fn sync(&self) -> Result<()> {
        std::thread::sleep(self.sync);
        Ok(())
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }
}

const SLOW_WRITES: Registration = Registration {
    name: "slow-writes",
    about: "",
    version: "0",
    classes: &[Durability::None],
    open: |_, _| Ok(Box::new(Slow::new(Duration::from_millis(1), Duration::ZERO))),
    settings: |_| String::new(),
};

const SLOW_SYNCS: Registration = Registration {
    name: "slow-syncs",
    open: |_, _| Ok(Box::new(Slow::new(Duration::ZERO, Duration::from_secs(1)))),
    ..SLOW_WRITES
};

fn slow_sums(job: Job) -> Vec<Row> {
    run_job(&SLOW_WRITES, job).into_iter().filter(|row| row.op == "all").collect()
}

#[test]
fn a_phase_on_a_store_whose_load_was_cut_short_says_so() {
    let get = r#"{"name": "get", "mix": {"get": 1}, "ops": 100}"#;
    let phases = [LOAD, get, r#"{"name": "sweep", "sweep": "forward"}"#];
    let whole = slow_sums(job("slow-writes", "none", 20, &phases));
    assert!(whole.len() == 3 && whole.iter().all(|row| !row.cut_short), "{whole:?}");
    let time_limit = Some(Duration::from_millis(300));
    let rows = slow_sums(Job { time_limit, ..job("slow-writes", "none", 20_000, &phases) });
    assert!(rows.len() == 3 && rows[0].records < 1_000, "{}", rows[0].records);
    for row in rows {
        assert!(row.cut_short, "{}: {} of 20,000 records and no mark", row.phase, row.records);
    }
}

#[test]
fn a_phase_without_time_has_no_speed() {
    // The load leaves nothing of the limit for the get.
    let get = r#"{"name": "get", "mix": {"get": 1}, "duration": "1s"}"#;
    let time_limit = Some(Duration::from_millis(5));
    let rows = slow_sums(Job { time_limit, ..job("slow-writes", "none", 20, &[LOAD, get]) });
    let get = &rows[1];
    assert!(get.cut_short && (get.ops >= 1_000 || get.throughput_ops_s.is_none()), "{get:?}");
}

#[test]
fn a_final_sync_beyond_the_limit_does_not_cut_a_phase_that_had_all_of_its_time() {
    // The phase takes 110 ms of the limit, and its final sync 1 s. With a schedule, a phase ends at its time: its clock
    // starts after the harness has reckoned the end, so the wall time is below 100 ms, by more on a busy machine.
    let put = r#"{"name": "put", "mix": {"put": 1}, "duration": "100ms"}"#;
    let limit = Some(Duration::from_millis(900));
    let job =
        Job { time_limit: limit, rate: Some(1_000.0), ..job("slow-syncs", "none", 4, &[put]) };
    let rows = run_job(&SLOW_SYNCS, job);
    let sum = rows.iter().find(|row| row.op == "all").unwrap();
    assert!(sum.duration_s > 0.0 && !sum.cut_short, "{sum:?}");
    // The sync is time of the settled speed and of no pause.
    let (speed, settled) = (sum.throughput_ops_s.unwrap(), sum.settled_throughput_ops_s.unwrap());
    assert!(settled < speed / 5.0 && sum.paused_s.unwrap() < 0.9, "{sum:?}");
}

#[test]
fn few_operations_of_a_cut_phase_give_no_figure_and_those_of_a_whole_phase_do() {
    let figure = |ops, ms, asked: Option<u64>, cut_short| {
        let stats = OperationStats { ops, ..OperationStats::new("all") };
        let mut result = PhaseResult::from_stats(stats, Duration::from_millis(ms));
        result.asked = asked.map(Duration::from_millis);
        result.cut_short = cut_short;
        result.has_figure()
    };
    assert!(figure(1, 1, None, false));
    assert!(!figure(1, 1, None, true) && !figure(1, 500, Some(1_000), true));
    assert!(!figure(999, 10, None, true) && !figure(1_000, 9, None, true));
    assert!(figure(1_000, 10, None, true) && figure(100, 100, Some(1_000), true));
    assert!(!figure(99, 100, Some(1_000), true) && !figure(100, 99, Some(1_000), true));
}

#[test]
fn the_warm_up_takes_no_more_than_its_share_of_the_limit() {
    let get = r#"{"name": "get", "mix": {"get": 1}, "duration": "60m"}"#;
    let time_limit = Some(Duration::from_millis(110));
    let rows = slow_sums(Job { time_limit, ..job("slow-writes", "none", 4, &[LOAD, get]) });
    assert!(rows[1].warm_up_s.is_some_and(|time| time <= 0.01), "{:?}", rows[1]);
}

#[test]
fn a_rate_counts_operations_whether_or_not_they_go_in_batches() {
    // The schedule of a batch of 10 has a tenth of the calls: 100 of 10 operations in a second.
    let put = r#"{"name": "put", "mix": {"put": 1}, "batch": 10, "ops": 2000}"#;
    let job = job("slow-writes", "none", 1_000, &[put]);
    let rows = slow_sums(Job { rate: Some(1_000.0), stream_steps: 2_000, ..job });
    let reached = rows[0].achieved_rate.unwrap();
    assert!(reached < 2_000.0, "asked for 1,000 operations a second, made {reached}");
}

#[test]
fn a_schedule_without_an_arrival_in_time_has_no_operation_and_no_figure() {
    let get = r#"{"name": "get", "mix": {"get": 1}, "duration": "20ms"}"#;
    let job = job("slow-writes", "none", 4, &[LOAD, get]);
    let rows = slow_sums(Job { rate: Some(1e-6), ..job });
    let get = &rows[1];
    assert_eq!((get.ops, get.throughput_ops_s, get.missed_ops), (0, None, Some(0)));
    assert!(!get.is_overloaded(), "{get:?}");
}
