//! The manifest's entry for a data file that no longer changes.
//!
//! The fields in their order: length, varint; CRC-32, `u32`; open epoch, edit number of the header, records, tombstones,
//! oldest and newest sequence number, varints; one byte that says whether there is a hint, and if so its length, varint,
//! and CRC-32, `u32`. From format 2 on also: bytes of tombstones, expiring records, varints; and if there are such records,
//! their bytes, and the earliest and the latest time, varints. From format 4 on also: the number of the segment's format, one
//! byte. Format 3 has the offset of the first record in its place, varint.

use durable::coding::{Reader, put_u32, put_varint};
use durable::log::{FrameView, SegmentFormat, SegmentHeader, SegmentIdentity, StoreId};
use durable::publish::PublishedFile;
use kv::{Result, UnixMillis};
use serde::Serialize;

use crate::files::HINT;
use crate::hint_file::Source;
use crate::record::{Record, SEQUENCE_LIMIT};

/// The keydir addresses records in units of 8 bytes with 32 bits.
pub(super) const MAX_LEN: u64 = 8 << 32;

/// A data file that no longer changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Sealed {
    pub(crate) len: u64,
    pub(crate) crc: u32,
    pub(crate) epoch: u64,
    pub(crate) edit_number: u64,
    pub(crate) records: u64,
    pub(crate) tombstones: u64,
    /// 0 where there are no records.
    pub(crate) oldest: u64,
    pub(crate) newest: u64,
    pub(crate) hint: Option<Hint>,
    /// Bytes of the tombstones, frames included.
    pub(crate) tombstone_bytes: u64,
    /// The puts that expire.
    pub(crate) expiring: Expiring,
    /// The format of the segment: where its first record starts, and what the sums of its records are seeded with.
    pub(crate) format: SegmentFormat,
}

/// The hint file of a data file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Hint {
    pub(crate) len: u64,
    pub(crate) crc: u32,
}

/// The expiring puts of a data file. All zero where there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Expiring {
    pub(crate) records: u64,
    /// Frames included.
    pub(crate) bytes: u64,
    /// When the first of them expires.
    pub(crate) earliest: u64,
    /// When all of them have.
    pub(crate) latest: u64,
}

impl Expiring {
    fn count(&mut self, bytes: u64, expires_at: UnixMillis) {
        self.earliest =
            if self.records == 0 { expires_at.0 } else { self.earliest.min(expires_at.0) };
        self.latest = self.latest.max(expires_at.0);
        self.records += 1;
        self.bytes += bytes;
        debug_assert!(self.earliest <= self.latest, "the first expires before the last");
    }

    /// When the first of them expires. `None`: there are none.
    pub(crate) fn first(&self) -> Option<UnixMillis> {
        (self.records > 0).then_some(UnixMillis(self.earliest))
    }

    /// About how many of the bytes have expired at `now`, as if they did so evenly from the first to the last.
    pub(crate) fn expired_bytes(&self, now: UnixMillis) -> u64 {
        if now.0 >= self.latest {
            return self.bytes;
        }
        debug_assert!(self.earliest <= self.latest, "a decoded entry was checked");
        let (passed, all) = (now.0.saturating_sub(self.earliest), self.latest - self.earliest);
        debug_assert!(passed <= all, "not all have expired");
        (u128::from(self.bytes) * u128::from(passed) / u128::from(all.max(1))) as u64
    }
}

impl Sealed {
    /// A sealed file with that header, without records so far.
    pub(crate) fn new(header: SegmentHeader) -> Self {
        let SegmentHeader { identity: SegmentIdentity { epoch, edit_number, .. }, format } = header;
        Self {
            len: 0,
            crc: 0,
            epoch,
            edit_number,
            records: 0,
            tombstones: 0,
            oldest: 0,
            newest: 0,
            hint: None,
            tombstone_bytes: 0,
            expiring: Expiring::default(),
            format,
        }
    }

    /// The same with its hint file, if it has one, which must be that of data file `id`.
    pub(super) fn with_hint(self, id: u64, hint: Option<(PublishedFile, Hint)>) -> Self {
        let names_id = |(file, _): &(PublishedFile, Hint)| file.number(HINT) == Some(id);
        assert!(hint.as_ref().is_none_or(names_id), "the hint belongs to the data file");
        let is_whole = |(file, hint): &(PublishedFile, Hint)| file.len_bytes() == hint.len;
        assert!(hint.as_ref().is_none_or(is_whole), "the proof is of the whole hint");
        Self { hint: hint.map(|(_, hint)| hint), ..self }
    }

    /// The header of data file `id` of `store`, which this describes.
    pub(crate) fn header(&self, store: StoreId, id: u64) -> SegmentHeader {
        let &Self { epoch, edit_number, format, .. } = self;
        SegmentHeader { identity: SegmentIdentity { store, id, epoch, edit_number }, format }
    }

    /// The source that a hint file for it must name.
    pub(crate) fn source(&self, store: StoreId, id: u64) -> Source {
        let first_record = self.format.first_frame();
        Source { store, id, len: self.len, crc: self.crc, first_record }
    }

    /// Counts the record in `frame`. Records come in the order of their numbers.
    pub(crate) fn count(&mut self, frame: &FrameView<'_>, record: &Record<'_>) {
        debug_assert!(frame.sequence >= self.newest, "records come in order");
        if self.records == 0 {
            self.oldest = frame.sequence;
        }
        self.newest = frame.sequence;
        self.records += 1;
        match record {
            Record::Delete { .. } => {
                self.tombstones += 1;
                self.tombstone_bytes += frame.len();
            }
            Record::Put { expires_at: Some(time), .. } => self.expiring.count(frame.len(), *time),
            Record::Put { expires_at: None, .. } => {}
        }
        debug_assert!(self.tombstones + self.expiring.records <= self.records);
        debug_assert!(0 < self.oldest && self.oldest <= self.newest, "numbers start at 1");
    }

    /// Whether a put in the file has expired at `now`.
    pub(crate) fn is_expired_in_part(&self, now: UnixMillis) -> bool {
        self.expiring.records > 0 && self.expiring.earliest <= now.0
    }

    /// Whether every put in the file has expired at `now`, and there is one.
    pub(crate) fn is_expired(&self, now: UnixMillis) -> bool {
        let puts = self.records - self.tombstones.min(self.records);
        puts > 0 && self.expiring.records == puts && self.expiring.latest <= now.0
    }

    /// Why the entry contradicts itself, if it does.
    fn contradiction(&self) -> Option<&'static str> {
        let Expiring { records, bytes, earliest, latest } = self.expiring;
        match self {
            Self { len, .. } if *len > MAX_LEN => Some("a data file longer than any"),
            Self { newest, .. } if *newest >= SEQUENCE_LIMIT => {
                Some("a write that no store reaches")
            }
            Self { oldest, newest, .. } if oldest > newest => Some("the oldest write is newer"),
            Self { tombstones, .. } if *tombstones > self.records => {
                Some("more tombstones than records")
            }
            _ if records > self.records - self.tombstones => Some("more expiring puts than puts"),
            _ if self.tombstone_bytes.saturating_add(bytes) > self.len => {
                Some("more bytes of tombstones and expiring puts than of the file")
            }
            _ if earliest > latest => Some("the last put expires before the first"),
            _ => None,
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        debug_assert_eq!(self.contradiction(), None, "{self:?}");
        self.encode_unchecked(out);
    }

    pub(super) fn encode_unchecked(&self, out: &mut Vec<u8>) {
        put_varint(out, self.len);
        put_u32(out, self.crc);
        let counts = [self.records, self.tombstones, self.oldest, self.newest];
        for field in [self.epoch, self.edit_number].into_iter().chain(counts) {
            put_varint(out, field);
        }
        out.push(u8::from(self.hint.is_some()));
        if let Some(hint) = self.hint {
            put_varint(out, hint.len);
            put_u32(out, hint.crc);
        }
        put_varint(out, self.tombstone_bytes);
        let Expiring { records, bytes, earliest, latest } = self.expiring;
        put_varint(out, records);
        if records > 0 {
            for field in [bytes, earliest, latest] {
                put_varint(out, field);
            }
        }
        out.push(self.format.number());
    }

    pub(super) fn decode(format: u16, reader: &mut Reader<'_>) -> Result<Self> {
        let mut sealed = Self {
            len: reader.varint()?,
            crc: reader.u32()?,
            epoch: reader.varint()?,
            edit_number: reader.varint()?,
            records: reader.varint()?,
            tombstones: reader.varint()?,
            oldest: reader.varint()?,
            newest: reader.varint()?,
            hint: None,
            tombstone_bytes: 0,
            expiring: Expiring::default(),
            format: SegmentFormat::V1,
        };
        if flag(reader)? {
            sealed.hint = Some(Hint { len: reader.varint()?, crc: reader.u32()? });
        }
        if format > 1 {
            sealed.tombstone_bytes = reader.varint()?;
            sealed.expiring.records = reader.varint()?;
        }
        if sealed.expiring.records > 0 {
            let (bytes, earliest) = (reader.varint()?, reader.varint()?);
            let latest = reader.varint()?;
            sealed.expiring = Expiring { bytes, earliest, latest, ..sealed.expiring };
        }
        sealed.format = decode_format(format, reader)?;
        sealed.contradiction().map_or(Ok(sealed), |what| Err(reader.corruption(what)))
    }
}

/// The format of a segment, from a state or an edit of `format`.
fn decode_format(format: u16, reader: &mut Reader<'_>) -> Result<SegmentFormat> {
    let found = match format {
        // All data files were plain.
        0..=2 => Some(SegmentFormat::V1),
        // The first record said whether there is a witness; every segment had the common salt.
        3 => {
            let first_record = reader.varint()?;
            let is_there = |format: &SegmentFormat| format.first_frame() == first_record;
            [SegmentFormat::V1, SegmentFormat::V2].into_iter().find(is_there)
        }
        _ => SegmentFormat::from_number(reader.u8()?),
    };
    found.ok_or_else(|| reader.corruption("a segment of a format that no store has"))
}

pub(super) fn flag(reader: &mut Reader<'_>) -> Result<bool> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(reader.corruption(format!("a flag of {other}"))),
    }
}
