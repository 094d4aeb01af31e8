//! The fixed parts of the format: `CURRENT`, the header of a generation, and the framing of records.
//! The tables are in the [module above](super).

use std::path::Path;

use kv::{Error, Result};

use super::state::{Features, State};
use crate::checksum::{PrefixSums, crc32, seeded_crc32};
use crate::coding::{Reader, put_prefixed, put_u16, put_u32, put_u64, put_varint};
use crate::identity::StoreId;
use crate::store_dir::NamePattern;

/// The name of the file that says which generation counts.
pub(super) const CURRENT_FILE: &str = "CURRENT";

/// The names of generations.
pub(super) const GENERATION_FILES: NamePattern = NamePattern::new("MANIFEST-", "");

/// Bytes of `CURRENT`, and of the header of a generation.
pub(super) const HEADER_LEN: usize = 64;

/// Bytes of a record in front of its payload.
pub(super) const RECORD_HEADER_LEN: usize = 24;

/// Records start on a multiple of this.
pub(super) const RECORD_ALIGN: usize = 8;

const CURRENT_MAGIC: [u8; 7] = *b"KVCURRT";
const GENERATION_MAGIC: [u8; 7] = *b"KVMANIF";
/// The newest framing, which is written. Framing 1 had no records of several edits.
const FRAMING: u8 = 2;

/// Where the sum of a header is, in every framing.
const SUM_AT: usize = HEADER_LEN - 4;

/// What `CURRENT` and the generation that it names have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) format: u16,
    pub(super) engine: u8,
    pub(super) store_id: StoreId,
    pub(super) generation: u64,
    pub(super) open_epoch: u64,
}

impl Identity {
    fn encode(&self, magic: [u8; 7], own: [u8; 12]) -> [u8; HEADER_LEN] {
        let mut out = Vec::with_capacity(HEADER_LEN);
        out.extend_from_slice(&magic);
        out.push(FRAMING);
        put_u16(&mut out, self.format);
        out.extend_from_slice(&[self.engine, 0, 0, 0, 0, 0]);
        out.extend_from_slice(&self.store_id.0);
        put_u64(&mut out, self.generation);
        put_u64(&mut out, self.open_epoch);
        out.extend_from_slice(&own);
        let sum = crc32(&out);
        put_u32(&mut out, sum);
        std::array::from_fn(|at| out[at])
    }

    /// Reads what [`Identity::encode`] has written.
    fn decode(bytes: &[u8], magic: [u8; 7], path: &Path) -> Result<(Self, [u8; 12])> {
        let mut reader = Reader::new(bytes, path, 0);
        let header: [u8; HEADER_LEN] = reader.array()?;
        let sum = Reader::new(&header[SUM_AT..], path, SUM_AT as u64).u32()?;
        if crc32(&header[..SUM_AT]) != sum {
            return Err(Error::corruption(path, 0, "the header fails its checksum"));
        }
        let mut reader = Reader::new(&header, path, 0);
        if reader.array::<7>()? != magic {
            return Err(Error::corruption(path, 0, "the header has the magic of another file"));
        }
        let framing = reader.u8()?;
        if framing > FRAMING {
            return Err(refusal(path, &format!("has framing {framing}, newer than this build")));
        }
        let format = reader.u16()?;
        let engine = reader.u8()?;
        if framing == 0 || reader.array::<5>()? != [0; 5] {
            return Err(Error::corruption(path, 0, "reserved bytes of the header are in use"));
        }
        let store_id = StoreId(reader.array()?);
        let generation = reader.u64()?;
        let open_epoch = reader.u64()?;
        Ok((Self { format, engine, store_id, generation, open_epoch }, reader.array()?))
    }

    /// Refuses a store that this engine, or this version of it, cannot read.
    fn admit<S: State>(&self, path: &Path) -> Result<()> {
        let (own, name) = (S::ENGINE.id, S::ENGINE.name);
        if self.engine != own {
            let what = format!("belongs to engine {}, and {name} is engine {own}", self.engine);
            return Err(refusal(path, &what));
        }
        if self.format > S::FORMAT {
            let what = format!("has format {}, and this build ends at {}", self.format, S::FORMAT);
            return Err(refusal(path, &what));
        }
        Ok(())
    }

    /// What the sums of the records of this generation start from.
    pub(super) fn salt(&self) -> Salt {
        Salt(seeded_crc32(crc32(&self.store_id.0), &self.generation.to_le_bytes()))
    }
}

/// The store is whole, and not for us: nothing is touched.
fn refusal(path: &Path, what: &str) -> Error {
    Error::InvalidArgument(format!("{} {what}", path.display()))
}

/// The content of `CURRENT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Current {
    pub(super) identity: Identity,
    /// The generation holds at least the edits up to this one.
    pub(super) edit_number: u64,
    /// The sum of the generation's first record.
    pub(super) snapshot_sum: u32,
}

impl Current {
    pub(super) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut own = [0; 12];
        own[..8].copy_from_slice(&self.edit_number.to_le_bytes());
        own[8..].copy_from_slice(&self.snapshot_sum.to_le_bytes());
        self.identity.encode(CURRENT_MAGIC, own)
    }

    pub(super) fn decode<S: State>(bytes: &[u8], path: &Path) -> Result<Self> {
        if bytes.len() > HEADER_LEN {
            return Err(Error::corruption(path, HEADER_LEN as u64, "the file is too long"));
        }
        let (identity, own) = Identity::decode(bytes, CURRENT_MAGIC, path)?;
        identity.admit::<S>(path)?;
        let mut reader = Reader::new(&own, path, 48);
        Ok(Self { identity, edit_number: reader.u64()?, snapshot_sum: reader.u32()? })
    }
}

/// The header of the generation that `current` names, if `bytes` start with it and the engine knows what it requires.
pub(super) fn decode_header<S: State>(
    bytes: &[u8],
    current: &Current,
    path: &Path,
) -> Result<Features> {
    let (identity, own) = Identity::decode(bytes, GENERATION_MAGIC, path)?;
    if identity != current.identity {
        let what = "the header belongs to another store, generation or opening than CURRENT names";
        return Err(Error::corruption(path, 0, what));
    }
    let mut reader = Reader::new(&own, path, 48);
    let features = Features { required: reader.u32()?, optional: reader.u32()? };
    if reader.u32()? != 0 {
        return Err(Error::corruption(path, 56, "reserved bytes of the header are in use"));
    }
    let unknown = features.required & !S::KNOWN_FEATURES;
    if unknown != 0 {
        let what = format!("requires features that this build does not know: {unknown:#x}");
        return Err(refusal(path, &what));
    }
    Ok(features)
}

pub(super) fn encode_header(identity: &Identity, features: Features) -> [u8; HEADER_LEN] {
    let mut own = [0; 12];
    own[..4].copy_from_slice(&features.required.to_le_bytes());
    own[4..8].copy_from_slice(&features.optional.to_le_bytes());
    identity.encode(GENERATION_MAGIC, own)
}

/// What ties the records of a generation to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Salt(u32);

impl Salt {
    fn sum(self, offset: u64, summed: &[u8]) -> u32 {
        seeded_crc32(self.seed(offset), summed)
    }

    /// The seed of the sum of a record at `offset`.
    fn seed(self, offset: u64) -> u32 {
        seeded_crc32(self.0, &offset.to_le_bytes())
    }
}

/// What the payload of a record is.
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
