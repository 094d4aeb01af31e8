//! The client: the one loop that drives every engine. It knows the `Kv` trait and nothing about any engine.
//!
//! The loop is part of the measured time, so it does little: it makes the key, seals a value in the pool, calls the
//! engine and folds the answer into a stamp of four bytes. One call in a stride is timed by itself. The judge
//! (module `judge`) reads the stamps while the clock stands still. An engine that does nothing (`engines::NullEngine`)
//! measures the loop.

mod arrivals;
mod call_timer;
mod calls;
mod stream_position;
#[cfg(test)]
mod tests;
mod window;
mod window_end;

use std::time::Instant;

use kv::{Durability, Kv, WriteBatch};

use crate::dataset::Dataset;
use crate::failure::{CallOutcome, Outcome};
use crate::operation::{Operation, Step};
use crate::values::ValueWriter;

pub(crate) use arrivals::Arrivals;
pub(crate) use call_timer::CallTimer;
pub(crate) use calls::{scan_range, stamp_entry, write_patiently};
pub(crate) use stream_position::{PlannedOperation, StreamPosition};
pub(crate) use window::{EntryStamp, NOT_FOUND, Sample, WRONG, Window, WindowCapacity};
pub(crate) use window_end::WindowEnd;

/// One thread's part of a phase.
#[derive(Clone)]
pub(crate) struct Client<'p> {
    /// The engine under test.
    pub(crate) engine: &'p dyn Kv,
    /// Keys and payloads.
    pub(crate) dataset: &'p Dataset,
    /// The steps; the client starts over at the end.
    pub(crate) steps: &'p [Step],
    /// The next of them.
    pub(crate) position: StreamPosition,
    /// Scans stay within the keys that share this many bytes.
    pub(crate) prefix_bytes: Option<usize>,
    /// The durability class that writes ask for.
    pub(crate) durability: Durability,
    /// How many writes go into one batch.
    pub(crate) batch: usize,
    /// The most steps to take.
    pub(crate) max_steps: u32,
    /// Which calls are timed.
    pub(crate) timer: CallTimer,
    /// Whether the client has no more to do.
    pub(crate) is_done: bool,
    /// Whether that is so because there was no new key left to insert.
    pub(crate) is_out_of_keys: bool,
}

/// The memory that a client works in, used by one phase after the other.
#[derive(Debug)]
pub(crate) struct ClientBuffers {
    /// The stamps and the times.
    pub(crate) window: Window,
    /// The values to write.
    pub(crate) values: ValueWriter,
    key: Vec<u8>,
    batch: WriteBatch,
    /// The writes in the batch that is being put together.
    pending_writes: usize,
}

impl ClientBuffers {
    /// Buffers with a window of `capacity`.
    pub(crate) fn new(capacity: WindowCapacity, values: ValueWriter) -> Self {
        let window = Window::new(capacity);
        Self { window, values, key: Vec::new(), batch: WriteBatch::new(), pending_writes: 0 }
    }

    /// Touches the memory that a batch of `ops` puts takes, with values of `value_bytes`: it is the harness's, not the engine's.
    pub(crate) fn touch_batch(&mut self, ops: usize, dataset: &Dataset, value_bytes: usize) {
        let value = vec![0; value_bytes];
        for id in 0..dataset.capacity.min(ops as u32) {
            dataset.keys.write_key(id, &mut self.key);
            self.batch.put(&self.key, &value);
        }
        self.batch.clear();
        assert!(self.batch.is_empty() && self.pending_writes == 0, "nothing is pending");
    }
}

impl Client<'_> {
    /// Runs the client until `window_end`, until its window is full, or until it has taken its steps. A window holds at
    /// most `window_ops` operations.
    pub(crate) fn run(
        &mut self,
        buffers: &mut ClientBuffers,
        window_end: &WindowEnd,
        window_ops: u32,
    ) -> Outcome<()> {
        assert!(self.batch > 0 && buffers.pending_writes == 0);
        self.timer.restart();
        buffers.window.restart(self.position, window_ops);
        let most_ops = window_ops.min(self.max_steps.saturating_sub(self.position.taken));
        let mut has_keys = true;
        while buffers.window.ops < most_ops {
            if let Some(moment) = self.timer.take_last_end()
                && window_end.is_reached(moment)
            {
                self.is_done |= moment >= window_end.until;
                break;
            }
            if self.lacks_entries_for_scan(&buffers.window) {
                break;
            }
            // The operations of a batch arrive together: only the first of them waits.
            if buffers.pending_writes == 0 && !self.timer.await_arrival(window_end) {
                self.is_done |= Instant::now() >= window_end.until;
                break;
            }
            let Some(planned) = self.position.next(self.steps) else {
                (self.is_done, self.is_out_of_keys, has_keys) = (true, true, false);
                break;
            };
            self.perform(planned, buffers)?;
            buffers.window.ops += 1;
        }
        self.end_window(buffers, window_end, has_keys)
    }

    /// Sends the writes of an incomplete batch and notes how the window ended. `has_keys`: the next insert has a key.
    fn end_window(
        &mut self,
        buffers: &mut ClientBuffers,
        window_end: &WindowEnd,
        has_keys: bool,
    ) -> Outcome<()> {
        self.write_pending(buffers, Operation::Put)?;
        assert!(buffers.pending_writes == 0, "every write was sent");
        let window = &mut buffers.window;
        window.ended = Instant::now();
        let has_steps = self.position.taken < self.max_steps && has_keys;
        let end = window_end.until.min(window.ended);
        window.missed = if has_steps { self.timer.missed(end) } else { 0 };
        self.is_done |= self.position.taken >= self.max_steps;
        assert!(window.ops <= window.most_ops, "a window was overrun");
        assert_eq!(self.position.taken - window.start.taken, window.ops, "each step is counted");
        assert!(
            window.samples.len() as u64 <= 2 * u64::from(window.ops) + 1,
            "a call has one time"
        );
        Ok(())
    }

    /// Whether the next operation is a scan that may read more entries than the window can still hold.
    fn lacks_entries_for_scan(&self, window: &Window) -> bool {
        let step = self.position.peek(self.steps);
        let free = window.entries.capacity() - window.entries.len();
        step.operation() == Operation::Scan && free < step.length() as usize
    }

    fn perform(&mut self, planned: PlannedOperation, buffers: &mut ClientBuffers) -> CallOutcome {
        match planned.operation {
            Operation::Get => self.get(planned, buffers),
            Operation::GetMiss => self.get_miss(planned, buffers),
            Operation::Put | Operation::Insert | Operation::Delete => self.write(planned, buffers),
            Operation::Scan => self.scan(planned, buffers),
            Operation::ReadModifyWrite => self.read_modify_write(planned, buffers),
        }
    }
}
