//! The end of a merge: its outputs take the place of its inputs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use kv::Result;

use super::Merge;
use super::output::Finished;
use crate::data_file::DataFile;
use crate::engine::Inner;
use crate::files::HINT;
use crate::hint_file;
use crate::keydir::{Keydir, Location, Version};
use crate::planted::Mistake;
use crate::state::{self, Edit};

impl Inner {
    /// Steps 4 to 7 of the protocol.
    pub(super) fn install(&self, merge: &mut Merge) -> Result<()> {
        if !self.options.has(Mistake::MergeWithoutSyncingTheLog) {
            self.sync_all()?;
        }
        let (inputs, table) = (&merge.inputs, self.files.load_full());
        let inputs: Vec<Arc<DataFile>> =
            inputs.iter().filter_map(|&id| table.with_id(id)).map(Arc::clone).collect();
        let outputs = std::mem::take(&mut merge.finished);
        let has_expired = merge.copying.as_ref().is_none_or(|copying| copying.has_expired);
        let bytes =
            |files: &mut dyn Iterator<Item = &Arc<DataFile>>| files.map(|file| file.len()).sum();
        let read: u64 = bytes(&mut inputs.iter());
        let written: u64 = bytes(&mut outputs.iter().map(|output| &output.file));

        if self.options.has(Mistake::UnlinkBeforeTheEdit) {
            for file in &inputs {
                drop(self.options.env.fs.remove(file.path()));
            }
        }
        let outputs = self.name(outputs, &merge.inputs)?;
        self.relocate(&outputs)?;
        if has_expired {
            let numbers: Vec<u16> = inputs.iter().map(|file| file.life.number).collect();
            self.keydir.forget_files(&numbers);
        }
        self.retire(&inputs);

        let counters = &self.counters;
        counters.merges.fetch_add(1, Ordering::Relaxed);
        counters.merge_read_bytes.fetch_add(read, Ordering::Relaxed);
        counters.merge_written_bytes.fetch_add(written, Ordering::Relaxed);
        let elapsed = self.options.env.clock.elapsed().saturating_sub(merge.started);
        self.pressure.drained(read.saturating_sub(written), elapsed);
        if let Some(merge) = &self.options.merge {
            let published = self.commit.lock().published;
            self.measure_pressure(published, merge);
        }
        Ok(())
    }

    /// One edit of the manifest: `outputs` in, `inputs` out.
    fn name(&self, outputs: Vec<Finished>, inputs: &[u64]) -> Result<Vec<Finished>> {
        let mut edit = state::Merge::of(inputs.to_vec());
        let mut named = Vec::new();
        for mut output in outputs {
            let (published, hint) = output.sealed.take_proofs();
            edit.add(&published, hint, output.sealed.facts);
            edit.block(&output.blocked);
            named.push(output);
        }
        if self.options.has(Mistake::RemoveInputsFirst) {
            self.edit(&Edit::merge(state::Merge::of(inputs.to_vec())))?;
            edit.keep_inputs();
        }
        self.edit(&Edit::merge(edit))?;
        Ok(named)
    }

    /// The outputs enter the file table, and the keydir learns where the copied records are.
    fn relocate(&self, outputs: &[Finished]) -> Result<()> {
        self.change_files(|table| {
            for output in outputs {
                table.insert(Arc::clone(&output.file));
            }
        });
        outputs.iter().try_for_each(|output| self.relocate_into(output))
    }

    fn relocate_into(&self, output: &Finished) -> Result<()> {
        let (file, sealed) = (&output.file, &output.sealed);
        let source = sealed.facts.source(self.manifest.store_id(), file.id);
        let path = self.dir_path.join(HINT.name(file.id));
        let mut some = Vec::with_capacity(Keydir::WARMED);
        hint_file::read(&sealed.hint_bytes, &source, &path, &mut |entry| {
            if !entry.deletion {
                let number = file.life.number;
                let location = Location { file: number, offset: entry.offset, len: entry.len };
                some.push((entry.key, Version { location, sequence: entry.sequence }));
            }
            if some.len() == Keydir::WARMED {
                self.relocate_some(file, &some);
                some.clear();
            }
        })?;
        self.relocate_some(file, &some);
        Ok(())
    }

    /// At most [`Keydir::WARMED`] records of `file`, with their keys.
    fn relocate_some(&self, file: &DataFile, copied: &[(&[u8], Version)]) {
        self.keydir.warm(copied.iter().map(|(key, _)| *key));
        for &(key, version) in copied {
            // Counted first: a write that comes right behind takes it off again.
            file.life.live.add(version.location);
            let relocated = if self.options.has(Mistake::RelocateWhateverIsThere) {
                self.keydir.relocate_blindly(key, version)
            } else {
                self.keydir.relocate(key, version)
            };
            if !relocated {
                file.life.live.subtract(version.location);
            }
        }
    }

    /// The inputs go with their last reader.
    fn retire(&self, inputs: &[Arc<DataFile>]) {
        if !self.options.has(Mistake::LetViewsLoseFiles) {
            self.views.hold(inputs);
        }
        if !self.options.has(Mistake::NeverUnlink) {
            for file in inputs {
                file.life.retire();
            }
        }
        self.change_files(|table| {
            for file in inputs {
                table.remove(file.life.number);
            }
        });
    }
}
