//! Compressing blocks.

use kv::{Error, Result};

use crate::damage::{Checked, Damage};

/// How the data blocks of a new table are compressed. A block that does not get an eighth smaller is stored as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all. Such blocks are read in place from a mapping.
    #[default]
    None,
    /// LZ4: about 900 MB/s to compress, 3,400 MB/s to decompress.
    Lz4,
    /// zstd at this level. Packs about twice as well as LZ4. A build without the feature `zstd` refuses to write and to
    /// read it.
    Zstd(i32),
}

/// The encoding of a stored block, which its trailer names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    Plain = 0,
    Lz4 = 1,
    Zstd = 2,
}

/// How many times longer than its compressed bytes a block may be. LZ4 cannot do better. A block that zstd packs even
/// tighter is compressed with LZ4, so a reader knows how much memory it needs at most before it decompresses.
const MOST_EXPANSION: usize = 255;

/// Bytes in front of the compressed ones: the length of the block.
const PREFIX_LEN: usize = 4;

impl Codec {
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        [Self::Plain, Self::Lz4, Self::Zstd].into_iter().find(|codec| *codec as u8 == code)
    }
}

/// Compresses blocks.
pub(crate) struct Compressor {
    compression: Compression,
    #[cfg(feature = "zstd")]
    zstd: Option<zstd::bulk::Compressor<'static>>,
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.compression.fmt(f)
    }
}

impl Compressor {
    /// # Errors
    /// `Unsupported` for zstd in a build without it.
    pub(crate) fn new(compression: Compression) -> Result<Self> {
        #[cfg(feature = "zstd")]
        {
            let zstd = match compression {
                Compression::Zstd(level) => Some(zstd_compressor(level)?),
                _ => None,
            };
            Ok(Self { compression, zstd })
        }
        #[cfg(not(feature = "zstd"))]
        match compression {
            Compression::Zstd(_) => Err(Error::Unsupported(NO_ZSTD)),
            _ => Ok(Self { compression }),
        }
    }

    /// The codec that makes `block` an eighth smaller, with the body to store. `None`: store the block as it is.
    pub(crate) fn compress(&mut self, block: &[u8]) -> Option<(Codec, Vec<u8>)> {
        let (codec, body) = match self.compression {
            Compression::None => return None,
            Compression::Lz4 => (Codec::Lz4, lz4(block)),
            Compression::Zstd(_) => self.zstd(block),
        };
        debug_assert!(block.len() <= MOST_EXPANSION * body.len(), "a reader accepts the block");
        (body.len() <= block.len() - block.len() / 8).then_some((codec, body))
    }

    #[cfg(feature = "zstd")]
    fn zstd(&mut self, block: &[u8]) -> (Codec, Vec<u8>) {
        let packed = self.zstd.as_mut().and_then(|zstd| zstd.compress(block).ok());
        match packed {
            Some(packed) if block.len() <= MOST_EXPANSION * packed.len() => {
                (Codec::Zstd, with_len(block.len(), &packed))
            }
            // Packed too tightly, or the library had no memory.
            _ => (Codec::Lz4, lz4(block)),
        }
    }

    #[cfg(not(feature = "zstd"))]
    #[expect(clippy::unused_self, reason = "the same call as with the feature")]
    fn zstd(&mut self, block: &[u8]) -> (Codec, Vec<u8>) {
        (Codec::Lz4, lz4(block))
    }
}

#[cfg(feature = "zstd")]
fn zstd_compressor(level: i32) -> Result<zstd::bulk::Compressor<'static>> {
    let levels = zstd::compression_level_range();
    if !levels.contains(&level) {
        return Err(Error::InvalidArgument(format!("zstd has the levels {levels:?}, not {level}")));
    }
    zstd::bulk::Compressor::new(level).map_err(|error| Error::InvalidArgument(error.to_string()))
}

#[cfg(not(feature = "zstd"))]
const NO_ZSTD: &str = "zstd (built without the feature `zstd` of the crate `sstable`)";

fn lz4(block: &[u8]) -> Vec<u8> {
    with_len(block.len(), &lz4_flex::block::compress(block))
}

fn with_len(len: usize, packed: &[u8]) -> Vec<u8> {
    assert!(u32::try_from(len).is_ok(), "the table limits its blocks");
    [&(len as u32).to_le_bytes(), packed].concat()
}

/// The block that `body` was compressed from, with a codec other than [`Codec::Plain`].
///
/// Reserves as many bytes as the body says, after a check that the body can hold so many.
pub(crate) fn decompress(codec: Codec, body: &[u8]) -> Checked<Vec<u8>> {
    debug_assert_ne!(codec, Codec::Plain, "a plain block is read as it is");
    let Some((len, packed)) = body.split_first_chunk::<PREFIX_LEN>() else {
        return Err(Damage::new(0, "a compressed block without its length"));
    };
    let len = u32::from_le_bytes(*len) as usize;
    if len > MOST_EXPANSION * packed.len() {
        return Err(Damage::new(0, "a compressed block that claims too great a length"));
    }
    let mut block = Vec::new();
    let reserved = block.try_reserve_exact(len);
    reserved.map_err(|_| Damage::new(0, "a block that does not fit into memory"))?;
    block.resize(len, 0);
    let unpacked = match codec {
        Codec::Plain => None,
        Codec::Lz4 => lz4_flex::block::decompress_into(packed, &mut block).ok(),
        Codec::Zstd => zstd_into(packed, &mut block),
    };
    debug_assert!(unpacked.is_none_or(|unpacked| unpacked <= len), "the buffer has that length");
    debug_assert_eq!(block.len(), len, "the buffer does not grow");
    if unpacked == Some(len) {
        return Ok(block);
    }
    Err(Damage::new(0, "a block that does not decompress"))
}

#[cfg(feature = "zstd")]
fn zstd_into(packed: &[u8], block: &mut [u8]) -> Option<usize> {
    zstd::bulk::decompress_to_buffer(packed, block).ok()
}

#[cfg(not(feature = "zstd"))]
fn zstd_into(_: &[u8], _: &mut [u8]) -> Option<usize> {
    None
}

/// Whether this build reads blocks of `codec`.
pub(crate) fn supports(codec: Codec) -> bool {
    codec != Codec::Zstd || cfg!(feature = "zstd")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compressor(compression: Compression) -> Compressor {
        Compressor::new(compression).unwrap()
    }

    #[test]
    fn what_is_compressed_decompresses() {
        let text = "some text that comes again and again; ".repeat(100).into_bytes();
        for compression in [Compression::Lz4, Compression::Zstd(1), Compression::Zstd(19)] {
            for len in [100, 1000, text.len()] {
                let block = &text[..len];
                let (codec, body) = compressor(compression).compress(block).unwrap();
                assert!(body.len() < len);
                assert_eq!(decompress(codec, &body).unwrap(), block);
            }
        }
    }

    #[test]
    fn a_block_that_gets_hardly_smaller_stays_as_it_is() {
        let noise: Vec<u8> = (0..100_u8).map(|at| at.wrapping_mul(97)).collect();
        for compression in [Compression::None, Compression::Lz4, Compression::Zstd(3)] {
            assert_eq!(compressor(compression).compress(&noise), None);
            assert_eq!(compressor(compression).compress(&[]), None);
        }
    }

    #[test]
    fn a_block_that_zstd_packs_too_tightly_is_compressed_with_lz4() {
        let zeros = vec![0; 1 << 20];
        let (codec, body) = compressor(Compression::Zstd(3)).compress(&zeros).unwrap();
        assert_eq!(codec, Codec::Lz4);
        assert_eq!(decompress(codec, &body).unwrap(), zeros);
    }

    #[test]
    fn a_claimed_length_is_checked_before_memory_is_taken() {
        for codec in [Codec::Lz4, Codec::Zstd] {
            let claim = [&u32::MAX.to_le_bytes()[..], &[0; 100]].concat();
            assert!(decompress(codec, &claim).unwrap_err().what.contains("too great"));
            assert!(decompress(codec, &[1, 0]).is_err());
            assert!(decompress(codec, &[]).is_err());
        }
        assert_eq!(Codec::from_code(3), None);
    }

    #[test]
    fn a_block_that_is_longer_or_shorter_than_its_length_is_refused() {
        let text = "some text that comes again and again; ".repeat(10).into_bytes();
        for compression in [Compression::Lz4, Compression::Zstd(1)] {
            let (codec, mut body) = compressor(compression).compress(&text).unwrap();
            for len in [text.len() - 1, text.len() + 1] {
                body[..PREFIX_LEN].copy_from_slice(&(len as u32).to_le_bytes());
                assert!(decompress(codec, &body).is_err(), "{compression:?}: {len}");
            }
        }
    }

    #[test]
    fn an_unknown_level_is_refused() {
        assert!(matches!(Compressor::new(Compression::Zstd(99)), Err(Error::InvalidArgument(_))));
    }
}
