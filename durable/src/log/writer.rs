//! The end of the log: where batches are appended. Owned by the engine's commit section, one thread at a time.

use std::sync::Arc;

use kv::Result;

use super::frame::{self, FRAME_ALIGN, Frame, KIND_END, Place, UNLINKED, frame_len};
use super::group_sync::GroupSync;
use super::segment::{Position, Segment};

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
    pub fn end(&self) -> Position {
        Position { segment: self.segment.id(), offset: self.offset + self.len }
    }
}

/// Appends batches to the active segment. Every failure poisons the log.
#[derive(Debug)]
pub struct Writer {
    sync: Arc<GroupSync>,
    active: Option<Arc<Segment>>,
    buffer: Vec<u8>,
}

impl Writer {
    /// A writer without a segment, whose appends `sync` makes durable.
    pub fn new(sync: Arc<GroupSync>) -> Self {
        Self { sync, active: None, buffer: Vec::new() }
    }

    /// The active segment.
    pub fn active(&self) -> Option<&Arc<Segment>> {
        self.active.as_ref()
    }

    /// Everything appended so far.
    pub fn position(&self) -> Position {
        self.active.as_ref().map_or_else(Position::default, |active| Position {
            segment: active.id(),
            offset: active.end(),
        })
    }

    /// How many bytes the frames of a batch take, given the lengths of their payloads.
    pub fn batch_len(payload_lens: impl Iterator<Item = usize>) -> u64 {
        payload_lens.map(|len| frame_len(len) as u64).sum()
    }

    /// How large a segment must be to take a batch of `batch_len` bytes and its end mark.
    pub fn capacity_for(batch_len: u64) -> u64 {
        super::segment::SEGMENT_HEADER_LEN + batch_len + frame_len(0) as u64
    }

    /// Whether the active segment has room for a batch of `batch_len` bytes.
    pub fn has_room(&self, batch_len: u64) -> bool {
        self.active.as_ref().is_some_and(|active| {
            active.end() + batch_len + frame_len(0) as u64 <= active.capacity()
        })
    }

    /// Appends a batch, which must not be empty and must fit.
    ///
    /// # Errors
    /// `Io` with `StorageFull`: nothing was written. Any other `Io`: the log is poisoned. `Poisoned`: it was before.
    ///
    /// # Panics
    /// When there is no room: [`Writer::has_room`] tells, and [`Writer::rotate`] makes some.
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
        let appended = segment.append(&self.buffer);
        appended.map_err(|error| self.sync.poison(error))?;
        Ok(Span { segment, offset, len: self.buffer.len() as u64 })
    }

    /// Ends the active segment, if there is one, and goes on in `next`. Returns the one that was ended.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn rotate(&mut self, next: Segment) -> Result<Option<Arc<Segment>>> {
        let ended = self.end()?;
        let next = Arc::new(next);
        self.sync.follow(Arc::clone(&next));
        self.active = Some(next);
        Ok(ended)
    }

    /// Ends the active segment with an end mark and has none from then on. Returns it.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn end(&mut self) -> Result<Option<Arc<Segment>>> {
        if self.active.is_some() {
            self.append(0, std::iter::once(Frame { kind: KIND_END, payload: [&[]; 3] }))?;
        }
        Ok(self.active.take())
    }

    fn undurable_distance(&self, segment: &Segment, offset: u64) -> u32 {
        if !self.sync.is_linked(segment.id()) {
            return UNLINKED;
        }
        let distance = (offset - segment.durable()) / FRAME_ALIGN as u64;
        u32::try_from(distance).unwrap_or(UNLINKED)
    }
}

/// An undurable distance, seen from `ahead` bytes later.
fn farther(undurable: u32, ahead: u64) -> u32 {
    undurable.saturating_add((ahead / FRAME_ALIGN as u64) as u32)
}
