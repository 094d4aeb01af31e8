//! The end of a merge: its outputs take the place of its inputs. Steps 4 to 7 of the protocol.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kv::Result;

use super::copy::Copying;
use super::output::FinishedOutput;
use super::{Merge, Merger};
use crate::background::Task;
use crate::components::Components;
use crate::data_file::DataFile;
use crate::hint_file;
use crate::keydir::{Keydir, Location, Version};
use crate::state::{self, Edit};
use crate::steps::Step;

impl Merger {
    /// Steps 4 to 7. If the edit fails, `merge` still has its outputs. A failure after the edit poisons the store. Step 4
    /// enters the commit section: so no file enters the table between the change of the keydir and that of the live counts
    /// by one write (`committer/apply.rs`).
    pub(super) fn install(&self, merge: &mut Merge) -> Result<()> {
        let (parts, steps) = (&self.parts, &self.parts.store.steps);
        steps.run(Step::SyncLogBeforeEdit, || self.committer.sync())?;
        // The sync takes long enough for the sealer to find damage in the log.
        parts.damaged.check_log()?;
        let inputs = open_inputs(parts, &merge.inputs);
        let mut outputs = std::mem::take(&mut merge.finished);
        let has_expired_records = merge.copying.as_ref().is_none_or(Copying::has_expired_records);
        let read: u64 = inputs.iter().map(|file| file.len()).sum();
        let written: u64 = outputs.iter().map(|output| output.file.len()).sum();

        let edit = edit_of(parts, &mut outputs, &merge.inputs);
        let is_named = Cell::new(false);
        let edit = || parts.store.edit(&edit).inspect(|()| is_named.set(true));
        let relocate = || replace(parts, &inputs, &outputs, has_expired_records);
        let installed = steps.in_order((Step::EditManifest, edit), (Step::Relocate, relocate));
        match installed {
            Ok(()) => {}
            // The manifest names the outputs, and the keydir names the inputs still. After any error here, the store must
            // take no more writes.
            Err(error) if is_named.get() => return Err(parts.store.poison(error)),
            // Nothing names the outputs. They go back to the merge, which removes them when it is given up.
            Err(error) => {
                merge.finished = outputs;
                return Err(error);
            }
        }

        self.count_merge(merge, read, written);
        Ok(())
    }

    /// Counts a merge that has read and written so many bytes, and updates the back-pressure.
    fn count_merge(&self, merge: &Merge, read: u64, written: u64) {
        let parts = &self.parts;
        self.counters.merges.fetch_add(1, Ordering::Relaxed);
        self.counters.read_bytes.fetch_add(read, Ordering::Relaxed);
        self.counters.written_bytes.fetch_add(written, Ordering::Relaxed);
        let elapsed = parts.store.env.clock.elapsed().saturating_sub(merge.started);
        parts.pressure.drained(read.saturating_sub(written), elapsed);
        parts.survey.measure_pressure(self.committer.published());
    }
}

/// The data files with `ids`.
fn open_inputs(parts: &Components, ids: &[u64]) -> Vec<Arc<DataFile>> {
    let table = parts.files.load_full();
    let inputs: Vec<Arc<DataFile>> =
        ids.iter().filter_map(|&id| table.with_id(id)).map(Arc::clone).collect();
    assert_eq!(inputs.len(), ids.len(), "only merges take files out of the table");
    inputs
}

/// One edit of the manifest: `outputs` in, `inputs` out.
fn edit_of(parts: &Components, outputs: &mut [FinishedOutput], inputs: &[u64]) -> Edit {
    let mut edit = state::Merge::of(inputs.to_vec());
    for output in outputs {
        let (published, hint) = output.sealed.take_proofs();
        assert_eq!(published.path(), output.file.path(), "the proof is of this output");
        let facts = output.sealed.facts;
        assert!(!inputs.contains(&output.file.id), "an output is no input");
        let add = || {
            edit.add(&published, hint, facts);
            edit.block(&output.blocked);
        };
        parts.store.steps.run(Step::NameOutput, add);
    }
    edit.pass_on(parts.store.state().blocked.entries());
    Edit::merge(edit)
}

/// Steps 6 and 7: `outputs` take the place of `inputs` in memory.
fn replace(
    parts: &Components,
    inputs: &[Arc<DataFile>],
    outputs: &[FinishedOutput],
    has_expired_records: bool,
) -> Result<()> {
    relocate(parts, outputs)?;
    if has_expired_records {
        forget(parts, inputs);
    }
    retire(parts, inputs);
    Ok(())
}

/// The outputs enter the file table, and the keydir is pointed at the copied records.
fn relocate(parts: &Components, outputs: &[FinishedOutput]) -> Result<()> {
    parts.files.insert(outputs.iter().map(|output| Arc::clone(&output.file)));
    parts.background.request(Task::PopulateFile);
    outputs.iter().try_for_each(|output| relocate_into(parts, output))
}

fn relocate_into(parts: &Components, output: &FinishedOutput) -> Result<()> {
    let (file, sealed) = (&output.file, &output.sealed);
    let source = sealed.facts.source(parts.store.id(), file.id);
    let path = parts.store.hint_path(file.id);
    let mut chunk = Vec::with_capacity(Keydir::PREFETCHED);
    hint_file::read(&sealed.hint_bytes, &source, &path, &mut |entry| {
        if !entry.is_tombstone {
            let number = file.handle.number;
            let location = Location { file: number, offset: entry.offset, len: entry.len };
            chunk.push((entry.key, Version { location, sequence: entry.sequence }));
        }
        if chunk.len() == Keydir::PREFETCHED {
            relocate_chunk(parts, file, &chunk);
            chunk.clear();
        }
    })?;
    relocate_chunk(parts, file, &chunk);
    Ok(())
}

/// Points at most [`Keydir::PREFETCHED`] keys at their records in `file`.
fn relocate_chunk(parts: &Components, file: &DataFile, copied: &[(&[u8], Version)]) {
    debug_assert!(copied.len() <= Keydir::PREFETCHED, "one chunk");
    debug_assert!(copied.iter().all(|(_, version)| version.location.file == file.handle.number));
    parts.keydir.prefetch(copied.iter().map(|(key, _)| *key));
    for &(key, version) in copied {
        // Count the copy first: a concurrent write may replace it and subtract it at once.
        file.handle.live.add(version.location);
        let is_copied = |newest: u64| {
            parts.store.steps.check(Step::CompareSequence, newest == version.sequence)
        };
        if !parts.keydir.relocate_if(key, version, is_copied) {
            // A newer write has replaced the record in the meantime: the copy is dead.
            file.handle.live.subtract(version.location);
        }
    }
}

/// Removes the keys that still name a record in one of `inputs`: the records have expired and were not copied.
fn forget(parts: &Components, inputs: &[Arc<DataFile>]) {
    let named = inputs.iter().filter(|file| file.handle.live.records() > 0);
    let numbers: Vec<u16> = named.map(|file| file.handle.number).collect();
    if !numbers.is_empty() {
        parts.keydir.forget_files(&numbers);
    }
}

/// The inputs leave the table, and are unlinked after their last reader.
fn retire(parts: &Components, inputs: &[Arc<DataFile>]) {
    let steps = &parts.store.steps;
    steps.run(Step::HoldInputs, || parts.views.hold(inputs));
    steps.run(Step::RetireInputs, || inputs.iter().for_each(|file| file.handle.retire()));
    parts.files.take_out(inputs);
}
