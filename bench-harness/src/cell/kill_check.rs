//! The check that a store survives the kill of its process.
//!
//! 1. The first process writes down the content that it expects after a few last writes ([`UnclosedStore::new`]).
//! 2. It makes these writes ([`UnclosedStore::make_last_writes`]).
//! 3. It kills itself: no sync, no close, no drop.
//! 4. A second process opens the store in the same way. Every acknowledged write must be there, and nothing else
//!    ([`check_after_kill`]).
//!
//! This finds an engine that keeps its data in the memory of its process. It also finds one that acknowledges a write while
//! the write is still in a buffer of that process.
//!
//! The last writes are needed because each phase ends with a sync, which empties such buffers. They are expected before they
//! are made, so that nothing but the kill follows the last acknowledgement. A kill of the process leaves the page cache
//! alone. It proves `buffered`; of `sync` it proves as much, and the number of syncs stands in the results.

use kv::{Durability, Kv, WriteBatch};

use super::Job;
use super::expected;
use super::final_check::check_everything;
use super::workload_input::{dataset, value_bytes};
use crate::client::write_patiently;
use crate::dataset::Dataset;
use crate::engines::Registration;
use crate::failure::{Failure, Outcome};
use crate::model::{KeyState, Model};
use crate::values::ValueWriter;

/// Writes after the last phase; few enough to take no time, even where each reads a page from the disk.
const LAST_WRITES: u32 = 256;
/// The same where each waits for the disk.
const LAST_SYNCED_WRITES: u32 = 16;
/// One last write in this many deletes its key.
const DELETED: u32 = 8;
/// The moment of the check, in complaints.
const WHEN: &str = "after its process was killed";

/// A store whose content was written down, and which is not closed: only its last writes are missing.
pub(crate) struct UnclosedStore {
    engine: Box<dyn Kv>,
    dataset: Dataset,
    values: ValueWriter,
    /// The size of values, where they are made up.
    value_bytes: u32,
    durability: Durability,
    last_writes: Vec<(u32, KeyState)>,
}

impl UnclosedStore {
    /// Writes down the content that `engine` must have after its last writes, by `model` and these writes.
    pub(super) fn new(
        job: &Job,
        engine: Box<dyn Kv>,
        (dataset, mut model): (Dataset, Model),
        values: ValueWriter,
        durability: Durability,
    ) -> Outcome<Self> {
        assert!(durability > Durability::None, "nothing is promised to outlive its process");
        let value_bytes = value_bytes(job);
        let last_writes = last_writes(&model, durability);
        for &(id, state) in &last_writes {
            let size = if state.is_present() { dataset.value_bytes(id, value_bytes) } else { 0 };
            model.write(id, state, size);
        }
        expected::write(&job.expected_path(), &model)?;
        Ok(Self { engine, dataset, values, value_bytes, durability, last_writes })
    }

    /// Makes the last writes. When this returns, all of them are acknowledged, and the process is to be killed.
    pub(crate) fn make_last_writes(&mut self) -> Outcome<()> {
        let (mut key, mut batch) = (Vec::new(), WriteBatch::new());
        for &(id, state) in &self.last_writes {
            self.dataset.keys.write_key(id, &mut key);
            assert!(batch.is_empty(), "each last write is a call of its own");
            if state.is_present() {
                batch.put(&key, self.values.seal_next(id, state.version(), self.value_bytes));
            } else {
                batch.delete(&key);
            }
            write_patiently(self.engine.as_ref(), &batch, self.durability, &mut 0)?;
            batch.clear();
        }
        Ok(())
    }
}

/// The last writes to a store with the content of `model`: keys from first to last, new versions of most and deletions of
/// the others.
fn last_writes(model: &Model, durability: Durability) -> Vec<(u32, KeyState)> {
    let most = if durability == Durability::Sync { LAST_SYNCED_WRITES } else { LAST_WRITES };
    let versions_left = (u32::MAX >> 1) - model.newest_version();
    let count = most.min(model.in_use()).min(versions_left);
    let nth = |at: u32| {
        let id = u64::from(at) * u64::from(model.in_use()) / u64::from(count);
        let state = KeyState::new(model.newest_version() + 1 + at, at % DELETED != DELETED - 1);
        (id as u32, state)
    };
    let writes: Vec<_> = (0..count).map(nth).collect();
    assert!(writes.is_sorted_by(|a, b| a.0 < b.0), "each key is written once");
    assert!(writes.iter().all(|(id, _)| *id < model.in_use()), "each key is in use");
    writes
}

/// Opens the store that the killed process of `job` left, and compares its content with the one that was written down.
pub(crate) fn check_after_kill(registration: &Registration, job: &Job) -> Outcome<()> {
    let model = expected::read(&job.expected_path())?;
    let dataset = dataset(job, model.capacity())?;
    let config = job.config(registration);
    let engine = (registration.open)(&job.directory, config).map_err(|error| {
        Failure::from(error).within(format_args!("cannot open its store {WHEN}"))
    })?;
    check_everything(engine.as_ref(), &dataset, &model, WHEN)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(keys: u32) -> Model {
        let mut model = Model::new(keys.max(1));
        (0..keys).for_each(|id| model.write(id, KeyState::new(id + 1, true), 100));
        model.raise_newest_version(keys);
        model
    }

    #[test]
    fn the_last_writes_are_newer_than_all_others_and_meet_each_key_once() {
        for (keys, durability, expected) in [
            (1_000, Durability::Buffered, 256),
            (1_000, Durability::Sync, 16),
            (7, Durability::Sync, 7),
        ] {
            let writes = last_writes(&model(keys), durability);
            assert_eq!(writes.len(), expected);
            assert!(writes.is_sorted_by(|a, b| a.0 < b.0 && a.1.version() < b.1.version()));
            assert!(writes.iter().all(|(id, state)| *id < keys && state.version() > keys));
        }
    }

    #[test]
    fn some_of_the_last_writes_delete() {
        let writes = last_writes(&model(1_000), Durability::Sync);
        assert_eq!(writes.iter().filter(|(_, state)| !state.is_present()).count(), 2);
    }

    #[test]
    fn a_store_without_keys_or_without_versions_has_no_last_writes() {
        assert!(last_writes(&model(0), Durability::Buffered).is_empty());
        let mut full = model(4);
        full.raise_newest_version(u32::MAX >> 1);
        assert!(last_writes(&full, Durability::Buffered).is_empty());
    }
}
