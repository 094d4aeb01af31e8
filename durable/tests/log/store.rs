//! The smallest user of the log: numbered batches of numbered frames, in segments of half a kilobyte.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::log::chain::{ChainReader, ChainTail};
use durable::log::{
    Frame, FrameView, GroupSync, Segment, SegmentIdentity, SegmentLayout, StoreId, Writer,
};
use durable::{Fs, SimFs};
use kv::Result;

pub(crate) const STORE: StoreId = StoreId([9; 16]);

pub(crate) struct Log {
    pub(crate) disk: SimFs,
    pub(crate) sync: Arc<GroupSync>,
    pub(crate) writer: Writer,
    /// For each segment, how many operations the disk had seen when it was there: what a manifest knows.
    pub(crate) created: Vec<usize>,
    batches: u64,
    /// Of the segments that are begun from now on.
    pub(crate) layout: SegmentLayout,
    /// The least capacity of a segment.
    capacity: u64,
}

pub(crate) fn path(segment: u64) -> PathBuf {
    PathBuf::from(format!("log/{segment}"))
}

impl Log {
    pub(crate) fn new() -> Self {
        Self::with(SegmentLayout::Plain, 512)
    }

    pub(crate) fn with(layout: SegmentLayout, capacity: u64) -> Self {
        let disk = SimFs::new();
        disk.create_dir(Path::new("log")).unwrap();
        let sync = Arc::new(GroupSync::new());
        let writer = Writer::new(Arc::clone(&sync));
        Self { disk, sync, writer, created: Vec::new(), batches: 0, layout, capacity }
    }

    /// Appends batch number `batches + 1`, of `frames` frames of `len` bytes.
    pub(crate) fn append(&mut self, frames: usize, len: usize) -> Result<u64> {
        self.batches += 1;
        let needed = Writer::batch_len((0..frames).map(|_| len));
        if !self.writer.has_room(needed) {
            let id = self.created.len() as u64;
            let capacity = Writer::capacity_for(needed).max(self.capacity);
            let (path, layout) = (path(id), self.layout);
            let file = Segment::create_file(&self.disk, &path, capacity, layout, identity(id))?;
            let next = Segment::begin(&self.disk, file)?;
            self.created.push(self.disk.ops());
            self.writer.end()?;
            self.writer.begin(next);
        }
        let payload = vec![self.batches as u8; len];
        let frame = Frame { kind: 1, payload: [&payload, &[], &[]] };
        self.writer.append(self.batches, (0..frames).map(|_| frame))?;
        Ok(self.batches)
    }

    pub(crate) fn sync(&self) {
        self.sync.sync_to(self.writer.position()).unwrap();
    }
}

/// The numbers of the batches found in the first `segments` on `disk`, each of which has been checked to be whole.
pub(crate) fn recover(disk: &SimFs, segments: usize) -> Result<Vec<u64>> {
    let mut batches = Vec::new();
    read_tail(disk, 0..segments as u64, &mut batches)?;
    Ok(batches)
}

/// Reads `segments` as the tail of a chain, and adds the numbers of their batches to `batches`.
pub(crate) fn read_tail(
    disk: &SimFs,
    segments: impl IntoIterator<Item = u64>,
    batches: &mut Vec<u64>,
) -> Result<ChainTail> {
    let mut chain = ChainReader::new(STORE);
    for segment in segments {
        let path = path(segment);
        let bytes = disk.contents(&path).unwrap();
        let identity = chain.read(&bytes, segment, &path, &mut |batch| {
            batches.push(number_of(batch));
            Ok(())
        })?;
        assert_eq!(identity, self::identity(segment));
    }
    Ok(chain.finish())
}

/// The number of a batch, all of whose frames say the same.
pub(crate) fn number_of(batch: &[FrameView<'_>]) -> u64 {
    assert!(batch.first().unwrap().is_first() && batch.last().unwrap().is_last());
    for frame in batch {
        assert!(frame.payload.iter().all(|&byte| byte == frame.sequence as u8));
    }
    batch[0].sequence
}

pub(crate) fn identity(id: u64) -> SegmentIdentity {
    SegmentIdentity { store: STORE, id, epoch: 1, edit_number: 1 }
}
