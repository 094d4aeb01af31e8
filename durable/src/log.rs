//! The append-only log of the workspace: a chain of segment files of checksummed frames.
//!
//! A Bitcask data file and the write-ahead log of an LSM are both segments of this log: one framing, one group commit,
//! one rule for torn tails.
//!
//! # Formats 1 and 2 (little-endian)
//!
//! A segment starts with a header of 64 bytes:
//!
//! | offset | width | field |
//! |---|---|---|
//! | 0 | 8 | magic `KVSEGM01` or `KVSEGM02` |
//! | 8 | 16 | store id, random, the same in every file of a store |
//! | 24 | 8 | segment id, never reused |
//! | 32 | 8 | open epoch: counts the openings of the store |
//! | 40 | 8 | number of the newest manifest edit when the segment was created |
//! | 48 | 12 | zero |
//! | 60 | 4 | CRC-32 of bytes 0 to 59 |
//!
//! In format 2 ([`SegmentLayout::Witnessed`]) the slots of a witness follow at 512, 1024 and 1536, 16 bytes each (`witness`
//! has their table), with zeros between them, and the first frame is at 2048. In format 1 ([`SegmentLayout::Plain`]) the
//! first frame is at 64. Logs are written in format 2, and segments that are published when they are whole in format 1.
//!
//! Frames follow, each on a multiple of 8 bytes, padded with zeros:
//!
//! | offset | width | field |
//! |---|---|---|
//! | 0 | 4 | sum: seeded CRC-32 of bytes 4 to the end of the payload |
//! | 4 | 4 | length of the payload |
//! | 8 | 8 | sequence number of the batch |
//! | 16 | 4 | undurable distance, see below |
//! | 20 | 1 | kind: 1 to 239 belong to the engine, 255 is the end mark |
//! | 21 | 1 | flags: 1 first of its batch, 2 last of its batch |
//! | 22 | 2 | check: the low half of the seeded CRC-32 of bytes 4 to 21, so that a length can be trusted by itself |
//! | 24 | | payload |
//!
//! Sums are seeded with the frame's offset and the CRC-32 of the segment's header, as it would be in format 1
//! (`frame::Salt`). So a frame that was copied to another offset fails.
//!
//! **Known fault of formats 1 and 2.** The header ends with its own CRC-32, and the CRC-32 of such bytes is the same number
//! for every header. So the salt does not depend on the segment: a whole frame that was copied to the same offset of another
//! segment passes its sum. The header itself still fails in a file of another segment, store or opening. A later format has
//! to seed with the header without its sum.
//!
//! # Torn tail or damage
//!
//! Appends reach the disk in any order until a sync. After a crash recovery keeps the frames up to the first bad one, in
//! whole batches, and cuts the rest, which was never acknowledged as durable. But a bad frame may also be damage to data
//! that *was* durable, and a cut there would lose it silently. Two kinds of evidence tell the cases apart:
//!
//! - **Later frames.** Each frame says how far the log was durable when it was written. Its *undurable distance* is
//!   (own offset - durable offset) / 8, or [`UNLINKED`] as long as an earlier segment was not wholly durable. If a frame
//!   behind the bad one, or in a later segment, was written when the log was durable past the bad one, that is damage.
//! - **The witness.** A segment of format 2 has three slots in front of its frames. Each round of syncs leaves a claim
//!   there of how far the segment was durable. If a claim reaches past the bad frame, that is damage.
//!
//! Without such evidence the tail is torn. A segment that was left for its successor ends with an end mark. So a segment
//! without an end mark is torn, and its successors are cut with it: [`chain`] has the rule for several segments.
//!
//! The search for later frames sums at most 19 times the bytes behind the bad frame, whatever they are: `later_frames`
//! has the argument.
//!
//! # The limit
//!
//! The witness cannot know of a round that was never followed by a write to the disk. The exact limit, for segments of
//! format 2, of damage to the end of the log that looks like a torn tail:
//! - after a power cut, the last round of syncs at most, and only if nothing behind it was written and synced;
//! - after the death of the process, nothing that was synced;
//! - an older version of the whole file that took its place hides the rounds since, in both cases.
//!
//! A segment of format 1 that was not ended has no witness: damage to all of its end hides every round in it.
//!
//! Recovery never appends to an old segment.

mod batch_reader;
pub mod chain;
mod frame;
mod group_sync;
mod header;
mod later_frames;
pub mod publication;
mod scan;
mod segment;
mod witness;
mod writer;

pub use batch_reader::BatchReader;
pub use frame::{
    FRAME_ALIGN, FRAME_HEADER_LEN, Frame, FrameView, KIND_END, Salt, UNLINKED, frame_len,
};
pub use group_sync::GroupSync;
pub use header::{SEGMENT_HEADER_LEN, SegmentIdentity, SegmentLayout};
pub use scan::{SegmentScan, Tail, scan_segment};
pub use segment::{Position, Segment, SegmentFile};

pub use crate::identity::StoreId;
pub use writer::{Span, Writer};
