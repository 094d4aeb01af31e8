//! The fixed parts of the format: `CURRENT` and the header of a generation. The tables are in the
//! [module above](super).

use std::path::Path;

use kv::{Error, Result};

use super::record::Salt;
use super::state::{Features, State};
use crate::checksum::{crc32, seeded_crc32};
use crate::coding::{Reader, put_u16, put_u32, put_u64};
use crate::identity::StoreId;
use crate::store_dir::NamePattern;

/// The name of the file that says which generation counts.
pub(super) const CURRENT_FILE: &str = "CURRENT";

/// The names of generations.
pub(super) const GENERATION_FILES: NamePattern = NamePattern::new("MANIFEST-", "");

/// Bytes of `CURRENT`, and of the header of a generation.
pub(super) const HEADER_LEN: usize = 64;

const CURRENT_MAGIC: [u8; 7] = *b"KVCURRT";
const GENERATION_MAGIC: [u8; 7] = *b"KVMANIF";
/// The newest framing, which is written. Framing 1 had no records of several edits.
const FRAMING: u8 = 2;

/// Where the sum of a header is, in every framing.
const SUM_AT: usize = HEADER_LEN - 4;

/// The fields that `CURRENT` shares with the generation that it names.
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

    /// Decodes the bytes of [`Identity::encode`].
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

    /// The seed of the sums of the records of this generation.
    pub(super) fn salt(&self) -> Salt {
        Salt::new(seeded_crc32(crc32(&self.store_id.0), &self.generation.to_le_bytes()))
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

/// The header of the generation that `current` names, if `bytes` start with it and the engine knows all features that it requires.
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
