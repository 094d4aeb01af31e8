//! The last bytes of a table: where everything else is.
//!
//! | offset | width | field |
//! |---|---|---|
//! | 0 | 12 | handle of the directory |
//! | 12 | 1 | bytes of the suffix of a key |
//! | 13 | 3 | zero |
//! | 16 | 16 | id of the table |
//! | 32 | 8 | length of the file |
//! | 40 | 4 | required features: a reader that does not know one refuses the table |
//! | 44 | 4 | optional features: a reader may ignore them |
//! | 48 | 4 | version of the format: 1 |
//! | 52 | 4 | CRC-32 of the bytes before |
//! | 56 | 8 | magic `KVSTABLE` |

use std::path::Path;

use durable::coding::{Reader, put_u32, put_u64};
use durable::crc32;
use kv::{Error, Result};

use crate::compression::{Codec, supports};
use crate::handle::BlockHandle;
use crate::key_layout::KeyLayout;
use crate::table_id::TableId;

/// Bytes of a footer.
pub(crate) const FOOTER_LEN: usize = 64;

const MAGIC: &[u8; 8] = b"KVSTABLE";
const VERSION: u32 = 1;

/// How many of its bytes the checksum covers.
const SUMMED_LEN: usize = 52;

/// The fields of a footer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) directory: BlockHandle,
    pub(crate) key_layout: KeyLayout,
    pub(crate) id: TableId,
    pub(crate) file_len: u64,
    pub(crate) required: Features,
}

/// What a reader has to know to read a table: one bit for each codec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Features(u32);

impl Features {
    const CODECS: [(u32, Codec); 2] = [(1, Codec::Lz4), (2, Codec::Zstd)];

    /// The table has blocks of `codec`.
    pub(crate) fn require(&mut self, codec: Codec) {
        let bits = Self::CODECS.iter().filter(|(_, other)| *other == codec).map(|(bit, _)| bit);
        self.0 |= bits.sum::<u32>();
    }

    /// # Errors
    /// `Unsupported` when the table needs more than this build has.
    fn check(self) -> Result<()> {
        let known = Self::CODECS.iter().filter(|(_, codec)| supports(*codec));
        let known: u32 = known.map(|(bit, _)| bit).sum();
        if self.0 & !known != 0 {
            return Err(Error::Unsupported("a table with features that this build does not have"));
        }
        Ok(())
    }
}

impl Footer {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FOOTER_LEN);
        bytes.extend(self.directory.encode());
        bytes.extend([self.key_layout.suffix_len() as u8, 0, 0, 0]);
        bytes.extend(self.id.0);
        put_u64(&mut bytes, self.file_len);
        put_u32(&mut bytes, self.required.0);
        put_u32(&mut bytes, 0);
        put_u32(&mut bytes, VERSION);
        assert_eq!(bytes.len(), SUMMED_LEN, "the checksum covers all fields");
        let sum = crc32(&bytes);
        put_u32(&mut bytes, sum);
        bytes.extend(MAGIC);
        assert_eq!(bytes.len(), FOOTER_LEN, "a footer has a fixed length");
        bytes
    }

    /// The footer in `bytes`, the last [`FOOTER_LEN`] bytes of a file of `file_len` bytes.
    ///
    /// # Errors
    /// `Corruption` when it is none, or belongs to a file of another length. `Unsupported` when the table is of a newer
    /// version or needs features that this build does not have.
    pub(crate) fn decode(bytes: &[u8; FOOTER_LEN], path: &Path, file_len: u64) -> Result<Self> {
        assert!(file_len >= FOOTER_LEN as u64, "the file has a footer's length");
        let start = file_len - FOOTER_LEN as u64;
        let wrong = |at: usize, what: &str| Error::corruption(path, start + at as u64, what);
        if &bytes[56..] != MAGIC {
            return Err(wrong(56, "not a table: the magic is missing"));
        }
        let mut reader = Reader::new(bytes, path, start);
        let (handle, [suffix_len, zeros @ ..]) = (reader.array::<12>()?, reader.array::<4>()?);
        let (id, stated_len) = (TableId(reader.array()?), reader.u64()?);
        let (required, _optional) = (Features(reader.u32()?), reader.u32()?);
        let (version, sum) = (reader.u32()?, reader.u32()?);
        if sum != crc32(&bytes[..SUMMED_LEN]) {
            return Err(wrong(0, "the checksum of the footer does not match"));
        }
        if version != VERSION {
            return Err(Error::Unsupported("a table of a newer format"));
        }
        required.check()?;
        let directory = BlockHandle::decode(&handle).filter(|_| zeros == [0; 3]);
        let directory = directory.ok_or_else(|| wrong(13, "bytes that are not zero"))?;
        if stated_len != file_len {
            return Err(wrong(32, "the table was written with another length"));
        }
        let key_layout = KeyLayout::with_suffix(suffix_len);
        Ok(Self { directory, key_layout, id, file_len, required })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn footer() -> Footer {
        let mut required = Features::default();
        required.require(Codec::Plain);
        required.require(Codec::Lz4);
        Footer {
            directory: BlockHandle { offset: 1000, len: 77 },
            key_layout: KeyLayout::with_suffix(8),
            id: TableId([0xa5; 16]),
            file_len: 5000,
            required,
        }
    }

    fn decode(bytes: &[u8], file_len: u64) -> Result<Footer> {
        Footer::decode(bytes.try_into().unwrap(), Path::new("table"), file_len)
    }

    /// Changes a field and puts the checksum right.
    fn forge(at: usize, field: &[u8]) -> Vec<u8> {
        let mut bytes = footer().encode();
        bytes[at..at + field.len()].copy_from_slice(field);
        let sum = crc32(&bytes[..SUMMED_LEN]).to_le_bytes();
        bytes[SUMMED_LEN..SUMMED_LEN + 4].copy_from_slice(&sum);
        bytes
    }

    #[test]
    fn a_footer_reads_back_and_no_bit_of_it_can_change() {
        let mut bytes = footer().encode();
        assert_eq!(decode(&bytes, 5000).unwrap(), footer());
        for bit in 0..8 * bytes.len() {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bytes, 5000).unwrap_err().is_corruption(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_footer_of_a_file_of_another_length_is_refused() {
        for (file_len, at) in [(5001, 4969), (4999, 4967)] {
            let error = decode(&footer().encode(), file_len).unwrap_err().to_string();
            assert!(error.contains(&format!("damaged at byte {at}")), "{error}");
        }
    }

    #[test]
    fn unknown_versions_and_required_features_are_refused_and_optional_ones_ignored() {
        let unsupported = |bytes: &[u8]| matches!(decode(bytes, 5000), Err(Error::Unsupported(_)));
        assert!(unsupported(&forge(48, &[2])));
        assert!(unsupported(&forge(40, &[4])));
        assert!(unsupported(&forge(43, &[0x80])));
        assert_eq!(decode(&forge(44, &[0xff; 4]), 5000).unwrap(), footer());
        assert!(decode(&forge(14, &[1]), 5000).unwrap_err().is_corruption());
    }
}
