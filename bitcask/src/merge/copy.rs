//! Copying the live records of the inputs into outputs.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use durable::log::{BatchReader, Frame, FrameView, Writer};
use durable::{Mapped, read_whole};
use kv::{Error, Result, UnixMillis};

use super::classifier::{Classifier, LiveFrames};
use super::output::{FinishedOutput, Output};
use super::read_ahead::ReadAhead;
use super::space;
use super::tombstones::TombstoneGuard;
use crate::components::Components;
use crate::data_file::DataFile;
use crate::keydir::Keydir;
use crate::record::Record;
use crate::sealed_file::check_len;

/// The reading side of a merge and the output that it fills.
pub(super) struct Copying {
    inputs: Vec<Input>,
    classifier: Classifier,
    output: Option<Output>,
    /// How large an output is unless a batch needs a larger one, in bytes.
    usual_bytes: u64,
    /// Whether the disk was asked for room for the copies.
    space_is_checked: bool,
    /// The number of the last batch that was read, live or dead. Numbers ascend over all inputs.
    newest_sequence: u64,
    /// Tombstones and expired puts that were dropped.
    pub(super) tombstones_dropped: u64,
}

struct Input {
    file: Arc<DataFile>,
    bytes: Arc<dyn Mapped>,
    reader: BatchReader,
}

impl Copying {
    /// Opens the inputs. Nothing is copied yet.
    ///
    /// # Errors
    /// `Corruption`, when an input has another length than the manifest says. `Io`, when it cannot be opened.
    pub(super) fn begin(
        parts: &Components,
        ids: &[u64],
        horizon: UnixMillis,
        usual_bytes: u64,
    ) -> Result<Self> {
        let guard = TombstoneGuard::new(&parts.store, ids);
        let table = parts.files.load_full();
        let files = ids.iter().filter_map(|&id| table.with_id(id));
        let inputs = files.map(|file| Input::open(parts, file)).collect::<Result<Vec<_>>>()?;
        assert_eq!(inputs.len(), ids.len(), "only merges take files out of the table");
        Ok(Self {
            inputs,
            classifier: Classifier::new(guard, horizon),
            output: None,
            usual_bytes,
            space_is_checked: false,
            newest_sequence: 0,
            tombstones_dropped: 0,
        })
    }

    /// Whether a record that the keydir names has expired.
    pub(super) fn has_expired_records(&self) -> bool {
        self.classifier.has_expired_records
    }

    /// Whether all inputs are read and no output is unfinished.
    pub(super) fn is_done(&self) -> bool {
        self.output.is_none() && self.next_input().is_none()
    }

    /// Removes the output that is not finished.
    pub(super) fn discard_output(&mut self, parts: &Components) {
        if let Some(output) = self.output.take() {
            // If it cannot be removed now, the next opening does it: its id is reserved, and nothing names it.
            drop(parts.store.fs().remove(output.path()));
        }
    }

    /// Reads batches worth at least `budget` bytes, if there are so many left. Returns an output that it has finished.
    pub(super) fn step(
        &mut self,
        parts: &Components,
        budget: u64,
    ) -> Result<Option<FinishedOutput>> {
        self.check_space(parts)?;
        let end = self.bytes_left().saturating_sub(budget.max(1));
        while let Some((at, limit)) = self.next_input() {
            let input = &self.inputs[at];
            let (bytes, file) = (Arc::clone(&input.bytes), Arc::clone(&input.file));
            let ahead = ReadAhead::read(input.reader, bytes.bytes(), file.path(), limit)?;
            parts.keydir.prefetch(ahead.keys(file.path()).take(Keydir::PREFETCHED));
            for (batch, after) in ahead.batches() {
                self.check_ascends(batch, file.path())?;
                if let Some(finished) = self.copy_batch_or_finish_output(parts, &file, batch)? {
                    // The batch did not fit. The reader stands before it still, and reads it again for the next output.
                    return Ok(Some(finished));
                }
                assert!(after.offset() > self.inputs[at].reader.offset(), "reading goes forward");
                self.inputs[at].reader = after;
                // An end mark has no batch.
                let read = batch.first().map_or(self.newest_sequence, |first| first.sequence);
                self.newest_sequence = read;
                if self.bytes_left() <= end {
                    return Ok(None);
                }
            }
        }
        self.finish_output(parts)
    }

    /// Checks that `batch`, of the file at `path`, has a higher number than all batches before. The inputs are read in the
    /// order of their next numbers. If it has not, the numbers of the file do not ascend, or two inputs have the same
    /// number.
    fn check_ascends(&self, batch: &[FrameView<'_>], path: &Path) -> Result<()> {
        match batch.first() {
            Some(first) if first.sequence <= self.newest_sequence => {
                let what =
                    format!("batch {} comes after batch {}", first.sequence, self.newest_sequence);
                Err(Error::corruption(path, first.offset, what))
            }
            _ => Ok(()),
        }
    }

    /// Checks that the disk has room for the copies before any is made.
    fn check_space(&mut self, parts: &Components) -> Result<()> {
        if std::mem::replace(&mut self.space_is_checked, true) {
            return Ok(());
        }
        space::check(parts, self.inputs.iter().map(|input| input.file.handle.live.bytes()).sum())
    }

    fn bytes_left(&self) -> u64 {
        let left = |input: &Input| {
            (input.bytes.bytes().len() as u64).saturating_sub(input.reader.offset())
        };
        self.inputs.iter().map(left).sum()
    }

    /// Returns the input with the lowest next number, and the lowest next number of the others. The input is read up to
    /// that number.
    fn next_input(&self) -> Option<(usize, u64)> {
        let mut lowest: Option<(usize, u64)> = None;
        let mut second_lowest = u64::MAX;
        for (at, input) in self.inputs.iter().enumerate() {
            // An input that was read to its end has no next batch.
            let Some(next) = input.reader.peek_sequence(input.bytes.bytes()) else { continue };
            match lowest {
                Some((_, low)) if low <= next => second_lowest = second_lowest.min(next),
                lowest_so_far => {
                    // The lowest so far becomes the second lowest.
                    second_lowest = lowest_so_far.map_or(second_lowest, |(_, low)| low);
                    lowest = Some((at, next));
                }
            }
        }
        let (at, low) = lowest?;
        debug_assert!(low <= second_lowest, "the lowest comes first");
        Some((at, second_lowest))
    }

    /// Copies the live frames of a batch of `file`. If the output has no room for them, finishes the output instead.
    fn copy_batch_or_finish_output(
        &mut self,
        parts: &Components,
        file: &DataFile,
        batch: &[FrameView<'_>],
    ) -> Result<Option<FinishedOutput>> {
        let mut live = LiveFrames::default();
        for frame in batch {
            self.classifier.classify(parts, frame, Record::decode(frame, file.path())?, &mut live);
        }
        debug_assert!(batch.iter().all(|frame| frame.sequence == batch[0].sequence), "one batch");
        debug_assert!(live.frames.len() as u64 + live.dropped <= batch.len() as u64);
        if let Some(first) = batch.first()
            && !live.frames.is_empty()
        {
            let len = Writer::batch_len(live.frames.iter().map(Frame::payload_len));
            if self.output.as_ref().is_some_and(|output| !output.has_room(len)) {
                return self.finish_output(parts);
            }
            let output = self.output_with_room(parts, len)?;
            output.append(parts, first.sequence, live.frames.into_iter())?;
            live.blocked.into_iter().for_each(|(blocker, bytes)| output.block(blocker, bytes));
        }
        self.tombstones_dropped += live.dropped;
        Ok(None)
    }

    /// Returns the open output. If there is none, begins one with room for `batch_len` bytes.
    fn output_with_room(&mut self, parts: &Components, batch_len: u64) -> Result<&mut Output> {
        let usual = self.usual_bytes.min(Writer::capacity_for(self.bytes_left()));
        let capacity = usual.max(Writer::capacity_for(batch_len));
        assert!(capacity > batch_len, "an output has a header besides the batch");
        match &mut self.output {
            Some(output) => Ok(output),
            none => Ok(none.insert(Output::begin(parts, capacity)?)),
        }
    }

    fn finish_output(&mut self, parts: &Components) -> Result<Option<FinishedOutput>> {
        let Some(output) = self.output.take() else { return Ok(None) };
        let path = output.path().to_path_buf();
        let finished = output.finish(parts);
        finished.map(Some).inspect_err(|_| drop(parts.store.fs().remove(&path)))
    }
}

impl Input {
    fn open(parts: &Components, file: &Arc<DataFile>) -> Result<Self> {
        let input = parts.store.fs().open(file.path())?;
        if let Some(sealed) = parts.store.state().files.get(&file.id).copied().flatten() {
            check_len(&*input, &sealed)?;
        }
        let bytes = read_whole(&*input)?;
        let reader = BatchReader::new(file.header());
        Ok(Self { file: Arc::clone(file), bytes, reader })
    }
}

impl fmt::Debug for Copying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copying").field("output", &self.output).finish_non_exhaustive()
    }
}
