//! The judge: compares the stamps of a window with the answers that were right.
//!
//! The clock stands still meanwhile. Each thread's operations are taken again in their order (`replay`): its writes
//! change the model, and an answer about a key that nobody else writes is known exactly. Where several threads run, an
//! answer about a key of another thread has a lowest and a highest version (`timeline`). Between two timed calls of the
//! reader the order of threads is unknown. So the lowest version is the newest one acknowledged when its previous timed call
//! ended. The highest is the newest one begun when its next timed call ended. Both have 10 us to spare.
//!
//! The lengths of values are compared as sums over a window (`read_bytes`).

mod read_bytes;
mod replay;
mod scan_check;
#[cfg(test)]
mod tests;
mod timeline;

use crate::client::Window;
use crate::dataset::Dataset;
use crate::failure::{Failure, Outcome};
use crate::model::{Bounds, Model};
use crate::operation::Step;
use crate::recorder::Recorder;

pub(crate) use scan_check::check_key;
pub(crate) use timeline::Timeline;

/// Judges the windows of one cell.
#[derive(Debug)]
pub(crate) struct Judge<'c> {
    /// Keys and their order.
    pub(crate) dataset: &'c Dataset,
    /// The right answers.
    pub(crate) model: Model,
    /// Whether answers are compared; those of the engine that does nothing are not.
    pub(crate) is_strict: bool,
    /// Judges answers about keys that another thread writes.
    pub(crate) timeline: Timeline,
}

/// The part of one thread in a window.
#[derive(Clone, Copy)]
pub(crate) struct Part<'w> {
    /// Its steps.
    pub(crate) steps: &'w [Step],
    /// Its stamps.
    pub(crate) window: &'w Window,
    /// Scans stay within the keys that share this many bytes.
    pub(crate) prefix_bytes: Option<usize>,
}

impl Judge<'_> {
    /// Checks the answers of all threads in a window and counts their operations, each in its own recorder.
    pub(crate) fn check_window(
        &mut self,
        parts: &[Part<'_>],
        recorders: &mut [Recorder],
    ) -> Outcome<()> {
        assert_eq!(parts.len(), recorders.len(), "each thread has a recorder");
        let complaint = parts.iter().find_map(|part| part.window.complaint.as_ref());
        if let Some(text) = complaint.filter(|_| self.is_strict) {
            return Err(Failure::wrong_data(text.clone()));
        }
        let ops = |recorders: &[Recorder]| recorders.iter().map(Recorder::ops).sum::<u64>();
        let (known_ops, window_ops) = (ops(recorders), parts.iter().map(|part| part.window.ops));
        let window_ops: u64 = window_ops.map(u64::from).sum();
        let writers = parts.iter().filter(|part| writes(part)).count();
        let is_shared = writers > 0 && parts.len() > 1;
        if is_shared {
            self.timeline.begin(self.model.states());
        }
        for (part, recorder) in parts.iter().zip(&mut *recorders) {
            let others_write = writers > usize::from(writes(part));
            replay::replay(self, part, others_write, recorder)?;
        }
        assert_eq!(ops(recorders), known_ops + window_ops, "each operation is counted once");
        if is_shared && self.is_strict { self.timeline.check(self.dataset, parts) } else { Ok(()) }
    }

    /// Checks the answer of a get that was made between two phases: it must have found the newest version.
    pub(crate) fn check_newest(&self, id: u32, version: u32) -> Outcome<()> {
        replay::check_stamp(self.dataset, id, version, Bounds::exactly(self.model.state(id)))
    }
}

fn writes(part: &Part<'_>) -> bool {
    part.window.sums.iter().any(|sums| sums.bytes_written > 0)
}
