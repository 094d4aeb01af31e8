//! Values that prove themselves: which key they belong to, which version they are, and that every byte is right.
//!
//! | offset | width | field |
//! |---|---|---|
//! | 0 | 4 | id of the key, little-endian |
//! | 4 | 4 | version: counts the writes to the key, from 1 |
//! | 8 | 4 | CRC-32 of the eight bytes before and of the payload |
//! | 12 | | payload: a slice of a pool that compresses to about a half, or the text of a real record |

use std::sync::Arc;

use crate::random::{Random, mix};

/// Bytes before the payload: the smallest value of a run.
pub(crate) const HEADER_BYTES: usize = 12;

/// Larger than the largest value of any workload, so that every payload is one slice.
const POOL_BYTES: usize = 4 << 20;

/// Half of every unit of this many bytes is random and the other half repeats it.
const POOL_UNIT_BYTES: usize = 64;

/// Makes and checks values.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    payload: Payload,
}

#[derive(Clone, Debug)]
enum Payload {
    Pool(Vec<u8>),
    Records(Arc<[Box<[u8]>]>),
}

/// The header of a value whose checksum is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ValueHeader {
    /// The key it belongs to.
    pub(crate) id: u32,
    /// Which write to that key it comes from.
    pub(crate) version: u32,
}

impl Values {
    /// Values of any size up to 4 MiB, half of which compresses away.
    pub(crate) fn pooled() -> Self {
        let mut random = Random::new(0, &[]);
        let mut pool = Vec::with_capacity(POOL_BYTES);
        while pool.len() < POOL_BYTES {
            let start = pool.len();
            for _ in 0..POOL_UNIT_BYTES / 16 {
                pool.extend_from_slice(&random.bits().to_le_bytes());
            }
            pool.extend_from_within(start..);
        }
        assert_eq!(pool.len(), POOL_BYTES);
        Self { payload: Payload::Pool(pool) }
    }

    /// Values that carry the texts of real records: the one of the key's id.
    pub(crate) fn records(texts: Arc<[Box<[u8]>]>) -> Self {
        Self { payload: Payload::Records(texts) }
    }

    /// Writes version `version` of the value of `id` into `value`, replacing its content. `size` counts the header;
    /// the text of a record has its own size.
    pub(crate) fn write_value(&self, id: u32, version: u32, size: usize, value: &mut Vec<u8>) {
        let payload = match &self.payload {
            Payload::Records(texts) => &texts[id as usize][..],
            Payload::Pool(pool) => {
                let size = size.clamp(HEADER_BYTES, POOL_BYTES) - HEADER_BYTES;
                let places = (pool.len() - size + 1) as u64;
                let at = (mix(u64::from(id) << 32 | u64::from(version)) % places) as usize;
                &pool[at..at + size]
            }
        };
        value.clear();
        value.extend_from_slice(&id.to_le_bytes());
        value.extend_from_slice(&version.to_le_bytes());
        let sum = checksum(value, payload);
        value.extend_from_slice(&sum.to_le_bytes());
        value.extend_from_slice(payload);
        debug_assert_eq!(ValueHeader::read(value), Ok(ValueHeader { id, version }));
    }
}

impl ValueHeader {
    /// Reads the header of a value and checks every byte of it. `Err` names the check that failed.
    pub(crate) fn read(value: &[u8]) -> Result<Self, String> {
        let Some((header, payload)) = value.split_first_chunk::<HEADER_BYTES>() else {
            return Err(format!("a value of {} bytes was never written", value.len()));
        };
        let field =
            |at| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let found = checksum(&header[..8], payload);
        if field(8) != found {
            return Err(format!("checksum {:08x} where {found:08x} was expected", field(8)));
        }
        Ok(Self { id: field(0), version: field(4) })
    }
}

fn checksum(identity: &[u8], payload: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(identity);
    sum.update(payload);
    sum.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_proves_its_key_and_version_and_any_flipped_bit_is_found() {
        let mut value = Vec::new();
        Values::pooled().write_value(7, 3, 100, &mut value);
        assert_eq!(value.len(), 100);
        assert_eq!(ValueHeader::read(&value), Ok(ValueHeader { id: 7, version: 3 }));
        for bit in 0..value.len() * 8 {
            value[bit / 8] ^= 1 << (bit % 8);
            assert!(ValueHeader::read(&value).is_err(), "bit {bit}");
            value[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_cut_value_is_found_at_every_length() {
        let mut value = Vec::new();
        Values::pooled().write_value(1, 1, 40, &mut value);
        assert!((0..value.len()).all(|len| ValueHeader::read(&value[..len]).is_err()));
    }
}
