//! The append-only log of the workspace: a chain of segment files of checksummed frames.
//!
//! A Bitcask data file and the write-ahead log of an LSM are both segments of this log: one framing, one group commit,
//! one rule for torn tails.
//!
//! # Formats 1 to 4 (little-endian)
//!
//! A segment starts with a header of 64 bytes:
//!
//! | offset | width | field |
//! |---|---|---|
//! | 0 | 8 | magic `KVSEGM01` to `KVSEGM04`, which names the format |
//! | 8 | 16 | store id, random, the same in every file of a store |
//! | 24 | 8 | segment id, never reused |
//! | 32 | 8 | open epoch: counts the openings of the store |
//! | 40 | 8 | number of the newest manifest edit when the segment was created |
//! | 48 | 12 | zero |
//! | 60 | 4 | CRC-32 of bytes 0 to 59 |
//!
//! The format says where the frames start, and which seed their sums have:
//!
//! | format | layout | salt | |
//! |---|---|---|---|
//! | 1 | plain | the same for all segments | only read |
//! | 2 | witnessed | the same for all segments | only read |
//! | 3 | plain | CRC-32 of bytes 0 to 59 of the header | written for segments that are published when they are whole |
//! | 4 | witnessed | CRC-32 of bytes 0 to 59 of the header | written for logs |
//!
//! In the plain layout ([`SegmentLayout::Plain`]) the first frame is at 64. In the witnessed layout
//! ([`SegmentLayout::Witnessed`]) the first frame is at 2048. Before it lie the slots of a witness at 512, 1024 and 1536, 16
//! bytes each, with zeros between them. `witness` has their table.
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
//! | 22 | 2 | check: the low half of the seeded CRC-32 of bytes 4 to 21, so the length can be checked before the payload is read |
//! | 24 | | payload |
//!
//! Sums are seeded with the salt of the segment and the offset of the frame (`frame::Salt`). So a frame fails if it was
//! copied to another offset. From format 3 on it also fails in another store, segment or opening: the header covers store
//! id, segment id and open epoch.
//!
//! **Known fault of formats 1 and 2.** Their salt is the CRC-32 of the whole header. The header ends with its own CRC-32,
//! and the CRC-32 of such bytes is a constant. So a whole frame that was copied to the same offset of another segment
//! passes its sum. The header itself still fails in a file of another segment, store or opening. A segment keeps its
//! format until a merge, or another operation of its owner, rewrites it.
//!
//! # Torn tail or damage
//!
//! Appends reach the disk in any order until a sync. After a crash, recovery keeps the whole batches before the first bad
//! frame. It cuts the rest, which was never acknowledged as durable. But a bad frame may also be damage to data that *was*
//! durable, and a cut there would lose it silently. Two kinds of evidence tell the cases apart:
//!
//! - **Later frames.** Each frame says how far the log was durable when it was written. Its *undurable distance* is
//!   (own offset - durable offset) / 8, or [`DISTANCE_UNKNOWN`] as long as an earlier segment was not wholly durable. A frame
//!   behind the bad one, or in a later segment, may say that the log was durable beyond the whole batches. Then the bad
//!   frame is damage.
//! - **The witness.** A witnessed segment has three slots in front of its frames. Each round of syncs leaves a claim
//!   there of how far the segment was durable, and whether all earlier segments were. The bad frame is damage if
//!   a claim reaches past the whole batches, or if a claim of a later segment includes its segment.
//!
//! Without such evidence the tail is torn. A segment that has a successor ends with an end mark. So a segment without an
//! end mark is torn, and its successors are discarded with it: [`chain`] has the rule for several segments.
//!
//! No evidence is needed where no crash can be the cause: frames with valid sums whose numbers do not ascend, an end mark
//! inside a batch, or a witness without a readable slot. These are damage. A batch whose last frame is missing is cut
//! like any other torn tail.
//!
//! The search for later frames sums at most 19 times the bytes behind the bad frame, whatever they are: `later_frames`
//! has the argument.
//!
//! # The limit
//!
//! The witness cannot know of a round whose claim was not written back to the disk. The exact limit, for segments of
//! the witnessed layout, of damage to the end of the log that looks like a torn tail:
//! - after a power cut, the last round of syncs at most, and only if nothing behind it was written and synced;
//! - after the death of the process, nothing that was synced;
//! - an older version of the whole file that took its place hides all later rounds, in both cases.
//!
//! A plain segment that was not ended has no witness: damage to all of its end hides every round in it.
//!
//! Recovery never appends to an old segment.

mod batch_reader;
pub mod chain;
mod entered_section;
mod format;
mod frame;
mod group_sync;
mod header;
mod later_frames;
mod prepared_segment;
pub mod publication;
mod salvage;
mod scan;
mod segment;
mod segment_file;
mod witness;
mod write_counts;
mod writer;

pub use batch_reader::BatchReader;
pub use entered_section::EnteredSection;
pub use format::{SEGMENT_HEADER_LEN, SegmentFormat, SegmentLayout};
pub use frame::{
    DISTANCE_UNKNOWN, FRAME_ALIGN, FRAME_HEADER_LEN, Frame, FrameView, KIND_END, Salt, frame_len,
};
pub use group_sync::GroupSync;
pub use header::{SegmentHeader, SegmentIdentity};
pub use prepared_segment::PreparedSegment;
pub use salvage::{SalvagedSegment, salvage_segment};
pub use scan::{SegmentScan, Tail, scan_segment};
pub use segment::{Position, Segment};
pub use segment_file::SegmentFile;

pub use crate::identity::StoreId;
pub use write_counts::WriteCounts;
pub use writer::{Span, Writer};
