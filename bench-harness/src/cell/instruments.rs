//! The memory of the harness in a cell: all of it is made and touched before the engine is opened.

use super::Job;
use super::workload_input::value_bytes;
use crate::client::{ClientBuffers, WindowCapacity};
use crate::dataset::Dataset;
use crate::engines::{NULL_ENGINE, Registration};
use crate::judge::{Judge, Timeline};
use crate::model::Model;
use crate::recorder::Recorder;
use crate::values::ValueWriter;

/// The judge, and the buffers and the recorder of each thread.
pub(super) struct Instruments<'c> {
    /// Checks the answers.
    pub(super) judge: Judge<'c>,
    /// One for each thread.
    pub(super) all_buffers: Vec<ClientBuffers>,
    /// One for each thread.
    pub(super) recorders: Vec<Recorder>,
}

impl<'c> Instruments<'c> {
    /// The instruments for `threads` threads whose windows have `capacity`, and which put up to `batch` writes into a batch.
    pub(super) fn new(
        (registration, job): (&Registration, &Job),
        (dataset, model): (&'c Dataset, Model),
        (threads, batch): (usize, usize),
        capacity: WindowCapacity,
    ) -> Self {
        assert!(threads > 0, "a cell has a thread");
        let size = value_bytes(job) as usize;
        let values = |thread| dataset.values.writer(thread, threads, size);
        let buffers = |thread| {
            let mut buffers = ClientBuffers::new(capacity, values(thread));
            buffers.touch_batch(batch, dataset, size);
            buffers
        };
        let timeline = Timeline::new(threads, capacity.samples, model.capacity());
        assert!(model.capacity() <= dataset.capacity, "each id has a key");
        let is_strict = registration.name != NULL_ENGINE;
        Self {
            all_buffers: (0..threads as u32).map(buffers).collect(),
            recorders: vec![Recorder::new(); threads],
            judge: Judge { dataset, model, is_strict, timeline },
        }
    }

    /// The right answers after all phases, and the values of the first thread.
    pub(super) fn into_model_and_values(mut self) -> (Model, ValueWriter) {
        (self.judge.model, self.all_buffers.swap_remove(0).values)
    }
}
