//! The one loop that drives every engine. It knows the `Kv` trait and nothing about any engine.
//!
//! For each step: make the key and the value, start the clock, call the engine, stop the clock, judge the answer. What
//! is counted as time is the call alone; reads copy what they find before the clock stops. A thread's throughput is
//! its calls divided by its time inside the engine.

use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kv::{Durability, KeyRange, Kv, WriteBatch};

use crate::failure::{Failure, Outcome};
use crate::model::{KeyState, Model};
use crate::operation::{Operation, Step};
use crate::recorder::{Moved, Recorder};
use crate::scan_check::ScanCheck;
use crate::world::{Copied, World};

/// How often a stalled write is tried again, with a pause of a millisecond.
const STALL_RETRIES: u64 = 10_000;
/// Steps between two looks at the stop flag.
const STEPS_BETWEEN_LOOKS: u64 = 32;

/// One thread's part of a phase.
#[derive(Clone, Copy)]
pub(crate) struct Lane<'p> {
    /// The engine under test.
    pub(crate) engine: &'p dyn Kv,
    /// Keys, values, expectations.
    pub(crate) world: &'p World,
    /// What to do; starts over at the end.
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

/// The memory that a lane works in, and what it measured.
struct Hands {
    key: Vec<u8>,
    value: Vec<u8>,
    found: Vec<u8>,
    batch: WriteBatch,
    /// What the batch being put together will change.
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

impl Hands {
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

impl Lane<'_> {
    /// Runs the lane to its end and returns what was measured.
    pub(crate) fn run(&self) -> Outcome<Recorder> {
        let mut hands = Hands::new();
        let mut taken = 0;
        for step in self.steps.iter().cycle() {
            let is_time_to_look = taken % STEPS_BETWEEN_LOOKS == 0;
            if taken == self.max_steps || (is_time_to_look && self.stop.load(Ordering::Relaxed)) {
                break;
            }
            match self.perform(*step, &mut hands)? {
                Some(end) if end < self.until => taken += 1,
                _ => break,
            }
        }
        self.write_pending(&mut hands)?;
        Ok(hands.recorder)
    }

    /// Takes one step and returns when its call ended; `None` when the keys to insert have run out.
    fn perform(&self, step: Step, hands: &mut Hands) -> Outcome<Option<Instant>> {
        match step.operation {
            Operation::Get => self.get(self.picked(step), hands).map(Some),
            Operation::GetMiss => self.get_miss(self.picked(step), hands).map(Some),
            Operation::Put | Operation::Delete => {
                self.write(step, Some(self.picked_to_write(step)), hands)
            }
            Operation::Insert => self.write(step, self.next_new(hands), hands),
            Operation::Scan => self.scan(self.picked(step), step.extra, hands).map(Some),
            Operation::ReadModifyWrite => self.read_modify_write(step, hands).map(Some),
        }
    }

    fn get(&self, id: u32, hands: &mut Hands) -> Outcome<Instant> {
        self.world.keys.write_key(id, &mut hands.key);
        let before = self.world.model.acked(id);
        let start = Instant::now();
        let found = self.timed_get(hands)?;
        let end = Instant::now();
        self.judge_get(id, before, found, hands)?;
        let moved = Moved {
            is_read: true,
            not_found: !found,
            bytes_read: if found { (hands.key.len() + hands.found.len()) as u64 } else { 0 },
            ..Moved::default()
        };
        hands.recorder.record(Operation::Get, end - start, moved);
        Ok(end)
    }

    fn timed_get(&self, hands: &mut Hands) -> Outcome<bool> {
        let copy = &mut hands.found;
        let found = self.engine.get_with(&hands.key, &mut |value| {
            copy.clear();
            copy.extend_from_slice(value);
        })?;
        Ok(found)
    }

    fn judge_get(&self, id: u32, before: KeyState, found: bool, hands: &Hands) -> Outcome<()> {
        let after = self.world.model.issued(id);
        self.world.check_get(id, (before, after), found.then_some(&hands.found[..]))
    }

    fn get_miss(&self, id: u32, hands: &mut Hands) -> Outcome<Instant> {
        self.world.keys.write_missing_key(id, &mut hands.key);
        let start = Instant::now();
        let found = self.timed_get(hands)?;
        let end = Instant::now();
        if found {
            let key = hands.key.escape_ascii();
            return Err(Failure::wrong_data(format!("get of \"{key}\" found a key never put")));
        }
        let moved = Moved { is_read: true, not_found: true, ..Moved::default() };
        hands.recorder.record(Operation::GetMiss, end - start, moved);
        Ok(end)
    }

    /// Puts or deletes `id`.
    fn write(&self, step: Step, id: Option<u32>, hands: &mut Hands) -> Outcome<Option<Instant>> {
        let Some(id) = id else { return Ok(None) };
        let present = step.operation != Operation::Delete;
        let state = self.prepare_write(id, present, step.extra, hands);
        if self.batch > 1 {
            return self.gather(step.operation, id, state, hands).map(Some);
        }
        let start = Instant::now();
        fill_batch(present, hands);
        let retries = self.timed_write(hands)?;
        let end = Instant::now();
        self.world.model.acknowledge(id, state, hands.value.len());
        let bytes_written = (hands.key.len() + hands.value.len()) as u64;
        let moved = Moved { retries, bytes_written, ..Moved::default() };
        hands.recorder.record(step.operation, end - start, moved);
        Ok(Some(end))
    }

    fn prepare_write(&self, id: u32, present: bool, size: u32, hands: &mut Hands) -> KeyState {
        let World { keys, values, model, .. } = self.world;
        keys.write_key(id, &mut hands.key);
        let state = model.issue(id, present);
        if present {
            values.write_value(id, state.version(), size as usize, &mut hands.value);
        } else {
            hands.value.clear();
        }
        state
    }

    /// Adds the prepared write to the batch, and writes the batch when it is full.
    fn gather(
        &self,
        operation: Operation,
        id: u32,
        state: KeyState,
        hands: &mut Hands,
    ) -> Outcome<Instant> {
        if state.is_present() {
            hands.batch.put(&hands.key, &hands.value);
        } else {
            hands.batch.delete(&hands.key);
        }
        let (key_bytes, value_bytes) = (hands.key.len(), hands.value.len());
        hands.pending.push(Pending { operation, id, state, key_bytes, value_bytes });
        if hands.pending.len() >= self.batch {
            self.write_pending(hands)?;
        }
        Ok(Instant::now())
    }

    /// Writes the batch that was put together. The clock runs during the call alone.
    fn write_pending(&self, hands: &mut Hands) -> Outcome<()> {
        let Some(first) = hands.pending.first().copied() else { return Ok(()) };
        let start = Instant::now();
        let retries = self.timed_write(hands)?;
        let time = start.elapsed();
        let mut moved = Moved { retries, ops: hands.pending.len() as u64, ..Moved::default() };
        for write in hands.pending.drain(..) {
            self.world.model.acknowledge(write.id, write.state, write.value_bytes);
            moved.bytes_written += (write.key_bytes + write.value_bytes) as u64;
        }
        hands.batch.clear();
        hands.recorder.record(first.operation, time, moved);
        Ok(())
    }

    /// Writes the batch and returns how often the engine asked to try again.
    fn timed_write(&self, hands: &mut Hands) -> Outcome<u64> {
        let mut retries = 0;
        loop {
            match self.engine.write(&hands.batch, self.durability) {
                Err(kv::Error::Stalled { .. }) if retries < STALL_RETRIES => {
                    retries += 1;
                    std::thread::sleep(Duration::from_millis(1));
                }
                result => return result.map(|_| retries).map_err(Failure::from),
            }
        }
    }

    fn read_modify_write(&self, step: Step, hands: &mut Hands) -> Outcome<Instant> {
        let id = self.picked_to_write(step);
        self.world.keys.write_key(id, &mut hands.key);
        let before = self.world.model.acked(id);
        let start = Instant::now();
        let found = self.timed_get(hands)?;
        let read = Instant::now();
        self.judge_get(id, before, found, hands)?;
        let state = self.prepare_write(id, true, step.extra, hands);
        let again = Instant::now();
        fill_batch(true, hands);
        let retries = self.timed_write(hands)?;
        let end = Instant::now();
        self.world.model.acknowledge(id, state, hands.value.len());
        let moved = Moved {
            is_read: true,
            not_found: !found,
            retries,
            bytes_written: (hands.key.len() + hands.value.len()) as u64,
            bytes_read: if found { (hands.key.len() + hands.found.len()) as u64 } else { 0 },
            ..Moved::default()
        };
        let (get, put) = (read - start, end - again);
        hands.recorder.record(Operation::ReadModifyWrite, get + put, moved);
        hands.recorder.record_parts(get, put);
        Ok(end)
    }

    fn scan(&self, id: u32, length: u32, hands: &mut Hands) -> Outcome<Instant> {
        self.world.keys.write_key(id, &mut hands.key);
        let range = match self.prefix_bytes {
            Some(bytes) => KeyRange::prefix(&hands.key[..bytes.min(hands.key.len())]),
            None => KeyRange::new((Bound::Included(&hands.key[..]), Bound::Unbounded)),
        };
        let check = ScanCheck::begin(self.world, self.threads == 1, range.clone());
        hands.copied.clear();
        let start = Instant::now();
        let mut cursor = self.engine.scan(range)?;
        while hands.copied.len() < length as usize && cursor.next()? {
            let (key, value) = cursor.entry()?;
            hands.copied.push(key, value);
        }
        // Letting go of the frozen view is part of the work.
        drop(cursor);
        let end = Instant::now();
        check.judge(&hands.copied, length as usize)?;
        let moved = Moved {
            bytes_read: hands.copied.byte_count(),
            entries: hands.copied.len() as u64,
            ..Moved::default()
        };
        hands.recorder.record(Operation::Scan, end - start, moved);
        Ok(end)
    }

    /// The key that a step reads.
    fn picked(&self, step: Step) -> u32 {
        let count = self.world.model.in_use().max(1);
        if self.latest { count - 1 - step.pick % count } else { step.pick }
    }

    /// The key that a step writes: of the keys near the picked one, the one that belongs to this thread.
    fn picked_to_write(&self, step: Step) -> u32 {
        Model::owned(self.picked(step), self.thread, self.threads, self.world.model.capacity())
    }

    /// The next key that was never put and belongs to this thread; `None` when there is none left.
    fn next_new(&self, hands: &mut Hands) -> Option<u32> {
        let first = self.first_new.next_multiple_of(self.threads) + self.thread;
        let id = first + hands.inserts * self.threads;
        hands.inserts += 1;
        (id < self.world.model.capacity()).then_some(id)
    }
}

/// Makes a batch of one write.
fn fill_batch(present: bool, hands: &mut Hands) {
    hands.batch.clear();
    if present {
        hands.batch.put(&hands.key, &hands.value);
    } else {
        hands.batch.delete(&hands.key);
    }
}
