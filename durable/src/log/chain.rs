//! The tail of a chain of segments: which of the unsealed segments are kept, and how recovery makes them durable.
//!
//! A manifest names the segments of a log in ascending order of their ids. The segments that the manifest does not name as
//! sealed are the *tail*. A crash can leave any of them torn, because a writer starts the next segment before the last one
//! is durable.
//!
//! # The rule
//!
//! 1. Read the segments of the tail in ascending order of their ids, which is the order they were written in. The numbers
//!    of batches must ascend from segment to segment too.
//! 2. The first segment without an end mark ends the log. Its whole batches are kept, and the bytes behind them are not.
//! 3. Discard every later segment: a later batch must not survive an earlier one. A discarded segment is still scanned for
//!    evidence. If it is damaged, reading fails.
//! 4. A frame or the witness of a discarded segment may show that the log was durable beyond its present end
//!    ([`SegmentScan::proves_earlier_segments_durable`]). Then the log is damaged, and reading fails.
//! 5. Discard segments without a whole batch. A segment without an end mark ends the log even if it is empty.
//!
//! # Repair
//!
//! The caller reads all segments before it changes any, so reading ([`ChainReader`]) and repair ([`ChainTail::repair`]) are
//! separate. Repair runs when the manifest is open in its new epoch:
//!
//! 1. Discard segments, the newest first. So a crash never leaves a segment that the rule discards behind an earlier one
//!    that was cut.
//! 2. Of each segment that is kept, the oldest first: cut it behind its end mark, or behind its last whole batch if it has
//!    none. Write its bytes over themselves, sync it, seal it. The torn segment gets no end mark: its entry in the manifest
//!    replaces the mark. The bytes are written again because a sync that failed before the crash may have left
//!    them in the page cache, marked as clean: then they read right, and a sync succeeds without writing them (Rebello
//!    et al., Can Applications Recover from fsync Failures?, ATC 2020).
//!
//! Each step leaves a chain from which the rule yields the same batches, so a crash during repair loses nothing.

use std::path::{Path, PathBuf};

use kv::{Error, Result};

use super::frame::FrameView;
use super::header::{SegmentHeader, SegmentIdentity};
use super::scan::{SegmentScan, Tail, scan_segment};
use crate::fs::{Fs, Mapped, read_whole};
use crate::identity::StoreId;
use crate::publish::{PublishedFile, publish_in_place};

/// A kept segment of the tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailSegment {
    /// Its identity and its format.
    pub header: SegmentHeader,
    /// How many bytes, header included, are whole batches and the end mark.
    pub len: u64,
}

/// The tail of a chain, by the rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainTail {
    /// The kept segments, oldest first.
    pub kept: Vec<TailSegment>,
    /// The ids of the discarded segments, ascending: those without a whole batch, and those behind a torn one.
    pub discarded: Vec<u64>,
    /// The newest sequence number in the kept segments; 0 without any.
    pub newest_sequence: u64,
}

/// Reads the tail of a chain, one segment after the other.
#[derive(Debug)]
pub struct ChainReader {
    store: StoreId,
    tail: ChainTail,
    /// Where the log ends, once a torn segment was read.
    torn_at: Option<(PathBuf, u64)>,
    last_id: Option<u64>,
}

/// The owner of a chain: it knows the names of the segments, and makes the edits of the manifest.
pub trait RepairChain {
    /// The path of segment `id`.
    fn path(&self, id: u64) -> PathBuf;

    /// Takes segment `id` out of the manifest, durably, and then removes its file.
    ///
    /// # Errors
    /// The repair ends with it.
    fn discard(&mut self, id: u64) -> Result<()>;

    /// Names `segment` as sealed in the manifest. Its file has exactly `bytes`, and is durable.
    ///
    /// # Errors
    /// The repair ends with it.
    fn seal(
        &mut self,
        segment: &TailSegment,
        bytes: &dyn Mapped,
        file: PublishedFile,
    ) -> Result<()>;
}

impl ChainReader {
    /// A reader before the first segment of the tail of `store`.
    pub fn new(store: StoreId) -> Self {
        Self { store, tail: ChainTail::default(), torn_at: None, last_id: None }
    }

    /// Reads `bytes`, all of segment `id`, which comes after those that were read before. Calls `visit` with each whole
    /// batch that is part of the log, in order, and returns the identity in the segment's header.
    ///
    /// # Errors
    /// `Corruption` when the segment is damaged, or proves that an earlier one is; and errors of `visit`.
    ///
    /// # Panics
    /// When ids do not ascend.
    pub fn read(
        &mut self,
        bytes: &[u8],
        id: u64,
        path: &Path,
        visit: &mut dyn FnMut(&[FrameView<'_>]) -> Result<()>,
    ) -> Result<SegmentIdentity> {
        assert!(self.last_id < Some(id), "a chain is read in the order of its segments");
        self.last_id = Some(id);
        let is_behind_tear = self.torn_at.is_some();
        let mut newest_sequence = self.tail.newest_sequence;
        let scan = scan_segment(bytes, self.store, id, path, &mut |batch| {
            // A batch behind the end of the log is ignored.
            if is_behind_tear {
                return Ok(());
            }
            if batch[0].sequence <= newest_sequence {
                let what = "numbers do not ascend from segment to segment";
                return Err(Error::corruption(path, batch[0].offset, what));
            }
            newest_sequence = batch[0].sequence;
            visit(batch)
        })?;
        self.decide(&scan, newest_sequence, path)?;
        Ok(scan.header.identity)
    }

    /// The tail, when all its segments were read.
    pub fn finish(self) -> ChainTail {
        debug_assert!(
            self.tail.kept.is_sorted_by(|a, b| a.id() < b.id()),
            "kept segments are in the order of the chain"
        );
        self.tail
    }

    /// Applies the rule to one segment.
    fn decide(&mut self, scan: &SegmentScan, newest_sequence: u64, path: &Path) -> Result<()> {
        let SegmentScan { header, len, .. } = *scan;
        debug_assert!(len >= header.format.first_frame(), "a scan begins behind the header");
        if let Some((torn, offset)) = &self.torn_at {
            // Behind the end of the log, and proof that the log was durable past that end: damage.
            if scan.proves_earlier_segments_durable {
                let what =
                    "the log ends here, but a later segment proves that it was durable beyond";
                return Err(Error::corruption(torn, *offset, what));
            }
            // Behind the end of the log, as a crash leaves it.
            self.tail.discarded.push(header.identity.id);
            return Ok(());
        }
        if scan.tail == Tail::Torn {
            self.torn_at = Some((path.into(), len));
        }
        if newest_sequence == self.tail.newest_sequence {
            // No batch: the segment was begun and never written to, or lost all of its batches.
            self.tail.discarded.push(header.identity.id);
        } else {
            self.tail.kept.push(TailSegment { header, len });
            self.tail.newest_sequence = newest_sequence;
        }
        Ok(())
    }
}

impl ChainTail {
    /// Applies the rule to the files, and makes them durable: both steps of repair, in their order.
    ///
    /// # Errors
    /// `Io`, and errors of `owner`. The next opening repairs the rest.
    pub fn repair(&self, fs: &dyn Fs, owner: &mut dyn RepairChain) -> Result<()> {
        self.discard_segments(owner)?;
        self.seal_segments(fs, owner)
    }

    /// Step 1 of repair: discards the segments that are not kept, the newest first.
    ///
    /// # Errors
    /// Those of `owner`.
    pub fn discard_segments(&self, owner: &mut dyn RepairChain) -> Result<()> {
        self.discarded.iter().rev().try_for_each(|&id| owner.discard(id))
    }

    /// Step 2 of repair: cuts, rewrites, syncs and seals the kept segments, the oldest first.
    ///
    /// # Errors
    /// `Io`, and errors of `owner`.
    pub fn seal_segments(&self, fs: &dyn Fs, owner: &mut dyn RepairChain) -> Result<()> {
        for segment in &self.kept {
            let path = owner.path(segment.id());
            let file = segment.make_durable(fs, &path)?;
            debug_assert_eq!(file.len_bytes(), segment.len, "a kept segment is cut");
            let bytes = read_whole(&*fs.open(&path)?)?;
            owner.seal(segment, &*bytes, file)?;
        }
        Ok(())
    }
}

impl TailSegment {
    /// Its number.
    pub fn id(&self) -> u64 {
        self.header.identity.id
    }

    /// Cuts the segment behind its last whole batch, writes its bytes over themselves, and syncs it.
    fn make_durable(&self, fs: &dyn Fs, path: &Path) -> Result<PublishedFile> {
        let file = fs.open_writable(path)?;
        file.set_len(self.len)?;
        file.read_in_pieces(&mut |offset, piece| file.write_at(offset, piece))?;
        publish_in_place(fs, &*file)
    }
}
