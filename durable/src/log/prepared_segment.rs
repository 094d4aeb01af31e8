//! The segment after the active one, begun ahead of need.

use kv::Result;

use super::segment::Segment;
use super::writer::Writer;
use crate::sync::{Mutex, Rank};

/// The segment after the active one.
///
/// Beginning a segment takes several syncs. So the owner of the log has a job begin the next one while the active one has
/// room left ([`PreparedSegment::prepare`]). There is at most one prepared segment, because a thread that begins one holds
/// the lock.
#[derive(Debug)]
pub struct PreparedSegment {
    /// Held while a segment is begun.
    next: Mutex<Next>,
}

#[derive(Debug, Default)]
struct Next {
    /// It was begun, and has no frame.
    segment: Option<Segment>,
    /// The store is being closed: no segment is prepared any more.
    closed: bool,
}

impl PreparedSegment {
    /// None is prepared. The lock has the place `rank` in the lock order.
    pub fn new(rank: Rank) -> Self {
        Self { next: Mutex::ranked(rank, Next::default()) }
    }

    /// The prepared segment if it has room for a batch of `batch_len` bytes. Otherwise the one that `begin` makes, given the
    /// capacity that the batch needs. Before that, `discard` takes a prepared segment that is too small back from the
    /// manifest: an empty segment would end the log before the segments after it. If that fails, the segment is kept.
    ///
    /// # Errors
    /// Those of `discard` and `begin`.
    ///
    /// # Panics
    /// When the segment that was begun is too small.
    pub fn take(
        &self,
        batch_len: u64,
        discard: impl FnOnce(&Segment) -> Result<()>,
        begin: impl FnOnce(u64) -> Result<Segment>,
    ) -> Result<Segment> {
        let needed = Writer::capacity_for(batch_len);
        let mut next = self.next.lock();
        match next.segment.take() {
            Some(segment) if needed <= segment.capacity() => return Ok(segment),
            Some(too_small) => {
                assert!(too_small.is_empty(), "a prepared segment has no frame");
                if let Err(error) = discard(&too_small) {
                    next.segment = Some(too_small);
                    return Err(error);
                }
            }
            None => {}
        }
        debug_assert!(next.segment.is_none(), "it was taken or discarded");
        let begun = begin(needed)?;
        assert!(needed <= begun.capacity(), "the segment was begun for the batch");
        Ok(begun)
    }

    /// Has `begin` make the next segment, if there is none and the owner has not closed this. A failure loses nothing: the
    /// writer that needs the segment begins it again, and reports.
    pub fn prepare(&self, begin: impl FnOnce() -> Result<Segment>) {
        let mut next = self.next.lock();
        if next.segment.is_none() && !next.closed {
            next.segment = begin().ok();
        }
    }

    /// Prepares no segment any more. One that is prepared already stays for the writer that needs it.
    pub fn stop(&self) {
        self.next.lock().closed = true;
    }

    /// Gives the prepared segment back, and prepares none any more.
    pub fn close(&self) -> Option<Segment> {
        let mut next = self.next.lock();
        next.closed = true;
        next.segment.take()
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::path::{Path, PathBuf};

    use super::super::{SegmentIdentity, SegmentLayout, StoreId};
    use super::*;
    use crate::{Error, Fs as _, SimFs};

    /// Begins segments on a disk of their own, with numbers that ascend.
    struct Beginner(SimFs, u64);

    impl Beginner {
        fn new() -> Self {
            let disk = SimFs::new();
            disk.create_dir(Path::new("log")).expect("the disk is empty");
            Self(disk, 0)
        }

        fn begin(&mut self, capacity: u64) -> Result<Segment> {
            self.1 += 1;
            let identity =
                SegmentIdentity { store: StoreId([1; 16]), id: self.1, epoch: 1, edit_number: 1 };
            let path = PathBuf::from(format!("log/{}", self.1));
            let layout = SegmentLayout::Witnessed;
            let file = Segment::create_file(&self.0, &path, capacity, layout, identity)?;
            Segment::begin(&self.0, file)
        }
    }

    fn prepared() -> PreparedSegment {
        PreparedSegment::new(Rank::new(Rank::ENGINE, "the prepared segment"))
    }

    fn refused() -> Error {
        Error::io("edit", "manifest", std::io::ErrorKind::StorageFull.into())
    }

    #[test]
    fn a_segment_that_was_prepared_is_taken_by_the_batch_that_fits() {
        let (next, mut beginner) = (prepared(), Beginner::new());
        next.prepare(|| beginner.begin(4096));
        next.prepare(|| panic!("there is one"));
        let taken = next.take(100, |_| panic!("it fits"), |_| panic!("there is one")).unwrap();
        assert_eq!((taken.id(), taken.capacity()), (1, 4096));
        let begun = next.take(100, |_| panic!("there is none"), |needed| beginner.begin(needed));
        assert_eq!(begun.unwrap().id(), 2);
    }

    #[test]
    fn a_segment_that_is_too_small_is_discarded_before_the_next_one_is_begun() {
        let (next, mut beginner) = (prepared(), Beginner::new());
        next.prepare(|| beginner.begin(4096));
        let failed = next.take(9_000, |_| Err(refused()), |_| panic!("it was not discarded"));
        assert!(failed.unwrap_err().is_out_of_resources());
        let mut discarded = None;
        let discard = |segment: &Segment| {
            discarded = Some(segment.id());
            Ok(())
        };
        let begun = next.take(9_000, discard, |needed| beginner.begin(needed)).unwrap();
        assert_eq!(discarded, Some(1), "it was kept after the failure");
        assert!(begun.id() == 2 && begun.capacity() >= 9_000);
    }

    #[test]
    fn a_failure_to_prepare_loses_nothing_and_after_the_close_none_is_prepared() {
        let (next, mut beginner) = (prepared(), Beginner::new());
        next.prepare(|| Err(refused()));
        next.prepare(|| beginner.begin(4096));
        assert_eq!(next.close().map(|segment| segment.id()), Some(1));
        next.prepare(|| panic!("it is closed"));
        assert!(next.close().is_none());
    }

    #[test]
    fn after_the_stop_none_is_prepared_and_the_one_that_is_there_is_taken() {
        let (next, mut beginner) = (prepared(), Beginner::new());
        next.prepare(|| beginner.begin(4096));
        next.stop();
        let taken = next.take(100, |_| panic!("it fits"), |_| panic!("there is one")).unwrap();
        assert_eq!(taken.id(), 1);
        next.prepare(|| panic!("it is stopped"));
        let begun = next.take(100, |_| panic!("there is none"), |needed| beginner.begin(needed));
        assert_eq!(begun.unwrap().id(), 2);
    }
}
