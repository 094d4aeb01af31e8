//! What a listener hears of flushes, compactions and stalls.

use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use kv::{Durability, Kv};
use lsm::{
    CompactionEvent, CompactionOutcome, EventListener, FlushEvent, Lsm, Options, StallEvent,
};

use crate::world::{STORE, World, entries, fill, filled, key, leveled};

/// Keeps what it hears.
#[derive(Debug, Default)]
struct Recorder {
    flushes_begun: Mutex<u64>,
    flushes: Mutex<Vec<FlushEvent>>,
    begun: Mutex<Vec<CompactionEvent>>,
    ended: Mutex<Vec<(CompactionEvent, CompactionOutcome)>>,
    stalls: Mutex<Vec<String>>,
}

impl EventListener for Recorder {
    fn flush_begun(&self) {
        *self.flushes_begun.lock().expect("no thread panics") += 1;
    }

    fn flush_ended(&self, flush: &FlushEvent) {
        self.flushes.lock().expect("no thread panics").push(flush.clone());
    }

    fn compaction_begun(&self, compaction: &CompactionEvent) {
        self.begun.lock().expect("no thread panics").push(compaction.clone());
    }

    fn compaction_ended(&self, compaction: &CompactionEvent, outcome: &CompactionOutcome) {
        let ended = (compaction.clone(), outcome.clone());
        self.ended.lock().expect("no thread panics").push(ended);
    }

    fn stall_begun(&self, stall: &StallEvent) {
        self.stalls.lock().expect("no thread panics").push(format!("begun: {}", stall.signal));
    }

    fn stall_ended(&self, stall: &StallEvent, _: Duration) {
        self.stalls.lock().expect("no thread panics").push(format!("ended: {}", stall.signal));
    }
}

/// A store that is listened to.
fn heard(options: Options) -> (Lsm, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    let options = options.listener(Arc::clone(&recorder) as _);
    (Lsm::open(STORE, options).expect("the disk works"), recorder)
}

#[test]
fn a_listener_hears_of_each_flush_and_compaction_with_the_bytes_that_are_counted() {
    let world = World::new();
    let (engine, recorder) = heard(world.compacting(leveled()));
    for round in 0..10 {
        fill(&engine, 0..30, round);
        engine.flush().unwrap();
        world.executor.run_all();
    }
    engine.compact_range(&kv::KeyRange::all()).unwrap();
    let statistics = engine.statistics();
    let flushes = recorder.flushes.lock().unwrap();
    let flushed: u64 = flushes.iter().map(|flush| flush.table_bytes).sum();
    assert_eq!(flushed, statistics.flushed_bytes);
    let whole = flushes.iter().filter(|flush| flush.tables > 0).count() as u64;
    assert_eq!(whole, statistics.flushes);
    assert!(flushes.iter().all(|flush| flush.failure.is_none() && flush.memtable_bytes > 0));
    assert!(*recorder.flushes_begun.lock().unwrap() <= flushes.len() as u64);
    let (begun, ended) = (recorder.begun.lock().unwrap(), recorder.ended.lock().unwrap());
    let counted =
        statistics.compactions + statistics.compaction_moves + statistics.compaction_drops;
    assert_eq!((begun.len() as u64, ended.len() as u64), (counted, counted));
    let written: u64 = ended.iter().map(|(_, outcome)| outcome.table_bytes).sum();
    assert_eq!(written, statistics.levels.iter().map(|level| level.written_bytes).sum::<u64>());
    for (compaction, outcome) in ended.iter() {
        assert!(begun.iter().any(|begun| begun.inputs == compaction.inputs), "{compaction:?}");
        assert!(outcome.failure.is_none() && compaction.input_bytes > 0);
        assert!(!compaction.input_levels.is_empty() && compaction.output_level < 7);
    }
}

#[test]
fn a_flush_that_fails_is_heard_of_with_its_failure() {
    let world = World::new();
    let (engine, recorder) = heard(world.options());
    fill(&engine, 0..3, 1);
    world.disk.set_free_space(Some(0));
    engine.flush().unwrap_err();
    world.disk.set_free_space(None);
    engine.flush().unwrap();
    let flushes = recorder.flushes.lock().unwrap();
    let failed: Vec<bool> = flushes.iter().map(|flush| flush.failure.is_some()).collect();
    assert_eq!(failed, [true, false]);
    assert_eq!(flushes[0].table_bytes, 0);
}

#[test]
fn a_write_that_waits_for_a_compaction_is_a_stall_that_begins_and_ends() {
    let world = World::new();
    let (engine, recorder) = heard(world.compacting(leveled()));
    for run in 0..12 {
        fill(&engine, 0..5, run);
        engine.flush().unwrap();
    }
    assert_eq!(recorder.stalls.lock().unwrap().len(), 0);
    engine.put(&key(50), b"value", Durability::Buffered).unwrap();
    let stalls = recorder.stalls.lock().unwrap();
    assert!(stalls.len() == 2 && stalls[0].starts_with("begun: runs"), "{stalls:?}");
    assert!(stalls[1].starts_with("ended: runs"), "{stalls:?}");
}

#[test]
fn a_flush_that_a_writer_does_in_the_commit_section_is_heard_of_later() {
    let world = World::new();
    let (engine, recorder) = heard(world.options().max_sealed_memtables(1));
    // No job has run, so the writer flushes.
    fill(&engine, 0..80, 1);
    let statistics = engine.statistics();
    assert!(statistics.flush_stalls > 0 && statistics.flushes > 0, "{statistics:?}");
    assert_eq!(recorder.flushes.lock().unwrap().len(), 0);
    engine.flush().unwrap();
    assert_eq!(recorder.flushes.lock().unwrap().len() as u64, engine.statistics().flushes);
}

#[derive(Debug, Default)]
struct Panics(Mutex<u64>);

impl EventListener for Panics {
    fn flush_begun(&self) {
        *self.0.lock().expect("the lock was released before the panic") += 1;
        panic!("a listener that panics");
    }
}

#[test]
fn a_listener_that_panics_is_not_called_again_and_the_store_goes_on() {
    let world = World::new();
    let panics = Arc::new(Panics::default());
    let options = world.options().listener(Arc::clone(&panics) as _);
    let engine = Lsm::open(STORE, options).unwrap();
    for round in 0..3 {
        fill(&engine, 0..10, round);
        engine.flush().unwrap();
    }
    assert_eq!(*panics.0.lock().unwrap(), 1);
    assert_eq!(entries(&engine), filled(0..10, 2));
    engine.verify().unwrap();
    engine.close().unwrap();
}

/// Reads and writes the store that it listens to.
#[derive(Debug, Default)]
struct Calls {
    engine: OnceLock<Weak<Lsm>>,
    seen: Mutex<Vec<u64>>,
}

impl Calls {
    fn call(&self) {
        let Some(engine) = self.engine.get().and_then(Weak::upgrade) else { return };
        engine.put(b"heard", b"value", Durability::Buffered).expect("the disk works");
        assert!(engine.get(b"heard").expect("the disk works").is_some());
        self.seen.lock().expect("no thread panics").push(engine.statistics().flushes);
    }
}

impl EventListener for Calls {
    fn flush_begun(&self) {
        self.call();
    }

    fn flush_ended(&self, _: &FlushEvent) {
        self.call();
    }

    fn compaction_begun(&self, _: &CompactionEvent) {
        self.call();
    }

    fn compaction_ended(&self, _: &CompactionEvent, _: &CompactionOutcome) {
        self.call();
    }
}

#[test]
fn a_listener_may_read_and_write_the_store() {
    let world = World::new();
    let calls = Arc::new(Calls::default());
    let options = world.compacting(leveled()).listener(Arc::clone(&calls) as _);
    let engine = Arc::new(Lsm::open(STORE, options).unwrap());
    calls.engine.set(Arc::downgrade(&engine)).unwrap();
    for round in 0..6 {
        fill(&*engine, 0..5, round);
        engine.flush().unwrap();
        world.executor.run_all();
    }
    assert!(engine.statistics().compactions > 0);
    assert!(calls.seen.lock().unwrap().len() > 12);
    assert!(engine.get(b"heard").unwrap().is_some());
}
