//! The framing of the records of a generation. The table is in the [module above](super).

use std::path::Path;

use kv::{Error, Result};

use crate::checksum::{PrefixSums, seeded_crc32};
use crate::coding::{Reader, put_prefixed, put_u32, put_u64, put_varint};

/// Bytes of a record in front of its payload.
pub(super) const RECORD_HEADER_LEN: usize = 24;

/// Records start on a multiple of this.
pub(super) const RECORD_ALIGN: usize = 8;

/// Ties the records of a generation to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Salt(u32);

impl Salt {
    /// The salt of the generation whose store id and number have this sum.
    pub(super) fn new(sum: u32) -> Self {
        Self(sum)
    }

    fn sum(self, offset: u64, summed: &[u8]) -> u32 {
        seeded_crc32(self.seed(offset), summed)
    }

    /// The seed of the sum of a record at `offset`.
    fn seed(self, offset: u64) -> u32 {
        seeded_crc32(self.0, &offset.to_le_bytes())
    }
}

/// The kind of the payload of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The whole state.
    Snapshot = 1,
    /// One edit.
    Edit = 2,
    /// Several edits, applied together.
    Edits = 3,
}

/// A record that passed its check.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) offset: u64,
    pub(super) sum: u32,
    pub(super) kind: Kind,
    pub(super) edit_number: u64,
    pub(super) payload: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record at the start of `bytes`, which lie at `offset` of the file, unless it fails its check.
    pub(super) fn decode(bytes: &'a [u8], salt: Salt, offset: u64) -> Option<Self> {
        let head = RecordHead::decode(bytes)?;
        let summed = bytes.get(4..head.len)?;
        let payload = bytes.get(RECORD_HEADER_LEN..RECORD_HEADER_LEN + head.payload_len)?;
        let RecordHead { sum, kind, edit_number, .. } = head;
        let right = salt.sum(offset, summed) == sum;
        right.then_some(Self { offset, sum, kind, edit_number, payload })
    }

    /// Where the next record starts.
    pub(super) fn end(&self) -> u64 {
        self.offset + record_len(self.payload.len()) as u64
    }

    /// A reader of each edit in the record.
    ///
    /// # Errors
    /// `Corruption` when the payload is no list of edits.
    pub(super) fn edits<'r>(&self, path: &'r Path) -> Result<Vec<Reader<'r>>>
    where
        'a: 'r,
    {
        debug_assert_ne!(self.kind, Kind::Snapshot, "a snapshot holds no edits");
        let mut reader = self.reader(path);
        if self.kind == Kind::Edit {
            return Ok(vec![reader]);
        }
        let count = reader.count(1)?;
        let edits = (0..count).map(|_| reader.prefixed_reader()).collect::<Result<Vec<_>>>()?;
        reader.finish()?;
        if edits.len() < 2 {
            return Err(self.reader(path).corruption("a list of fewer than two edits"));
        }
        Ok(edits)
    }

    /// A reader of the payload that knows its place in the file.
    pub(super) fn reader<'r>(&self, path: &'r Path) -> Reader<'r>
    where
        'a: 'r,
    {
        Reader::new(self.payload, path, self.offset + RECORD_HEADER_LEN as u64)
    }
}

/// The fields of a record in front of its payload, plausible but not checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordHead {
    sum: u32,
    kind: Kind,
    payload_len: usize,
    pub(super) edit_number: u64,
    /// Bytes of the whole record; not more than there are.
    len: usize,
}

impl RecordHead {
    /// The head at the start of `bytes`, if it could be one and the bytes reach as far as it says.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes, Path::new(""), 0);
        let sum = reader.u32().ok()?;
        let payload_len = reader.u32().ok()? as usize;
        let edit_number = reader.u64().ok()?;
        let kind = match reader.array::<8>().ok()? {
            [1, 0, 0, 0, 0, 0, 0, 0] => Kind::Snapshot,
            [2, 0, 0, 0, 0, 0, 0, 0] => Kind::Edit,
            [3, 0, 0, 0, 0, 0, 0, 0] => Kind::Edits,
            _ => return None,
        };
        let len = record_len(payload_len);
        (len <= bytes.len()).then_some(Self { sum, kind, payload_len, edit_number, len })
    }

    /// Whether the sum of the whole record is right. It lies at `offset` of the file, and at `at` of the bytes that
    /// `sums` sums.
    pub(super) fn is_proven(
        &self,
        sums: &mut PrefixSums<'_>,
        salt: Salt,
        at: usize,
        offset: u64,
    ) -> bool {
        sums.sum(salt.seed(offset), at + 4..at + self.len) == self.sum
    }
}

/// Bytes of a record with a payload of `payload_len` bytes.
pub(super) fn record_len(payload_len: usize) -> usize {
    (RECORD_HEADER_LEN + payload_len).next_multiple_of(RECORD_ALIGN)
}

/// The payload of a record that holds `edits`, each encoded, and the kind of the record.
pub(super) fn encode_edits(mut edits: Vec<Vec<u8>>) -> (Kind, Vec<u8>) {
    assert!(!edits.is_empty(), "a record holds an edit");
    if edits.len() == 1 {
        return (Kind::Edit, edits.swap_remove(0));
    }
    let mut payload = Vec::new();
    put_varint(&mut payload, edits.len() as u64);
    for edit in &edits {
        put_prefixed(&mut payload, edit);
    }
    (Kind::Edits, payload)
}

/// A record that will lie at `offset`, and its sum.
pub(super) fn encode_record(
    salt: Salt,
    offset: u64,
    kind: Kind,
    edit_number: u64,
    payload: &[u8],
) -> Result<(Vec<u8>, u32)> {
    let too_large = |_| Error::InvalidArgument("a manifest record is beyond 4 GiB".into());
    let payload_len = u32::try_from(payload.len()).map_err(too_large)?;
    let len = record_len(payload.len());
    let mut out = Vec::with_capacity(len);
    put_u32(&mut out, 0);
    put_u32(&mut out, payload_len);
    put_u64(&mut out, edit_number);
    put_u64(&mut out, kind as u64);
    out.extend_from_slice(payload);
    out.resize(len, 0);
    let sum = salt.sum(offset, &out[4..]);
    out[..4].copy_from_slice(&sum.to_le_bytes());
    assert_eq!(out.len(), len, "a record has the length that its header implies");
    debug_assert!(Record::decode(&out, salt, offset).is_some(), "a record that is written is read");
    Ok((out, sum))
}
