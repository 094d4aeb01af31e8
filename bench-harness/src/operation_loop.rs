//! The one loop that drives every engine. It knows the `Kv` trait and nothing about any engine.
//!
//! For each step: make the key and the value, start the clock, call the engine, stop the clock, judge the answer. The
//! time of the call alone is counted; reads copy the entries before the clock stops. A thread's throughput is
//! its calls divided by its time inside the engine.

use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kv::{Durability, KeyRange, Kv, WriteBatch};

use crate::dataset::{Copied, Dataset};
use crate::failure::{Failure, Outcome};
use crate::model::{KeyState, Model};
use crate::operation::{Operation, Step};
use crate::recorder::{OpSample, Recorder};
use crate::scan_check::ScanCheck;

/// How often a stalled write is tried again, with a pause of a millisecond.
const STALL_RETRIES: u64 = 10_000;
/// Steps between two looks at the stop flag.
const STEPS_BETWEEN_LOOKS: u64 = 32;

/// One thread's part of a phase.
#[derive(Clone, Copy)]
pub(crate) struct Client<'p> {
    /// The engine under test.
    pub(crate) engine: &'p dyn Kv,
    /// Keys, values, expectations.
    pub(crate) dataset: &'p Dataset,
    /// The steps; the client starts over at the end.
    pub(crate) steps: &'p [Step],
    /// Whether picks count back from the newest key.
    pub(crate) latest: bool,
    /// Scans stay within the keys that share this many bytes.
    pub(crate) prefix_bytes: Option<usize>,
    /// The promise that writes ask for.
    pub(crate) durability: Durability,
    /// This thread, among `threads` that write.
    pub(crate) thread: u32,
    /// Threads of the phase.
    pub(crate) threads: u32,
    /// How many writes go into one batch.
    pub(crate) batch: usize,
    /// The first id that no earlier phase used.
    pub(crate) first_new: u32,
    /// The most steps to take.
    pub(crate) max_steps: u64,
    /// When to stop.
    pub(crate) until: Instant,
    /// Set when all threads shall stop.
    pub(crate) stop: &'p AtomicBool,
}

/// The memory that a client works in, and its measurements.
struct Scratch {
    key: Vec<u8>,
    value: Vec<u8>,
    found: Vec<u8>,
    batch: WriteBatch,
    /// The writes in the batch that is being put together.
    pending: Vec<Pending>,
    copied: Copied,
    inserts: u32,
    recorder: Recorder,
}

/// A write that waits for its batch to be full.
#[derive(Clone, Copy)]
struct Pending {
    operation: Operation,
    id: u32,
    state: KeyState,
    key_bytes: usize,
    value_bytes: usize,
}

impl Scratch {
    fn new() -> Self {
        Self {
            key: Vec::new(),
            value: Vec::new(),
            found: Vec::new(),
            batch: WriteBatch::new(),
            pending: Vec::new(),
            copied: Copied::default(),
            inserts: 0,
            recorder: Recorder::new(),
        }
    }
}

impl Client<'_> {
    /// Runs the client to its end and returns its measurements.
    pub(crate) fn run(&self) -> Outcome<Recorder> {
        assert!(self.thread < self.threads && self.batch > 0);
        let mut scratch = Scratch::new();
        let mut taken = 0;
        for step in self.steps.iter().cycle() {
            let is_time_to_look = taken % STEPS_BETWEEN_LOOKS == 0;
            if taken == self.max_steps || (is_time_to_look && self.stop.load(Ordering::Relaxed)) {
                break;
            }
            match self.perform(*step, &mut scratch)? {
                Some(end) if end < self.until => taken += 1,
                _ => break,
            }
        }
        self.write_pending(&mut scratch)?;
        assert!(scratch.pending.is_empty(), "every write was sent");
        Ok(scratch.recorder)
    }

    /// Takes one step and returns when its call ended; `None` when the keys to insert have run out.
    fn perform(&self, step: Step, scratch: &mut Scratch) -> Outcome<Option<Instant>> {
        match step.operation {
            Operation::Get => self.get(self.picked(step), scratch).map(Some),
            Operation::GetMiss => self.get_miss(self.picked(step), scratch).map(Some),
            Operation::Put | Operation::Delete => {
                self.write(step, Some(self.picked_to_write(step)), scratch)
            }
            Operation::Insert => self.write(step, self.next_new(scratch), scratch),
            Operation::Scan => self.scan(self.picked(step), step.extra, scratch).map(Some),
            Operation::ReadModifyWrite => self.read_modify_write(step, scratch).map(Some),
        }
    }

    fn get(&self, id: u32, scratch: &mut Scratch) -> Outcome<Instant> {
        self.dataset.keys.write_key(id, &mut scratch.key);
        let before = self.dataset.model.acked(id);
        let start = Instant::now();
        let found = self.timed_get(scratch)?;
        let end = Instant::now();
        self.judge_get(id, before, found, scratch)?;
        let sample = OpSample {
            is_read: true,
            not_found: !found,
            bytes_read: if found { (scratch.key.len() + scratch.found.len()) as u64 } else { 0 },
            ..OpSample::default()
        };
        scratch.recorder.record(Operation::Get, end - start, sample);
        Ok(end)
    }

    fn timed_get(&self, scratch: &mut Scratch) -> Outcome<bool> {
        let copy = &mut scratch.found;
        let found = self.engine.get_with(&scratch.key, &mut |value| {
            copy.clear();
            copy.extend_from_slice(value);
        })?;
        Ok(found)
    }

    fn judge_get(&self, id: u32, before: KeyState, found: bool, scratch: &Scratch) -> Outcome<()> {
        let after = self.dataset.model.issued(id);
        self.dataset.check_get(id, (before, after), found.then_some(&scratch.found[..]))
    }

    fn get_miss(&self, id: u32, scratch: &mut Scratch) -> Outcome<Instant> {
        self.dataset.keys.write_missing_key(id, &mut scratch.key);
        let start = Instant::now();
        let found = self.timed_get(scratch)?;
        let end = Instant::now();
        if found {
            let key = scratch.key.escape_ascii();
            return Err(Failure::wrong_data(format!("get of \"{key}\" found a key never put")));
        }
        let sample = OpSample { is_read: true, not_found: true, ..OpSample::default() };
        scratch.recorder.record(Operation::GetMiss, end - start, sample);
        Ok(end)
    }

    /// Puts or deletes `id`.
    fn write(
        &self,
        step: Step,
        id: Option<u32>,
        scratch: &mut Scratch,
    ) -> Outcome<Option<Instant>> {
        let Some(id) = id else { return Ok(None) };
        let present = step.operation != Operation::Delete;
        let state = self.prepare_write(id, present, step.extra, scratch);
        if self.batch > 1 {
            return self.gather(step.operation, id, state, scratch).map(Some);
        }
        let start = Instant::now();
        fill_batch(present, scratch);
        let retries = self.timed_write(scratch)?;
        let end = Instant::now();
        self.dataset.model.acknowledge(id, state, scratch.value.len());
        let bytes_written = (scratch.key.len() + scratch.value.len()) as u64;
        let sample = OpSample { retries, bytes_written, ..OpSample::default() };
        scratch.recorder.record(step.operation, end - start, sample);
        Ok(Some(end))
    }

    fn prepare_write(&self, id: u32, present: bool, size: u32, scratch: &mut Scratch) -> KeyState {
        let Dataset { keys, values, model, .. } = self.dataset;
        keys.write_key(id, &mut scratch.key);
        let state = model.issue(id, present);
        if present {
            values.write_value(id, state.version(), size as usize, &mut scratch.value);
        } else {
            scratch.value.clear();
        }
        state
    }

    /// Adds the prepared write to the batch, and writes the batch when it is full.
    fn gather(
        &self,
        operation: Operation,
        id: u32,
        state: KeyState,
        scratch: &mut Scratch,
    ) -> Outcome<Instant> {
        if state.is_present() {
            scratch.batch.put(&scratch.key, &scratch.value);
        } else {
            scratch.batch.delete(&scratch.key);
        }
        let (key_bytes, value_bytes) = (scratch.key.len(), scratch.value.len());
        scratch.pending.push(Pending { operation, id, state, key_bytes, value_bytes });
        if scratch.pending.len() >= self.batch {
            self.write_pending(scratch)?;
        }
        Ok(Instant::now())
    }

    /// Writes the batch that was put together. The clock runs during the call alone.
    fn write_pending(&self, scratch: &mut Scratch) -> Outcome<()> {
        let Some(first) = scratch.pending.first().copied() else { return Ok(()) };
        let start = Instant::now();
        let retries = self.timed_write(scratch)?;
        let time = start.elapsed();
        let mut sample =
            OpSample { retries, ops: scratch.pending.len() as u64, ..OpSample::default() };
        for write in scratch.pending.drain(..) {
            self.dataset.model.acknowledge(write.id, write.state, write.value_bytes);
            sample.bytes_written += (write.key_bytes + write.value_bytes) as u64;
        }
        scratch.batch.clear();
        scratch.recorder.record(first.operation, time, sample);
        Ok(())
    }

    /// Writes the batch and returns how often the engine asked to try again.
    fn timed_write(&self, scratch: &mut Scratch) -> Outcome<u64> {
        let mut retries = 0;
        loop {
            match self.engine.write(&scratch.batch, self.durability) {
                Err(kv::Error::Stalled { .. }) if retries < STALL_RETRIES => {
                    retries += 1;
                    std::thread::sleep(Duration::from_millis(1));
                }
                result => return result.map(|_| retries).map_err(Failure::from),
            }
        }
    }

    fn read_modify_write(&self, step: Step, scratch: &mut Scratch) -> Outcome<Instant> {
        let id = self.picked_to_write(step);
        self.dataset.keys.write_key(id, &mut scratch.key);
        let before = self.dataset.model.acked(id);
        let start = Instant::now();
        let found = self.timed_get(scratch)?;
        let read = Instant::now();
        self.judge_get(id, before, found, scratch)?;
        let state = self.prepare_write(id, true, step.extra, scratch);
        let again = Instant::now();
        fill_batch(true, scratch);
        let retries = self.timed_write(scratch)?;
        let end = Instant::now();
        self.dataset.model.acknowledge(id, state, scratch.value.len());
        let sample = OpSample {
            is_read: true,
            not_found: !found,
            retries,
            bytes_written: (scratch.key.len() + scratch.value.len()) as u64,
            bytes_read: if found { (scratch.key.len() + scratch.found.len()) as u64 } else { 0 },
            ..OpSample::default()
        };
        let (get, put) = (read - start, end - again);
        scratch.recorder.record(Operation::ReadModifyWrite, get + put, sample);
        scratch.recorder.record_parts(get, put);
        Ok(end)
    }

    fn scan(&self, id: u32, length: u32, scratch: &mut Scratch) -> Outcome<Instant> {
        self.dataset.keys.write_key(id, &mut scratch.key);
        let range = match self.prefix_bytes {
            Some(bytes) => KeyRange::prefix(&scratch.key[..bytes.min(scratch.key.len())]),
            None => KeyRange::new((Bound::Included(&scratch.key[..]), Bound::Unbounded)),
        };
        let check = ScanCheck::begin(self.dataset, self.threads == 1, range.clone());
        scratch.copied.clear();
        let start = Instant::now();
        let mut cursor = self.engine.scan(range)?;
        while scratch.copied.len() < length as usize && cursor.next()? {
            let (key, value) = cursor.entry()?;
            scratch.copied.push(key, value);
        }
        // Letting go of the frozen view is part of the work.
        drop(cursor);
        let end = Instant::now();
        check.judge(&scratch.copied, length as usize)?;
        let sample = OpSample {
            bytes_read: scratch.copied.byte_count(),
            entries: scratch.copied.len() as u64,
            ..OpSample::default()
        };
        scratch.recorder.record(Operation::Scan, end - start, sample);
        Ok(end)
    }

    /// The key that a step reads.
    fn picked(&self, step: Step) -> u32 {
        let count = self.dataset.model.in_use().max(1);
        if self.latest { count - 1 - step.pick % count } else { step.pick }
    }

    /// The key that a step writes: of the keys near the picked one, the one that belongs to this thread.
    fn picked_to_write(&self, step: Step) -> u32 {
        Model::owned(self.picked(step), self.thread, self.threads, self.dataset.model.capacity())
    }

    /// The next key that was never put and belongs to this thread; `None` when there is none left.
    fn next_new(&self, scratch: &mut Scratch) -> Option<u32> {
        let first = self.first_new.next_multiple_of(self.threads) + self.thread;
        debug_assert!(first >= self.first_new && first % self.threads == self.thread);
        let id = first + scratch.inserts * self.threads;
        scratch.inserts += 1;
        (id < self.dataset.model.capacity()).then_some(id)
    }
}

/// Makes a batch of one write.
fn fill_batch(present: bool, scratch: &mut Scratch) {
    scratch.batch.clear();
    if present {
        scratch.batch.put(&scratch.key, &scratch.value);
    } else {
        scratch.batch.delete(&scratch.key);
    }
}
