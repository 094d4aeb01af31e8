//! Cells of engines whose calls take long: what counts as time of a phase, and what a limit cuts short.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use kv::memory::MemoryEngine;
use kv::{
    Capabilities, Cursor, Durability, KeyRange, Kv, Result, SequenceNumber, Stats, WriteBatch,
};

use super::{LOAD, job, run_job};
use crate::cell::Job;
use crate::cell::phase_result::PhaseResult;
use crate::engines::Registration;
use crate::recorder::OperationStats;
use crate::row::Row;

/// An engine whose calls take at least these times.
#[derive(Default)]
struct Slow {
    inner: MemoryEngine,
    write: Duration,
    sync: Duration,
    /// The first read builds then what the writes have put off.
    first_read: Mutex<Duration>,
    /// For so long a thread works after each sync.
    after_sync: Duration,
}

impl Kv for Slow {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        std::thread::sleep(std::mem::take(&mut self.first_read.lock().unwrap()));
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
        let until = Instant::now() + self.after_sync;
        if self.after_sync > Duration::ZERO {
            std::thread::spawn(move || while Instant::now() < until {});
        }
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
    open: |_, _| Ok(boxed(Slow { write: Duration::from_millis(1), ..Slow::default() })),
    settings: |_| String::new(),
};

const SLOW_SYNCS: Registration = Registration {
    name: "slow-syncs",
    open: |_, _| Ok(boxed(Slow { sync: Duration::from_secs(1), ..Slow::default() })),
    ..SLOW_WRITES
};

const SLOW_FIRST_READ: Registration = Registration {
    name: "slow-first-read",
    open: |_, _| {
        let first_read = Mutex::new(Duration::from_millis(200));
        Ok(boxed(Slow { first_read, ..Slow::default() }))
    },
    ..SLOW_WRITES
};

/// The time for which a thread of [`RESTLESS`] works after each sync.
const AFTER_SYNC: Duration = Duration::from_secs(1);

const RESTLESS: Registration = Registration {
    name: "restless",
    open: |_, _| Ok(boxed(Slow { after_sync: AFTER_SYNC, ..Slow::default() })),
    ..SLOW_WRITES
};

fn boxed(engine: Slow) -> Box<dyn Kv> {
    Box::new(engine)
}

#[test]
fn a_wait_for_rest_takes_nothing_of_the_limit_from_the_phases_that_follow() {
    let put = |name| format!(r#"{{"name": "{name}", "mix": {{"put": 1}}, "ops": 10}}"#);
    let get = r#"{"name": "get", "mix": {"get": 1}, "duration": "50ms"}"#;
    // Each of the three phases that write is followed by a wait of a second.
    let phases = [LOAD, &put("first"), &put("second"), get];
    let time_limit = Some(Duration::from_millis(2_500));
    let rows = run_job(&RESTLESS, Job { time_limit, ..job("restless", "none", 4, &phases) });
    let get = rows.iter().find(|row| row.phase == "get" && row.op == "all").unwrap();
    assert!(!get.cut_short && get.duration_s > 0.04, "{get:?}");
}

#[test]
fn a_warm_up_lasts_as_long_as_its_calls() {
    let get = r#"{"name": "get", "mix": {"get": 1}, "duration": "50ms"}"#;
    let rows = run_job(&SLOW_FIRST_READ, job("slow-first-read", "none", 4, &[LOAD, get]));
    let get = rows.iter().find(|row| row.phase == "get" && row.op == "all").unwrap();
    assert!(get.warm_up_s.unwrap() >= 0.2, "{get:?}");
}

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
    // starts a little after the harness has reckoned the end, so the wall time is a little below 100 ms.
    let put = r#"{"name": "put", "mix": {"put": 1}, "duration": "100ms"}"#;
    let limit = Some(Duration::from_millis(900));
    let job =
        Job { time_limit: limit, rate: Some(1_000.0), ..job("slow-syncs", "none", 4, &[put]) };
    let rows = run_job(&SLOW_SYNCS, job);
    let sum = rows.iter().find(|row| row.op == "all").unwrap();
    assert!(sum.duration_s > 0.09 && !sum.cut_short, "{sum:?}");
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
