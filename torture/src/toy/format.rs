//! The format of the two files. All numbers are little-endian.
//!
//! A log is frames, one after the other; the first holds all entries as they were when the log began.
//!
//! | offset | bytes | field of a frame |
//! |---|---|---|
//! | 0 | 4 | CRC-32 of the rest, seeded with store, log and offset |
//! | 4 | 4 | length of the operations |
//! | 8 | 8 | sequence number of the batch |
//! | 16 | 8 | how much of the log was durable when the frame was written |
//! | 24 | - | operations: kind (1 put, 2 delete), key length `u32`, value length `u32`, key, value |
//!
//! | offset | bytes | field of `CURRENT` |
//! |---|---|---|
//! | 0 | 4 | CRC-32 of the rest |
//! | 4 | 8 | `TOYSTORE` |
//! | 12 | 8 | store id |
//! | 20 | 8 | number of the log |
//! | 28 | 8 | length of the log when the store was closed; 0 while it is open |
//! | 36 | 4 | CRC-32 of all of the log when the store was closed |

use durable::{crc32, seeded_crc32};
use kv::{Op, SequenceNumber, WriteBatch};

use super::log::Log;

pub(super) const HEADER: usize = 24;
const MAGIC: &[u8; 8] = b"TOYSTORE";
const CURRENT_LEN: usize = 40;
const PUT: u8 = 1;
const DELETE: u8 = 2;

/// Which log of which store a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogId {
    pub(super) store: u64,
    pub(super) number: u64,
}

impl LogId {
    fn sum(self, offset: u64, rest: &[u8]) -> u32 {
        let place: Vec<u8> =
            [self.store, self.number, offset].iter().flat_map(|n| n.to_le_bytes()).collect();
        seeded_crc32(crc32(&place), rest)
    }
}

/// The frame of a batch at the end of `log`.
pub(super) fn frame(log: &Log, sequence: SequenceNumber, ops: &[Op<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for op in ops {
        body.push(if matches!(op, Op::Delete { .. }) { DELETE } else { PUT });
        body.extend((op.key().len() as u32).to_le_bytes());
        body.extend((op.value().len() as u32).to_le_bytes());
        body.extend(op.key());
        body.extend(op.value());
    }
    let mut frame = vec![0; 4];
    frame.extend((body.len() as u32).to_le_bytes());
    frame.extend(sequence.0.to_le_bytes());
    frame.extend(log.durable().to_le_bytes());
    frame.extend(body);
    let sum = log.id().sum(log.end(), &frame[4..]);
    frame[..4].copy_from_slice(&sum.to_le_bytes());
    assert!(log.durable() <= log.end(), "a log is durable up to its end at most");
    debug_assert_eq!(u64_at(&frame, 8), sequence.0, "a frame reads back");
    frame
}

/// A frame that passed its check.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) sequence: SequenceNumber,
    pub(super) durable: u64,
    pub(super) batch: WriteBatch,
    pub(super) end: usize,
}

/// The frame at `offset` of the log `id`, if there is a good one.
pub(super) fn parse(id: LogId, log: &[u8], offset: usize, checks: bool) -> Option<Frame> {
    let header = log.get(offset..offset + HEADER)?;
    let len = u32_at(header, 4) as usize;
    let end = offset.checked_add(HEADER)?.checked_add(len)?;
    let rest = log.get(offset + 4..end)?;
    if checks && id.sum(offset as u64, rest) != u32_at(header, 0) {
        return None;
    }
    assert!(end <= log.len(), "a frame ends inside of its log");
    let batch = parse_ops(&log[offset + HEADER..end])?;
    let (sequence, durable) = (SequenceNumber(u64_at(header, 8)), u64_at(header, 16));
    Some(Frame { sequence, durable, batch, end })
}

fn parse_ops(mut body: &[u8]) -> Option<WriteBatch> {
    let mut batch = WriteBatch::new();
    while !body.is_empty() {
        let header = body.get(..9)?;
        let (key_len, value_len) = (u32_at(header, 1) as usize, u32_at(header, 5) as usize);
        let key = body.get(9..9 + key_len)?;
        let value = body.get(9 + key_len..9 + key_len + value_len)?;
        match header[0] {
            PUT => batch.put(key, value),
            DELETE => batch.delete(key),
            _ => return None,
        };
        body = &body[9 + key_len + value_len..];
    }
    Some(batch)
}

/// The content of `CURRENT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Current {
    pub(super) id: LogId,
    /// Length and checksum of the log, if the store was closed.
    pub(super) closed: Option<(u64, u32)>,
}

impl Current {
    pub(super) fn encode(&self) -> Vec<u8> {
        let (len, sum) = self.closed.unwrap_or_default();
        let mut bytes = vec![0; 4];
        bytes.extend(MAGIC);
        bytes.extend(self.id.store.to_le_bytes());
        bytes.extend(self.id.number.to_le_bytes());
        bytes.extend(len.to_le_bytes());
        bytes.extend(sum.to_le_bytes());
        let sum = crc32(&bytes[4..]);
        bytes[..4].copy_from_slice(&sum.to_le_bytes());
        debug_assert_eq!(Self::parse(&bytes).as_ref(), Some(self), "CURRENT reads back");
        bytes
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let is_whole = bytes.len() == CURRENT_LEN && &bytes[4..12] == MAGIC;
        if !is_whole || crc32(&bytes[4..]) != u32_at(bytes, 0) {
            return None;
        }
        let id = LogId { store: u64_at(bytes, 12), number: u64_at(bytes, 20) };
        let len = u64_at(bytes, 28);
        Some(Self { id, closed: (len > 0).then(|| (len, u32_at(bytes, 36))) })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]))
}
