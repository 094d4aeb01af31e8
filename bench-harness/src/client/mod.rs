//! The client: the one loop that drives every engine. It knows the `Kv` trait and nothing about any engine.
//!
//! The loop is part of the measured time, so it does little: it makes the key, stamps a value in the pool, calls the
//! engine and folds the answer into a stamp of four bytes. One call in a stride is timed by itself. The judge
//! ([`crate::judge`]) reads the stamps while the clock stands still. An engine that does nothing ([`Idle`]) measures the
//! loop.
//!
//! [`Idle`]: crate::engines::Idle

mod calls;
mod clock;
mod walk;
mod window;

use std::time::Instant;

use kv::{Durability, Kv, WriteBatch};

use crate::dataset::Dataset;
use crate::failure::Outcome;
use crate::operation::{Operation, Step};
use crate::values::ValueWriter;

pub(crate) use calls::{scan_range, stamp_entry};
pub(crate) use clock::{Arrivals, Span, Stopwatch};
pub(crate) use walk::{Planned, Walk};
pub(crate) use window::{EntryStamp, NOT_FOUND, Room, Sample, WRONG, Window};

/// One thread's part of a phase.
#[derive(Clone)]
pub(crate) struct Client<'p> {
    /// The engine under test.
    pub(crate) engine: &'p dyn Kv,
    /// Keys and payloads.
    pub(crate) dataset: &'p Dataset,
    /// The steps; the client starts over at the end.
    pub(crate) steps: &'p [Step],
    /// Where the client stands in them.
    pub(crate) walk: Walk,
    /// Scans stay within the keys that share this many bytes.
    pub(crate) prefix_bytes: Option<usize>,
    /// The promise that writes ask for.
    pub(crate) durability: Durability,
    /// How many writes go into one batch.
    pub(crate) batch: usize,
    /// The most steps to take.
    pub(crate) max_steps: u32,
    /// Which calls are timed.
    pub(crate) watch: Stopwatch,
    /// Whether the client has no more to do.
    pub(crate) is_done: bool,
    /// Whether that is so because there was no new key left to insert.
    pub(crate) is_out_of_keys: bool,
}

/// The memory that a client works in, used by one phase after the other.
#[derive(Debug)]
pub(crate) struct Desk {
    /// The stamps and the times.
    pub(crate) window: Window,
    /// The values to write.
    pub(crate) values: ValueWriter,
    key: Vec<u8>,
    batch: WriteBatch,
    /// The writes in the batch that is being put together.
    pending: usize,
}

impl Desk {
    /// A desk with room for a window.
    pub(crate) fn new(room: Room, values: ValueWriter) -> Self {
        let window = Window::new(room);
        Self { window, values, key: Vec::new(), batch: WriteBatch::new(), pending: 0 }
    }
}

impl Client<'_> {
    /// Runs the client to the end of `span`, of its window or of its steps. `room` is the most operations.
    pub(crate) fn run(&mut self, desk: &mut Desk, span: &Span, room: u32) -> Outcome<()> {
        assert!(self.batch > 0 && desk.pending == 0);
        self.watch.restart();
        desk.window.restart(self.walk, room);
        let room = room.min(self.max_steps.saturating_sub(self.walk.taken));
        let mut is_at_end = false;
        while desk.window.ops < room {
            if let Some(moment) = self.watch.last_end.take()
                && span.is_over(moment)
            {
                self.is_done |= moment >= span.until;
                break;
            }
            if self.has_no_room_for_scan(&desk.window) {
                break;
            }
            // A batch is put together at the moment of its call.
            if desk.pending == 0 && !self.watch.await_arrival(span) {
                self.is_done |= Instant::now() >= span.until;
                break;
            }
            let Some(planned) = self.walk.next(self.steps) else {
                (self.is_done, is_at_end) = (true, true);
                self.is_out_of_keys = true;
                break;
            };
            self.perform(planned, desk)?;
            desk.window.ops += 1;
        }
        self.write_pending(desk, Operation::Put)?;
        desk.window.ended = Instant::now();
        let has_steps = self.walk.taken < self.max_steps && !is_at_end;
        let end = span.until.min(desk.window.ended);
        desk.window.missed = if has_steps { self.watch.missed(end) } else { 0 };
        self.is_done |= self.walk.taken >= self.max_steps;
        assert!(desk.pending == 0, "every write was sent");
        Ok(())
    }

    fn has_no_room_for_scan(&self, window: &Window) -> bool {
        let step = self.walk.peek(self.steps);
        let room = window.entries.capacity() - window.entries.len();
        step.operation() == Operation::Scan && room < step.extra() as usize
    }

    fn perform(&mut self, planned: Planned, desk: &mut Desk) -> Outcome<()> {
        match planned.operation {
            Operation::Get => self.get(planned, desk),
            Operation::GetMiss => self.get_miss(planned, desk),
            Operation::Put | Operation::Insert | Operation::Delete => self.write(planned, desk),
            Operation::Scan => self.scan(planned, desk),
            Operation::ReadModifyWrite => self.read_modify_write(planned, desk),
        }
    }
}
