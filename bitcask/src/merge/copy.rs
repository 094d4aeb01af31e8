//! Copying what is live.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::{fmt, io};

use durable::log::{BatchReader, Frame, FrameView, Writer};
use durable::{Mapped, read_whole};
use kv::{Error, Result, UnixMillis};

use super::deletions::Outside;
use super::output::{Finished, Output};
use crate::data_file::DataFile;
use crate::engine::Inner;
use crate::keydir::Keydir;
use crate::planted::Mistake;
use crate::record::{Encoded, Record};

/// The reading side of a merge and the output it fills.
pub(super) struct Copying {
    inputs: Vec<Input>,
    /// Why an input could not be opened.
    failed: Option<Error>,
    outside: Outside,
    horizon: UnixMillis,
    output: Option<Output>,
    /// Whether that was looked at.
    has_space: bool,
    /// Whether a record has expired that the keydir names.
    pub(super) has_expired: bool,
}

struct Input {
    file: Arc<DataFile>,
    bytes: Arc<dyn Mapped>,
    reader: BatchReader,
}

/// Some batches of one input, read ahead so that their look-ups in the keydir wait for memory together.
#[derive(Default)]
struct Ahead<'s> {
    frames: Vec<FrameView<'s>>,
    /// Where each batch ends among the frames, and the reader behind it.
    ends: Vec<(usize, BatchReader)>,
}

/// Free space that a merge leaves besides what it copies and a quarter for the hints.
const MARGIN: u64 = 16 << 10;

/// What is left of a batch.
#[derive(Default)]
struct Rest<'f> {
    frames: Vec<Frame<'f>>,
    /// The deletions among them: the file each is kept for, and how many bytes it takes.
    blocked: Vec<(u64, u64)>,
    /// Deletions that are not.
    forgotten: u64,
}

impl Copying {
    /// Nothing is copied yet. An input that cannot be opened fails the first step.
    pub(super) fn new(inner: &Inner, ids: &[u64], horizon: UnixMillis) -> Self {
        let outside = Outside::of(inner, ids);
        let table = inner.files.load_full();
        let files = ids.iter().filter_map(|&id| table.with_id(id));
        let inputs: Result<Vec<Input>> = files.map(|file| Input::open(inner, file)).collect();
        let (inputs, failed) = match inputs {
            Ok(inputs) => (inputs, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        Self {
            inputs,
            failed,
            outside,
            horizon,
            output: None,
            has_space: false,
            has_expired: false,
        }
    }

    /// Whether all inputs were read and the last output was finished.
    pub(super) fn is_done(&self) -> bool {
        self.output.is_none() && self.next_input().is_none()
    }

    /// The path of an output that was not finished.
    pub(super) fn into_unfinished(self) -> Option<PathBuf> {
        self.output.map(|output| output.path())
    }

    /// Reads batches worth at least `budget` bytes, if there are so many left. Returns an output that it has finished.
    pub(super) fn step(&mut self, inner: &Inner, budget: u64) -> Result<Option<Finished>> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.check_space(inner)?;
        let end = self.bytes_left().saturating_sub(budget.max(1));
        while let Some((at, limit)) = self.next_input() {
            let input = &self.inputs[at];
            let (bytes, file) = (Arc::clone(&input.bytes), Arc::clone(&input.file));
            let ahead = Ahead::read(input.reader, bytes.bytes(), file.path(), limit)?;
            inner.keydir.warm(ahead.keys(file.path()).take(Keydir::WARMED));
            for (batch, after) in ahead.batches() {
                if let Some(finished) = self.copy_batch(inner, &file, batch)? {
                    // The batch is read again, for the next output.
                    return Ok(Some(finished));
                }
                self.inputs[at].reader = after;
                if self.bytes_left() <= end {
                    return Ok(None);
                }
            }
        }
        self.finish_output(inner)
    }

    /// Nothing is begun that the disk has no room for.
    fn check_space(&mut self, inner: &Inner) -> Result<()> {
        if std::mem::replace(&mut self.has_space, true) {
            return Ok(());
        }
        let live = |input: &Input| input.file.life.live.bytes.load(Ordering::Relaxed);
        let needed = self.inputs.iter().map(live).sum::<u64>() * 5 / 4 + MARGIN;
        let free = inner.options.env.fs.free_space(&inner.dir_path)?;
        if free < needed {
            let source = io::Error::from(io::ErrorKind::StorageFull);
            return Err(Error::io("merge into", &inner.dir_path, source));
        }
        Ok(())
    }

    fn bytes_left(&self) -> u64 {
        let left = |input: &Input| input.bytes.bytes().len() as u64 - input.reader.offset();
        self.inputs.iter().map(left).sum()
    }

    /// The input whose next batch has the lowest number, and the number up to which that is so.
    fn next_input(&self) -> Option<(usize, u64)> {
        let next = |input: &Input| input.reader.peek_sequence(input.bytes.bytes());
        let mut lowest = None;
        let mut limit = u64::MAX;
        for (at, input) in self.inputs.iter().enumerate() {
            let Some(sequence) = next(input) else { continue };
            match lowest {
                Some((_, low)) if low <= sequence => limit = limit.min(sequence),
                Some((_, low)) => (lowest, limit) = (Some((at, sequence)), low),
                None => lowest = Some((at, sequence)),
            }
        }
        lowest.map(|(at, _)| (at, limit))
    }

    /// Copies what is left of a batch of `file`. When the output has no room for it, finishes that instead.
    fn copy_batch(
        &mut self,
        inner: &Inner,
        file: &DataFile,
        batch: &[FrameView<'_>],
    ) -> Result<Option<Finished>> {
        let mut rest = Rest::default();
        for frame in batch {
            self.judge(inner, frame, Record::decode(frame, file.path())?, &mut rest);
        }
        if let Some(first) = batch.first()
            && !rest.frames.is_empty()
        {
            let len = Writer::batch_len(rest.frames.iter().map(Frame::payload_len));
            if self.output.as_ref().is_some_and(|output| !output.has_room(len)) {
                return self.finish_output(inner);
            }
            let output = self.output(inner, len)?;
            output.append(inner, first.sequence, rest.frames.into_iter())?;
            rest.blocked.into_iter().for_each(|(blocker, bytes)| output.block(blocker, bytes));
        }
        inner.counters.deletions_forgotten.fetch_add(rest.forgotten, Ordering::Relaxed);
        Ok(None)
    }

    /// The output, with room for a batch of `batch_len` bytes if it is begun here.
    fn output(&mut self, inner: &Inner, batch_len: u64) -> Result<&mut Output> {
        let usual = inner.options.data_file_bytes.min(Writer::capacity_for(self.bytes_left()));
        let capacity = usual.max(Writer::capacity_for(batch_len));
        match &mut self.output {
            Some(output) => Ok(output),
            none => Ok(none.insert(Output::begin(inner, capacity)?)),
        }
    }

    fn finish_output(&mut self, inner: &Inner) -> Result<Option<Finished>> {
        let Some(output) = self.output.take() else { return Ok(None) };
        let path = output.path();
        let finished = output.finish(inner);
        finished.map(Some).inspect_err(|_| drop(inner.options.env.fs.remove(&path)))
    }

    /// Adds to `rest` what becomes of a record.
    fn judge<'f>(
        &mut self,
        inner: &Inner,
        frame: &FrameView<'f>,
        record: Record<'f>,
        rest: &mut Rest<'f>,
    ) {
        let (key, sequence) = (record.key(), frame.sequence);
        let newest = inner.keydir.get(key).map(|version| version.sequence);
        let is_newest = match record {
            Record::Put { .. } => newest == Some(sequence),
            // A newer put of the key hides whatever the deletion does.
            Record::Delete { .. } => newest.is_none(),
        };
        let has_expired = match record {
            Record::Put { expires_at, .. } => expires_at.is_some_and(|end| end <= self.horizon),
            Record::Delete { .. } => false,
        };
        let deletes = has_expired || matches!(record, Record::Delete { .. });
        if is_newest && !deletes {
            rest.frames.push(Frame { kind: frame.kind, payload: [frame.payload, &[], &[]] });
        } else if is_newest {
            self.has_expired |= has_expired;
            let forget = has_expired && inner.options.has(Mistake::ForgetExpiredTooEarly);
            let blocker = self.outside.blocker(inner, key, sequence).filter(|_| !forget);
            if let Some(blocker) = blocker {
                let deletion = Encoded::deletion(key);
                rest.blocked.push((blocker, Writer::batch_len(std::iter::once(key.len()))));
                rest.frames.push(deletion);
                return;
            }
        }
        rest.forgotten += u64::from(deletes);
    }
}

impl<'s> Ahead<'s> {
    /// Reads from where `reader` stands, while the numbers are not above `limit`.
    fn read(mut reader: BatchReader, bytes: &'s [u8], path: &Path, limit: u64) -> Result<Self> {
        let mut ahead = Self::default();
        let mut batch = Vec::new();
        while ahead.frames.len() < Keydir::WARMED
            && reader.peek_sequence(bytes).is_some_and(|next| next <= limit)
        {
            reader.next_batch(bytes, path, &mut batch)?;
            ahead.frames.append(&mut batch);
            ahead.ends.push((ahead.frames.len(), reader));
        }
        Ok(ahead)
    }

    fn keys<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'s [u8]> + use<'a, 's> {
        let records = self.frames.iter().filter_map(|frame| Record::decode(frame, path).ok());
        records.map(|record| record.key())
    }

    /// Each batch, and where the reader stands behind it.
    fn batches(&self) -> impl Iterator<Item = (&[FrameView<'s>], BatchReader)> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(end, _)| *end));
        starts.zip(&self.ends).map(|(start, (end, after))| (&self.frames[start..*end], *after))
    }
}

impl Input {
    fn open(inner: &Inner, file: &Arc<DataFile>) -> Result<Self> {
        let bytes = read_whole(&*inner.options.env.fs.open(file.path())?)?;
        Ok(Self { file: Arc::clone(file), bytes, reader: BatchReader::new(file.salt()) })
    }
}

impl fmt::Debug for Copying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copying").field("output", &self.output).finish_non_exhaustive()
    }
}
