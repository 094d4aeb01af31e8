//! Records: the meaning of the frames of the write-ahead log.
//!
//! | kind | payload |
//! |---|---|
//! | 1 put | length of the key, `u16` little-endian; key; value |
//! | 2 delete | key |
//!
//! A batch is one frame for each of its operations. Frames, their checksums and their sequence numbers belong to
//! [`durable::log`].

use std::path::Path;

use durable::log::{Frame, FrameView};
use kv::{Error, MAX_KEY_LEN, Op, Result};

use crate::internal_key::{Kind, SEQUENCE_LIMIT};

const KIND_PUT: u8 = 1;
const KIND_DELETE: u8 = 2;

/// Bytes of the payload of a put besides key and value.
const KEY_LEN_BYTES: usize = 2;

const _: () = assert!(MAX_KEY_LEN <= u16::MAX as usize, "the length of a key has two bytes");

/// One operation of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'r> {
    pub(crate) kind: Kind,
    pub(crate) key: &'r [u8],
    /// Empty for a tombstone.
    pub(crate) value: &'r [u8],
    /// The length of the key, as a put stores it.
    key_len: [u8; KEY_LEN_BYTES],
}

impl<'r> Record<'r> {
    #[inline]
    pub(crate) fn put(key: &'r [u8], value: &'r [u8]) -> Self {
        debug_assert!(key.len() <= MAX_KEY_LEN, "the length was checked");
        Self { kind: Kind::Put, key, value, key_len: (key.len() as u16).to_le_bytes() }
    }

    #[inline]
    pub(crate) fn delete(key: &'r [u8]) -> Self {
        Self { kind: Kind::Tombstone, ..Self::put(key, &[]) }
    }

    /// The operation `op`. `None`: the engine does not support it.
    #[inline]
    pub(crate) fn of(op: Op<'r>) -> Option<Self> {
        match op {
            Op::Put { key, value } => Some(Self::put(key, value)),
            Op::Delete { key } => Some(Self::delete(key)),
            Op::PutExpiring { .. } => None,
        }
    }

    /// Reads the record in `frame` of the file at `path`.
    ///
    /// # Errors
    /// `Corruption`.
    pub(crate) fn decode(frame: &FrameView<'r>, path: &Path) -> Result<Self> {
        let refuse = |what: &str| Error::corruption(path, frame.offset, what);
        if frame.sequence == 0 || frame.sequence >= SEQUENCE_LIMIT {
            return Err(refuse("a record of a write that no store reaches"));
        }
        match frame.kind {
            KIND_PUT => decode_put(frame.payload).map_err(refuse),
            KIND_DELETE if frame.payload.len() <= MAX_KEY_LEN => Ok(Self::delete(frame.payload)),
            KIND_DELETE => Err(refuse("a tombstone with too long a key")),
            kind => Err(refuse(&format!("a record of unknown kind {kind}"))),
        }
    }

    #[inline]
    pub(crate) fn is_put(&self) -> bool {
        self.kind == Kind::Put
    }

    /// Bytes of key and value.
    #[inline]
    pub(crate) fn user_bytes(&self) -> u64 {
        (self.key.len() + self.value.len()) as u64
    }

    #[inline]
    pub(crate) fn payload_len(&self) -> usize {
        self.head().len() + self.key.len() + self.value.len()
    }

    #[inline]
    pub(crate) fn frame(&self) -> Frame<'_> {
        let kind = match self.kind {
            Kind::Put => KIND_PUT,
            Kind::Tombstone => KIND_DELETE,
        };
        let frame = Frame { kind, payload: [self.head(), self.key, self.value] };
        debug_assert_eq!(frame.payload_len(), self.payload_len(), "the length is known before");
        frame
    }

    fn head(&self) -> &[u8] {
        match self.kind {
            Kind::Put => &self.key_len,
            Kind::Tombstone => &[],
        }
    }
}

fn decode_put(payload: &[u8]) -> std::result::Result<Record<'_>, &str> {
    let Some((len, rest)) = payload.split_first_chunk::<KEY_LEN_BYTES>() else {
        return Err("a put too short for its key length");
    };
    let (key, value) = rest
        .split_at_checked(usize::from(u16::from_le_bytes(*len)))
        .ok_or("a put shorter than its key")?;
    debug_assert_eq!(KEY_LEN_BYTES + key.len() + value.len(), payload.len(), "nothing is left");
    Ok(Record::put(key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_the_one_of_the_table() {
        assert_eq!(Record::put(b"ab", b"value").frame().payload.concat(), b"\x02\0abvalue");
        assert_eq!(Record::delete(b"c").frame().payload.concat(), b"c");
        assert_eq!(decode_put(b"\x02\0abvalue"), Ok(Record::put(b"ab", b"value")));
    }

    #[test]
    fn a_put_that_is_shorter_than_it_says_is_refused() {
        for bytes in [&b""[..], b"\x01", b"\x03\0ab"] {
            assert!(decode_put(bytes).is_err(), "{bytes:?}");
        }
    }
}
