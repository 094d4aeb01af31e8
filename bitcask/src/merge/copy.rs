//! Copying the live records of the inputs into outputs.

use std::sync::Arc;
use std::{fmt, io};

use durable::log::{BatchReader, Frame, FrameView, Writer};
use durable::{Mapped, read_whole};
use kv::{Error, Result, UnixMillis};

use super::output::{FinishedOutput, Output};
use super::read_ahead::ReadAhead;
use super::tombstones::TombstoneGuard;
use crate::components::Components;
use crate::data_file::DataFile;
use crate::keydir::Keydir;
use crate::record::{Record, RecordWriter};
use crate::sealed_file::check_len;
use crate::steps::Step;

/// Free space that a merge leaves besides the bytes that it copies and a quarter for the hints.
const MARGIN: u64 = 16 << 10;

/// How many bytes of records a merge can copy onto the disk, with the space of the disk reserve.
pub(super) fn room(parts: &Components) -> Result<u64> {
    let reserve = parts.store.reserve();
    let reserved = if reserve.is_released() { 0 } else { reserve.bytes() };
    Ok(copies_in(free_space(parts)? + reserved))
}

fn free_space(parts: &Components) -> Result<u64> {
    parts.store.fs().free_space(parts.store.path())
}

/// How many bytes of records `free` bytes have room for, with their hint files and a margin.
fn copies_in(free: u64) -> u64 {
    free.saturating_sub(MARGIN) / 5 * 4
}

/// The reading side of a merge and the output that it fills.
pub(super) struct Copying {
    inputs: Vec<Input>,
    guard: TombstoneGuard,
    horizon: UnixMillis,
    output: Option<Output>,
    /// How large an output is unless a batch needs a larger one, in bytes.
    usual_bytes: u64,
    /// Whether the disk was asked for room for the copies.
    space_is_checked: bool,
    /// Whether a record has expired that the keydir names.
    pub(super) has_expired_records: bool,
    /// Tombstones and expired puts that were dropped.
    pub(super) tombstones_dropped: u64,
}

struct Input {
    file: Arc<DataFile>,
    bytes: Arc<dyn Mapped>,
    reader: BatchReader,
}

/// The frames of a batch that are copied.
#[derive(Default)]
struct LiveFrames<'f> {
    frames: Vec<Frame<'f>>,
    /// The tombstones among them: the file each is kept for, and how many bytes it takes.
    blocked: Vec<(u64, u64)>,
    /// Tombstones and expired puts that are not copied.
    dropped: u64,
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
            guard,
            horizon,
            output: None,
            usual_bytes,
            space_is_checked: false,
            has_expired_records: false,
            tombstones_dropped: 0,
        })
    }

    /// Whether all inputs were read and the last output was finished.
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
                if let Some(finished) = self.copy_batch_or_finish_output(parts, &file, batch)? {
                    // The batch did not fit. The reader stands before it still, and reads it again for the next output.
                    return Ok(Some(finished));
                }
                assert!(after.offset() > self.inputs[at].reader.offset(), "reading goes forward");
                self.inputs[at].reader = after;
                if self.bytes_left() <= end {
                    return Ok(None);
                }
            }
        }
        self.finish_output(parts)
    }

    /// Checks that the disk has room for the copies before any is made. Releases the disk reserve if that is enough: a
    /// merge frees more space than it uses.
    fn check_space(&mut self, parts: &Components) -> Result<()> {
        if std::mem::replace(&mut self.space_is_checked, true) {
            return Ok(());
        }
        let live: u64 = self.inputs.iter().map(|input| input.file.handle.live.bytes()).sum();
        let (store, reserve) = (&parts.store, parts.store.reserve());
        if live <= copies_in(free_space(parts)?) {
            return Ok(());
        }
        if live <= room(parts)? && reserve.release()? && live <= copies_in(free_space(parts)?) {
            return Ok(());
        }
        let source = io::Error::from(io::ErrorKind::StorageFull);
        Err(Error::io("merge into", store.path(), source))
    }

    fn bytes_left(&self) -> u64 {
        let left = |input: &Input| {
            (input.bytes.bytes().len() as u64).saturating_sub(input.reader.offset())
        };
        self.inputs.iter().map(left).sum()
    }

    /// The input whose next batch has the lowest number, and the lowest next number of the other inputs: batches of the input
    /// up to that number come first.
    fn next_input(&self) -> Option<(usize, u64)> {
        let mut lowest: Option<(usize, u64)> = None;
        let mut second_lowest = u64::MAX;
        for (at, input) in self.inputs.iter().enumerate() {
            // An input that was read to its end has no next batch.
            let Some(next) = input.reader.peek_sequence(input.bytes.bytes()) else { continue };
            match lowest {
                Some((_, low)) if low <= next => second_lowest = second_lowest.min(next),
                before => {
                    // The lowest so far, if there is one, is lower than every other.
                    second_lowest = before.map_or(second_lowest, |(_, low)| low);
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
            self.classify(parts, frame, Record::decode(frame, file.path())?, &mut live);
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

    /// The output, with room for a batch of `batch_len` bytes if it is begun here.
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

    /// Decides whether a record is copied, and adds it to `live` if so.
    fn classify<'f>(
        &mut self,
        parts: &Components,
        frame: &FrameView<'f>,
        record: Record<'f>,
        live: &mut LiveFrames<'f>,
    ) {
        let (key, sequence) = (record.key(), frame.sequence);
        let newest = parts.keydir.get(key).map(|version| version.sequence);
        let has_expired =
            |expires_at: Option<UnixMillis>| expires_at.is_some_and(|time| time <= self.horizon);
        match record {
            // A newer record has replaced the put: it is dead. An expired one counts as a tombstone.
            Record::Put { expires_at, .. } if newest != Some(sequence) => {
                live.dropped += u64::from(has_expired(expires_at));
            }
            // The newest record of its key has expired for every view: it is a tombstone now.
            Record::Put { expires_at, .. } if has_expired(expires_at) => {
                self.has_expired_records = true;
                self.keep_or_drop(parts, Step::GuardExpiredPut, key, sequence, live);
            }
            // The newest record of its key: it is copied as it is.
            Record::Put { .. } => {
                live.frames.push(Frame { kind: frame.kind, payload: [frame.payload, &[], &[]] });
            }
            // Any put of the key in the keydir is newer, and hides the same older puts.
            Record::Delete { .. } if newest.is_some() => live.dropped += 1,
            // The key is absent.
            Record::Delete { .. } => {
                self.keep_or_drop(parts, Step::GuardTombstone, key, sequence, live);
            }
        }
    }

    /// Adds a tombstone of `key` by write `sequence` to `live` if an older put may be outside the merge; else drops it.
    fn keep_or_drop<'f>(
        &self,
        parts: &Components,
        guard: Step,
        key: &'f [u8],
        sequence: u64,
        live: &mut LiveFrames<'f>,
    ) {
        match parts.store.steps.run(guard, || self.guard.blocker(key, sequence)) {
            Some(blocker) => {
                let len = Writer::batch_len(std::iter::once(key.len()));
                live.blocked.push((blocker, len));
                live.frames.push(RecordWriter::tombstone(key));
            }
            None => live.dropped += 1,
        }
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
