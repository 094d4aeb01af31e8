//! The work of each thread, and its record.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use kv::{Direction, Durability, Entries, Error, KeyRange, Kv, SequenceNumber, WriteBatch};

use super::Options;
use crate::actors::Actors;
use crate::random::{Random, sub_seed};
use crate::subject::Opened;

/// Keys come in pairs that are always written together, with the same value.
pub(super) const PAIRS: usize = 12;

/// A sync costs milliseconds on a real disk, and holds up the writers meanwhile.
const BATCHES_A_SYNC: usize = 50;

/// How long the upkeep looks away when there is nothing to do.
const PAUSE: Duration = Duration::from_micros(200);

/// Gets and scans of a reader for each batch that is written. So readers do not outrun writers on a busy machine, and their
/// records stay small.
const GETS_A_BATCH: usize = 200;
const SCANS_A_BATCH: usize = 20;

/// Which write a value comes from.
pub(super) type WriteId = u64;

/// The state that all threads share.
pub(super) struct Hub {
    engine: Arc<dyn Kv>,
    /// For each pair the greatest number that a writer was told.
    acknowledged: Vec<AtomicU64>,
    /// Batches written so far; the engine is closed when most have been.
    written: AtomicUsize,
    close_at: usize,
    is_over: AtomicBool,
    seed: u64,
}

/// A batch that was acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write {
    pub(super) id: WriteId,
    pub(super) pair: usize,
    pub(super) sequence: SequenceNumber,
    /// Whether it put the pair or deleted it.
    pub(super) is_put: bool,
}

/// A get, and the greatest number that was acknowledged for its pair before the get began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Get {
    pub(super) pair: usize,
    pub(super) least: SequenceNumber,
    pub(super) found: Option<WriteId>,
}

/// The write that each key had in one scan.
pub(super) type Scan = Vec<Option<WriteId>>;

/// The record of one thread, in its order.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) writes: Vec<Write>,
    pub(super) gets: Vec<Get>,
    pub(super) scans: Vec<Scan>,
}

impl Hub {
    pub(super) fn new(engine: Arc<dyn Kv>, options: &Options) -> Self {
        let all = options.writers * options.batches;
        Self {
            engine,
            acknowledged: (0..PAIRS).map(|_| AtomicU64::new(0)).collect(),
            written: AtomicUsize::new(0),
            close_at: all - all / 10,
            is_over: AtomicBool::new(false),
            seed: options.seed,
        }
    }

    /// Whether a reader that has read so often, and may read so often for each batch, is ahead of the writers.
    fn is_ahead(&self, reads: usize, reads_a_batch: usize) -> bool {
        reads > reads_a_batch * (self.written.load(Ordering::SeqCst) + 1)
    }

    /// Whether it is time to stop, because the engine was closed or a thread gave up.
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }
}

/// Lets all threads run to their end. One that fails stops the others.
pub(super) fn run(hub: &Hub, opened: &Opened, options: &Options) -> Result<Vec<Record>, String> {
    let stop = || hub.is_over.store(true, Ordering::SeqCst);
    thread::scope(|scope| {
        let mut actors = Actors::new(scope, &stop);
        for number in 0..options.writers {
            actors.start(move || write(hub, number, options.batches));
        }
        for number in 0..options.readers {
            actors.start(move || get(hub, number));
            actors.start(move || scan(hub));
        }
        actors.start(move || upkeep(hub, opened));
        actors.join()
    })
}

pub(super) fn key(pair: usize, half: usize) -> [u8; 2] {
    assert!(pair < PAIRS && half < 2, "there is no key {half} of pair {pair}");
    [b'a' + pair as u8, b'0' + half as u8]
}

pub(super) fn id_of(value: &[u8]) -> Result<WriteId, String> {
    let id = value.first_chunk().map(|id| WriteId::from_le_bytes(*id));
    let id = id.ok_or("a value is shorter than any that was put")?;
    let is_whole = value[8..].iter().all(|byte| *byte == id as u8);
    if is_whole { Ok(id) } else { Err("a value is a mixture of two".into()) }
}

fn write(hub: &Hub, number: usize, batches: usize) -> Result<Record, String> {
    let random = Random::new(sub_seed(hub.seed, number as u64));
    let mut record = Record::default();
    for count in 0..batches {
        let id = ((number + 1) << 32 | count) as WriteId;
        let (pair, is_put) = (random.below(PAIRS), !random.one_in(8));
        let mut batch = WriteBatch::new();
        debug_assert_eq!(id >> 32, number as u64 + 1, "a write names its writer");
        let value = [&id.to_le_bytes()[..], &vec![id as u8; random.below(200)]].concat();
        for key in [key(pair, 0), key(pair, 1)] {
            if is_put {
                batch.put(&key, &value)
            } else {
                batch.delete(&key)
            };
        }
        // A sync costs milliseconds on a real disk.
        let durability = if random.one_in(100) { Durability::Sync } else { Durability::Buffered };
        let sequence = loop {
            match hub.engine.write(&batch, durability) {
                Ok(sequence) => break sequence,
                Err(Error::Stalled { .. }) => thread::yield_now(),
                Err(Error::Closed) => return Ok(record),
                Err(error) => return Err(format!("a write failed: {error}")),
            }
        };
        hub.acknowledged[pair].fetch_max(sequence.0, Ordering::SeqCst);
        record.writes.push(Write { id, pair, sequence, is_put });
        hub.written.fetch_add(1, Ordering::SeqCst);
        if hub.is_over() {
            break;
        }
    }
    Ok(record)
}

fn get(hub: &Hub, number: usize) -> Result<Record, String> {
    let random = Random::new(sub_seed(hub.seed, 1000 + number as u64));
    let mut record = Record::default();
    while !hub.is_over() {
        if hub.is_ahead(record.gets.len(), GETS_A_BATCH) {
            thread::yield_now();
            continue;
        }
        let (pair, half) = (random.below(PAIRS), random.below(2));
        let least = SequenceNumber(hub.acknowledged[pair].load(Ordering::SeqCst));
        match hub.engine.get(&key(pair, half)) {
            Ok(found) => {
                let found = found.map(|value| id_of(&value)).transpose()?;
                record.gets.push(Get { pair, least, found });
            }
            Err(Error::Closed) => break,
            Err(error) => return Err(format!("a get failed: {error}")),
        }
    }
    Ok(record)
}

fn scan(hub: &Hub) -> Result<Record, String> {
    let mut record = Record::default();
    while !hub.is_over() {
        if hub.is_ahead(record.scans.len(), SCANS_A_BATCH) {
            thread::yield_now();
            continue;
        }
        let directions = [Direction::Forward, Direction::Backward];
        let direction = directions[record.scans.len() % 2];
        let cursor = match hub.engine.scan(KeyRange::all()) {
            Ok(cursor) => cursor,
            Err(Error::Closed) => break,
            Err(error) => return Err(format!("a scan failed: {error}")),
        };
        match show(Entries::new(cursor, direction))? {
            Some(shown) => record.scans.push(shown),
            None => thread::yield_now(),
        }
    }
    Ok(record)
}

/// The writes that a scan shows. `None`: its view was given up to stay inside a memory budget.
fn show(entries: Entries) -> Result<Option<Scan>, String> {
    let mut shown = vec![None; 2 * PAIRS];
    for entry in entries {
        let (key, value) = match entry {
            Err(Error::SnapshotTooOld) => return Ok(None),
            entry => entry.map_err(|error| format!("a scan failed: {error}"))?,
        };
        let place = usize::from(key[0] - b'a') * 2 + usize::from(key[1] - b'0');
        shown[place] = Some(id_of(&value)?);
    }
    Ok(Some(shown))
}

/// Syncs and maintains, and closes the engine under everybody's hands when most batches were written.
fn upkeep(hub: &Hub, opened: &Opened) -> Result<Record, String> {
    let mut next = 0;
    while !hub.is_over() && next < hub.close_at {
        if hub.written.load(Ordering::SeqCst) < next {
            thread::sleep(PAUSE);
            continue;
        }
        next += BATCHES_A_SYNC;
        let kept = opened.engine().sync().and_then(|()| opened.maintain());
        kept.map_err(|error| format!("a sync or the upkeep failed: {error}"))?;
    }
    opened.engine().close().map_err(|error| format!("close failed: {error}"))?;
    hub.is_over.store(true, Ordering::SeqCst);
    Ok(Record::default())
}
