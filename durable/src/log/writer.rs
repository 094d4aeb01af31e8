//! The end of the log: where batches are appended. Owned by the engine's commit section, one thread at a time.

use std::sync::Arc;

use kv::Result;

use super::frame::{self, DISTANCE_UNKNOWN, FRAME_ALIGN, Frame, KIND_END, Place, frame_len};
use super::group_sync::GroupSync;
use super::segment::{AppendFailure, Position, Segment};

/// Where a batch lies: one after the other, its frames fill `len` bytes from `offset` of `segment`.
#[derive(Clone, Debug)]
pub struct Span {
    /// The segment.
    pub segment: Arc<Segment>,
    /// Where the first frame starts.
    pub offset: u64,
    /// How many bytes the frames take.
    pub len: u64,
}

impl Span {
    /// The log position right after the batch.
    #[inline]
    pub fn end(&self) -> Position {
        Position { segment: self.segment.id(), offset: self.offset + self.len }
    }
}

/// How much memory is kept for the next batch; after a huge one the rest is freed.
const KEPT_BUFFER: usize = 1 << 20;

/// Appends batches to the active segment. A failed append poisons the log, unless it was the lack of a resource.
#[derive(Debug)]
pub struct Writer {
    sync: Arc<GroupSync>,
    active: Option<Arc<Segment>>,
    position: Position,
    buffer: Vec<u8>,
}

impl Writer {
    /// A writer without a segment, whose appends `sync` makes durable.
    pub fn new(sync: Arc<GroupSync>) -> Self {
        Self { sync, active: None, position: Position::default(), buffer: Vec::new() }
    }

    /// The active segment.
    #[inline]
    pub fn active(&self) -> Option<&Arc<Segment>> {
        self.active.as_ref()
    }

    /// Everything appended so far, also when there is no active segment.
    #[inline]
    pub fn position(&self) -> Position {
        self.position
    }

    /// How many bytes the frames of a batch take, given the lengths of their payloads.
    pub fn batch_len(payload_lens: impl Iterator<Item = usize>) -> u64 {
        payload_lens.map(|len| frame_len(len) as u64).sum()
    }

    /// How large a segment must be to take a batch of `batch_len` bytes and its end mark.
    pub fn capacity_for(batch_len: u64) -> u64 {
        super::format::SEGMENT_HEADER_LEN + batch_len + frame_len(0) as u64
    }

    /// Whether the active segment has room for a batch of `batch_len` bytes.
    #[inline]
    pub fn has_room(&self, batch_len: u64) -> bool {
        self.active.as_ref().is_some_and(|active| active.has_room(batch_len + frame_len(0) as u64))
    }

    /// Owns the space for a batch of `batch_len` bytes, which must fit. So the append of that batch does not fail for want of
    /// space, except on file systems where reserved space can fail.
    ///
    /// # Errors
    /// `Io`, with `StorageFull` when there is no space: nothing has changed. `Poisoned`.
    ///
    /// # Panics
    /// As [`Writer::append`].
    pub fn reserve(&self, batch_len: u64) -> Result<()> {
        self.sync.check()?;
        self.active.as_ref().expect("a segment to append to").reserve(batch_len)
    }

    /// Appends a batch, which must not be empty and must fit.
    ///
    /// # Errors
    /// `Io`: none of the batch is in the log, or the log is poisoned; [`GroupSync::check`] tells. A lack of resources
    /// ([`Error::is_out_of_resources`](kv::Error::is_out_of_resources)) poisons the log only if the batch cannot be taken
    /// back. Any other failure to write the batch poisons it. A failure to allocate space, of any cause, does not: nothing
    /// was written, and a disk that has failed shows it in the next append or sync. `Poisoned`: an earlier call poisoned the
    /// log.
    ///
    /// # Panics
    /// When there is no room: [`Writer::has_room`] tells; [`Writer::end`] and [`Writer::begin`] make some.
    #[expect(single_use_lifetimes, reason = "an anonymous lifetime is not stable here")]
    pub fn append<'p>(
        &mut self,
        sequence: u64,
        frames: impl ExactSizeIterator<Item = Frame<'p>>,
    ) -> Result<Span> {
        self.sync.check()?;
        let segment = Arc::clone(self.active.as_ref().expect("a segment to append to"));
        let offset = segment.end();
        let undurable = self.undurable_distance(&segment, offset);
        let count = frames.len();
        self.buffer.clear();
        for (at, frame) in frames.enumerate() {
            let ahead = self.buffer.len() as u64;
            let place = Place {
                salt: segment.salt(),
                offset: offset + ahead,
                sequence,
                undurable: farther(undurable, ahead),
                first: at == 0,
                last: at + 1 == count,
            };
            frame::encode(&frame, place, &mut self.buffer);
        }
        segment.reserve(self.buffer.len() as u64)?;
        segment.append(&self.buffer).map_err(|failure| match failure {
            AppendFailure::Undone(error) => error,
            AppendFailure::Unknown(error) => self.sync.poison(error),
        })?;
        let span = Span { segment, offset, len: self.buffer.len() as u64 };
        self.position = span.end();
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BUFFER);
        Ok(span)
    }

    /// Ends the active segment with an end mark, and has none from then on. Returns it; `None`: there was none.
    ///
    /// # Errors
    /// As [`Writer::append`]; the segment is still active then.
    #[inline]
    pub fn end(&mut self) -> Result<Option<Arc<Segment>>> {
        if self.active.is_some() {
            self.append(0, std::iter::once(Frame { kind: KIND_END, payload: [&[]; 3] }))?;
        }
        Ok(self.active.take())
    }

    /// Makes `next` the active segment. The manifest must name it as the successor of the last one: a segment that was
    /// begun and is left empty looks like the end of the log.
    ///
    /// # Panics
    /// When the active segment was not ended.
    pub fn begin(&mut self, next: Segment) -> Arc<Segment> {
        assert!(self.active.is_none(), "the active segment is ended first");
        let next = Arc::new(next);
        self.sync.push_segment(Arc::clone(&next));
        self.active = Some(Arc::clone(&next));
        next
    }

    #[inline]
    fn undurable_distance(&self, segment: &Segment, offset: u64) -> u32 {
        if !self.sync.earlier_segments_are_durable(segment.id()) {
            return DISTANCE_UNKNOWN;
        }
        let distance = (offset - segment.durable()) / FRAME_ALIGN as u64;
        u32::try_from(distance).unwrap_or(DISTANCE_UNKNOWN)
    }
}

/// An undurable distance, seen from `ahead` bytes later.
#[inline]
fn farther(undurable: u32, ahead: u64) -> u32 {
    undurable.saturating_add((ahead / FRAME_ALIGN as u64) as u32)
}
