//! Cells of small workloads in this process.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use kv::memory::MemoryEngine;
use kv::{
    Capabilities, Cursor, Durability, KeyRange, Kv, Result, SequenceNumber, Stats, WriteBatch,
};

mod disordered_engine;
mod slow_engines;

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
    Job::of_tests(engine, durability, &workload)
}

fn run_job(engine: &Registration, job: Job) -> Vec<Row> {
    try_job(engine, job).unwrap()
}

fn try_job(engine: &Registration, job: Job) -> Outcome<Vec<Row>> {
    let folder = tempfile::tempdir().unwrap();
    let job = Job { directory: folder.path().join("store"), ..job };
    std::fs::create_dir(&job.directory).unwrap();
    let mut rows = Vec::new();
    let emit = &mut |row: Row| {
        rows.push(row);
        Ok(())
    };
    let ending = run(engine, &job, &mut SlowingDisk(0.0), &mut |_| Ok(()), emit)?;
    if let Ending::MustSurvive(mut store) = ending {
        store.make_last_writes()?;
        // Not closed, but this process goes on.
        drop(store);
        check_after_kill(engine, &job)?;
    }
    Ok(rows)
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
