//! The append-only log of the house: a chain of segment files of checksummed frames.
//!
//! A Bitcask data file and the write-ahead log of an LSM are both segments of this log: one framing, one group commit,
//! one rule for torn tails.
//!
//! # Format 1 (little-endian)
//!
//! A segment starts with a header of 64 bytes:
//!
//! | offset | width | field |
//! |---|---|---|
//! | 0 | 8 | magic `KVSEGM01` |
//! | 8 | 16 | store id, random, the same in every file of a store |
//! | 24 | 8 | segment id, never reused |
//! | 32 | 8 | open epoch: counts the openings of the store |
//! | 40 | 8 | number of the newest manifest edit when the segment was created |
//! | 48 | 12 | zero |
//! | 60 | 4 | CRC-32 of bytes 0 to 59 |
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
//! Sums are seeded with the segment's header and the frame's offset (`frame::Salt`): a frame that was copied to
//! another place, another segment, another store or left over from another opening fails.
//!
//! # Torn tail or damage
//!
//! Appends reach the disk in any order until a sync. After a crash the frames up to the first bad one are kept, in
//! whole batches, and the rest is cut: it was never acknowledged as durable. But a bad frame may also be damage to data
//! that *was* durable, and cutting there would lose it silently. Each frame therefore says how far the log was durable
//! when it was written: its *undurable distance* is (own offset - durable offset) / 8, or [`UNLINKED`] as long as an
//! earlier segment was not wholly durable. If any frame after the bad one, or in a later segment, was written when the
//! log was durable past the bad one, that is damage and an error; if none was, it is a torn tail. A segment that was
//! left for its successor ends with an end mark, so one without it is torn, and its successors are cut with it: [`chain`]
//! has the rule for several segments.
//!
//! The search for such a frame sums at most 19 times the bytes behind the bad frame, whatever they are: `later_frames`
//! has the argument.
//!
//! The limit of this rule, which no rule within one log can pass: it needs a witness behind the damage. Damage to what the
//! very last sync before a crash covered, with nothing written after it, looks like a torn tail; and so does the whole end
//! of a segment that was not ended, cut off or zeroed together with every witness in it.
//!
//! Recovery never appends to an old segment.

mod batch_reader;
pub mod chain;
mod frame;
mod group_sync;
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
pub use scan::{SegmentScan, Tail, scan_segment};
pub use segment::{
    Position, SEGMENT_HEADER_LEN, Segment, SegmentFile, SegmentIdentity, SegmentLayout,
};

pub use crate::identity::StoreId;
pub use writer::{Span, Writer};
