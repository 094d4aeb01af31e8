//! Records: the meaning of the frames of a data file.
//!
//! | kind | payload |
//! |---|---|
//! | 1 put | length of the key, `u16` little-endian; key; value |
//! | 2 delete | key |
//! | 3 expiring put | when it expires, `u64` little-endian, milliseconds since 1970; then as a put |
//!
//! Frames, their checksums and their sequence numbers belong to [`durable::log`].

use std::path::Path;

use durable::log::{Frame, FrameView};
use kv::{Error, MAX_KEY_LEN, Op, Result, UnixMillis};

/// Sequence numbers are below this: the keydir stores 48 bits. A store that writes a million batches a second reaches it
/// after nine years.
pub(crate) const SEQUENCE_LIMIT: u64 = 1 << 48;

const KIND_PUT: u8 = 1;
const KIND_DELETE: u8 = 2;
const KIND_EXPIRING: u8 = 3;

/// Bytes of the payload of a put besides key and value.
const KEY_LEN_BYTES: usize = 2;

/// Bytes of the payload of an expiring put before the length of its key.
const EXPIRY_BYTES: usize = 8;

const _: () = assert!(MAX_KEY_LEN <= u16::MAX as usize, "the length of a key has two bytes");

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record<'r> {
    Put { key: &'r [u8], value: &'r [u8], expires_at: Option<UnixMillis> },
    Delete { key: &'r [u8] },
}

impl<'r> Record<'r> {
    /// Reads the record in `frame` of the file at `path`.
    pub(crate) fn decode(frame: &FrameView<'r>, path: &Path) -> Result<Self> {
        let refuse = |what: &str| Err(Error::corruption(path, frame.offset, what));
        if frame.sequence >= SEQUENCE_LIMIT {
            return refuse("a record of a write that no store reaches");
        }
        match frame.kind {
            KIND_PUT => put(frame.payload, None).or_else(refuse),
            KIND_EXPIRING => match frame.payload.split_first_chunk::<EXPIRY_BYTES>() {
                Some((expiry, rest)) => {
                    put(rest, Some(UnixMillis(u64::from_le_bytes(*expiry)))).or_else(refuse)
                }
                None => refuse("an expiring put too short for its time"),
            },
            KIND_DELETE if frame.payload.len() <= MAX_KEY_LEN => {
                Ok(Self::Delete { key: frame.payload })
            }
            KIND_DELETE => refuse("a tombstone with too long a key"),
            kind => refuse(&format!("a record of unknown kind {kind}")),
        }
    }

    pub(crate) fn key(&self) -> &'r [u8] {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

#[inline]
fn put(payload: &[u8], expires_at: Option<UnixMillis>) -> std::result::Result<Record<'_>, &str> {
    let Some((len, rest)) = payload.split_first_chunk::<KEY_LEN_BYTES>() else {
        return Err("a put too short for its key length");
    };
    let (key, value) = rest
        .split_at_checked(usize::from(u16::from_le_bytes(*len)))
        .ok_or("a put shorter than its key")?;
    debug_assert_eq!(KEY_LEN_BYTES + key.len() + value.len(), payload.len(), "nothing is left");
    Ok(Record::Put { key, value, expires_at })
}

/// An operation, ready to be framed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordWriter<'o> {
    /// The bytes before the key in an expiring put; other puts have the last two of them.
    head: [u8; EXPIRY_BYTES + KEY_LEN_BYTES],
    kind: u8,
    pub(crate) key: &'o [u8],
    value: &'o [u8],
}

impl<'o> RecordWriter<'o> {
    #[inline]
    pub(crate) fn put(key: &'o [u8], value: &'o [u8]) -> Self {
        debug_assert!(key.len() <= MAX_KEY_LEN, "the engine has checked the length");
        let mut head = [0; EXPIRY_BYTES + KEY_LEN_BYTES];
        head[EXPIRY_BYTES..].copy_from_slice(&(key.len() as u16).to_le_bytes());
        Self { head, kind: KIND_PUT, key, value }
    }

    pub(crate) fn put_expiring(key: &'o [u8], value: &'o [u8], expires_at: UnixMillis) -> Self {
        let mut put = Self::put(key, value);
        put.head[..EXPIRY_BYTES].copy_from_slice(&expires_at.0.to_le_bytes());
        let put = Self { kind: KIND_EXPIRING, ..put };
        debug_assert_eq!(put.expires_at(), Some(expires_at), "the time reads back");
        put
    }

    #[inline]
    pub(crate) fn delete(key: &'o [u8]) -> Self {
        Self { kind: KIND_DELETE, ..Self::put(key, &[]) }
    }

    /// The frame of a tombstone.
    pub(crate) fn tombstone(key: &'o [u8]) -> Frame<'o> {
        debug_assert!(key.len() <= MAX_KEY_LEN, "the key was read from a record");
        Frame { kind: KIND_DELETE, payload: [key, &[], &[]] }
    }

    #[inline]
    pub(crate) fn is_put(&self) -> bool {
        self.kind != KIND_DELETE
    }

    /// When the put expires; `None` for a put that never does, and for a tombstone.
    #[inline]
    pub(crate) fn expires_at(&self) -> Option<UnixMillis> {
        let time = self.head.first_chunk::<EXPIRY_BYTES>()?;
        (self.kind == KIND_EXPIRING).then(|| UnixMillis(u64::from_le_bytes(*time)))
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
        let frame = Frame { kind: self.kind, payload: [self.head(), self.key, self.value] };
        debug_assert_eq!(frame.payload_len(), self.payload_len(), "the length is known before");
        frame
    }

    fn head(&self) -> &[u8] {
        match self.kind {
            KIND_PUT => &self.head[EXPIRY_BYTES..],
            KIND_EXPIRING => &self.head,
            _ => &[],
        }
    }
}

impl<'o> From<Op<'o>> for RecordWriter<'o> {
    fn from(op: Op<'o>) -> Self {
        match op {
            Op::Put { key, value } => Self::put(key, value),
            Op::PutExpiring { key, value, expires_at } => {
                Self::put_expiring(key, value, expires_at)
            }
            Op::Delete { key } => Self::delete(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    #[test]
    fn the_encoding_is_the_one_of_format_1() {
        let [put, delete] = golden::lines(include_str!("../tests/golden/record-1.hex"));
        assert_eq!(RecordWriter::put(b"ab", b"value").frame().payload.concat(), put);
        assert_eq!(RecordWriter::delete(b"c").frame().payload.concat(), delete);
    }

    #[test]
    fn format_2_adds_the_expiring_put() {
        let [expiring] = golden::lines(include_str!("../tests/golden/record-2.hex"));
        let encoded = RecordWriter::put_expiring(b"ab", b"value", UnixMillis(1_000));
        assert_eq!(encoded.frame().payload.concat(), expiring);
    }
}
