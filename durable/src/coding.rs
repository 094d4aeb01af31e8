//! Reading and writing the fields of a format: little-endian integers, varints, and bytes behind their length.
//!
//! A reader trusts nothing: each length is checked against the bytes that are left before anything is taken or
//! allocated. An error names the file and the offset in it. Varints are LEB128 of a `u64` in at most
//! [`LONGEST_VARINT_BYTES`] bytes. They have the one shortest form, so a decoded value encodes to the same bytes.

use std::path::Path;

use kv::{Error, Result};

/// How many bytes the varint of `u64::MAX` takes.
pub const LONGEST_VARINT_BYTES: usize = 10;

/// Reads fields from bytes of a file, front to back.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    offset: u64,
    path: &'a Path,
}

impl<'a> Reader<'a> {
    /// A reader of `bytes`, which lie at `base_offset` of the file `path`.
    pub fn new(bytes: &'a [u8], path: &'a Path, base_offset: u64) -> Self {
        Self { rest: bytes, offset: base_offset, path }
    }

    /// Where in the file the next field starts.
    #[inline]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// How many bytes are left.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether no bytes are left.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// A `Corruption` at the next field.
    pub fn corruption(&self, what: impl Into<String>) -> Error {
        Error::corruption(self.path, self.offset, what)
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// `Corruption` when fewer are left; nothing is taken then. So do all reads below.
    #[inline]
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8]> {
        let Some((taken, rest)) = self.rest.split_at_checked(len) else {
            return Err(self.too_short(len));
        };
        self.rest = rest;
        self.offset += len as u64;
        Ok(taken)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// As [`Reader::bytes`].
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.too_short(N));
        };
        self.rest = rest;
        self.offset += N as u64;
        Ok(*taken)
    }

    /// A byte.
    ///
    /// # Errors
    /// As [`Reader::bytes`].
    #[inline]
    pub fn u8(&mut self) -> Result<u8> {
        self.array().map(u8::from_le_bytes)
    }

    /// Two bytes.
    ///
    /// # Errors
    /// As [`Reader::bytes`].
    #[inline]
    pub fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes.
    ///
    /// # Errors
    /// As [`Reader::bytes`].
    #[inline]
    pub fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// As [`Reader::bytes`].
    #[inline]
    pub fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A varint.
    ///
    /// # Errors
    /// `Corruption` when it does not end in time, does not fit a `u64`, or has a shorter form.
    #[inline]
    pub fn varint(&mut self) -> Result<u64> {
        match self.rest {
            [byte @ 0..=0x7f, rest @ ..] => {
                self.rest = rest;
                self.offset += 1;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64> {
        let (value, rest) = split_varint(self.rest).map_err(|what| self.corruption(what))?;
        self.offset += (self.rest.len() - rest.len()) as u64;
        self.rest = rest;
        Ok(value)
    }

    /// How many items follow, each of which takes at least `least_bytes`: safe to allocate for.
    ///
    /// # Errors
    /// `Corruption` when that many cannot follow.
    pub fn count(&mut self, least_bytes: usize) -> Result<usize> {
        let start = self.clone();
        let count = self.varint()?;
        let most = self.remaining() / least_bytes.max(1);
        match usize::try_from(count) {
            Ok(count) if count <= most => Ok(count),
            _ => Err(start.corruption(format!("{count} items, and there is room for {most}"))),
        }
    }

    /// Bytes behind their length, a varint.
    ///
    /// # Errors
    /// As [`Reader::bytes`] and [`Reader::varint`].
    #[inline]
    pub fn prefixed(&mut self) -> Result<&'a [u8]> {
        let len = self.varint()?;
        self.bytes(usize::try_from(len).unwrap_or(usize::MAX))
    }

    /// A reader of the bytes behind their length, a varint.
    ///
    /// # Errors
    /// As [`Reader::prefixed`].
    pub fn prefixed_reader(&mut self) -> Result<Self> {
        let bytes = self.prefixed()?;
        Ok(Self { rest: bytes, offset: self.offset - bytes.len() as u64, path: self.path })
    }

    /// Says that nothing may be left.
    ///
    /// # Errors
    /// `Corruption` when something is.
    pub fn finish(&self) -> Result<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(self.corruption(format!("{} bytes behind the last field", self.rest.len())))
    }

    #[cold]
    fn too_short(&self, wanted: usize) -> Error {
        self.corruption(format!("{wanted} bytes expected, {} left", self.rest.len()))
    }
}

/// The varint at the beginning of `bytes`, and the bytes behind it. For decoders that know no file.
///
/// # Errors
/// The rule that the bytes break.
#[inline]
pub fn split_varint(bytes: &[u8]) -> std::result::Result<(u64, &[u8]), &'static str> {
    match bytes {
        [byte @ 0..=0x7f, rest @ ..] => Ok((u64::from(*byte), rest)),
        _ => split_long_varint(bytes),
    }
}

fn split_long_varint(bytes: &[u8]) -> std::result::Result<(u64, &[u8]), &'static str> {
    let mut value = 0;
    for (at, &byte) in bytes.iter().take(LONGEST_VARINT_BYTES).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if at + 1 == LONGEST_VARINT_BYTES && bits > 1 {
            return Err("a varint does not fit 64 bits");
        }
        value |= bits << (7 * at);
        if byte & 0x80 == 0 {
            if byte == 0 && at > 0 {
                return Err("a varint is longer than it need be");
            }
            return Ok((value, &bytes[at + 1..]));
        }
    }
    Err("a varint does not end")
}

/// Appends two bytes.
pub fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends four bytes.
pub fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends eight bytes.
pub fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a varint.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, value: u64) {
    let mut rest = value;
    while rest > 0x7f {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends `bytes` behind their length, a varint.
pub fn put_prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &[u8]) -> Reader<'_> {
        Reader::new(bytes, Path::new("file"), 100)
    }

    fn offset_of(error: &Error) -> u64 {
        match error {
            Error::Corruption { offset, .. } => *offset,
            other => panic!("not a corruption: {other}"),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut out = vec![7];
        put_u16(&mut out, 0x0102);
        put_u32(&mut out, 0x0304_0506);
        put_u64(&mut out, u64::MAX - 1);
        put_prefixed(&mut out, b"bytes");
        put_varint(&mut out, 2);
        let mut reader = reader(&out);
        assert_eq!(reader.u8().unwrap(), 7);
        assert_eq!(reader.u16().unwrap(), 0x0102);
        assert_eq!(reader.u32().unwrap(), 0x0304_0506);
        assert_eq!(reader.u64().unwrap(), u64::MAX - 1);
        assert_eq!(reader.prefixed().unwrap(), b"bytes");
        assert_eq!(offset_of(&reader.finish().unwrap_err()), 121);
        assert_eq!(reader.varint().unwrap(), 2);
        reader.finish().unwrap();
    }

    #[test]
    fn varints_have_one_form_of_at_most_ten_bytes() {
        let edges = (0..64).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        for value in edges.chain([u64::MAX]) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert!(out.len() <= LONGEST_VARINT_BYTES);
            assert_eq!(reader(&out).varint().unwrap(), value);
            for cut in 0..out.len() {
                assert_eq!(offset_of(&reader(&out[..cut]).varint().unwrap_err()), 100);
            }
            if out.len() < LONGEST_VARINT_BYTES {
                *out.last_mut().unwrap() |= 0x80;
                out.push(0);
                assert!(reader(&out).varint().unwrap_err().to_string().contains("need be"));
            }
        }
        let mut too_large = [0xff; 10];
        too_large[9] = 2;
        assert!(reader(&too_large).varint().unwrap_err().to_string().contains("64 bits"));
        assert!(reader(&[0x80; 64]).varint().is_err());
    }

    #[test]
    fn a_failed_read_takes_nothing_and_names_the_place() {
        let mut reader = reader(&[5, 1, 2]);
        assert_eq!(offset_of(&reader.u64().unwrap_err()), 100);
        assert_eq!(reader.remaining(), 3);
        assert_eq!(offset_of(&reader.prefixed().unwrap_err()), 101);
    }

    #[test]
    fn a_length_or_count_beyond_the_bytes_left_is_refused_before_it_is_used() {
        let mut huge = Vec::new();
        put_varint(&mut huge, u64::MAX);
        assert_eq!(offset_of(&reader(&huge).count(0).unwrap_err()), 100);
        assert!(reader(&huge).prefixed().is_err());
        assert_eq!(reader(&[2, 0, 0, 0, 0]).count(2).unwrap(), 2);
        assert_eq!(offset_of(&reader(&[3, 0, 0, 0, 0]).count(2).unwrap_err()), 100);
    }
}
