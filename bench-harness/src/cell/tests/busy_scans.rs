//! Scans that take CPU time when they begin and when their cursor goes away.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use kv::memory::MemoryEngine;
use kv::{Cursor, Durability, KeyRange, Kv as _, Result};

use super::engine_with_scans::EngineWithScans;
use crate::cell::phase_clients::Target;
use crate::cell::sweep::sweep;
use crate::client::{ClientBuffers, WindowCapacity};
use crate::dataset::Dataset;
use crate::judge::{Judge, Timeline};
use crate::keys::{KeyShape, KeySpace};
use crate::model::Model;
use crate::process_counters::CpuTime;
use crate::values::Values;
use crate::workload::SweepDirection;

/// A cursor that takes CPU time when it goes away.
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

fn busy_scan(engine: &MemoryEngine, range: KeyRange) -> Result<Box<dyn Cursor>> {
    be_busy();
    Ok(Box::new(BusyCursor(engine.scan(range)?)))
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
    let engine = EngineWithScans::new(busy_scan);
    let target = Target { engine: &engine, dataset: &dataset, durability: Durability::None };
    let result = sweep(target, SweepDirection::Forward, &mut buffers, &judge).unwrap();
    let (cpu, wall) = *SPENT.lock().unwrap();
    assert!(cpu >= 2 * BUSY && result.cpu.unwrap().total >= cpu);
    assert!(wall >= 2 * BUSY && result.wall >= wall);
}
