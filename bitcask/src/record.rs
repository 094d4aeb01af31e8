//! Records: what the frames of a data file mean.
//!
//! | kind | payload |
//! |---|---|
//! | 1 put | length of the key, `u16` little-endian; key; value |
//! | 2 delete | key |
//!
//! Frames, their checksums and their sequence numbers belong to [`durable::log`].

use std::path::Path;

use durable::log::{Frame, FrameView};
use kv::{Error, MAX_KEY_LEN, Op, Result};

const KIND_PUT: u8 = 1;
const KIND_DELETE: u8 = 2;

/// Bytes of the payload of a put besides key and value.
const KEY_LEN_BYTES: usize = 2;

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record<'r> {
    Put { key: &'r [u8], value: &'r [u8] },
    Delete { key: &'r [u8] },
}

impl<'r> Record<'r> {
    /// Reads the record in `frame` of the file at `path`.
    pub(crate) fn decode(frame: &FrameView<'r>, path: &Path) -> Result<Self> {
        let refuse = |what: &str| Err(Error::corruption(path, frame.offset, what));
        match frame.kind {
            KIND_PUT => {
                let Some((len, rest)) = frame.payload.split_first_chunk::<KEY_LEN_BYTES>() else {
                    return refuse("a put too short for its key length");
                };
                let len = usize::from(u16::from_le_bytes(*len));
                if len > rest.len() {
                    return refuse("a put shorter than its key");
                }
                let (key, value) = rest.split_at(len);
                Ok(Self::Put { key, value })
            }
            KIND_DELETE if frame.payload.len() <= MAX_KEY_LEN => {
                Ok(Self::Delete { key: frame.payload })
            }
            KIND_DELETE => refuse("a deletion with too long a key"),
            kind => refuse(&format!("a record of unknown kind {kind}")),
        }
    }

    pub(crate) fn key(&self) -> &'r [u8] {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

/// An operation, ready to be framed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encoded<'o> {
    key_len: [u8; KEY_LEN_BYTES],
    pub(crate) key: &'o [u8],
    /// `None` deletes.
    value: Option<&'o [u8]>,
}

impl<'o> Encoded<'o> {
    pub(crate) fn put(key: &'o [u8], value: &'o [u8]) -> Self {
        Self { key_len: (key.len() as u16).to_le_bytes(), key, value: Some(value) }
    }

    pub(crate) fn delete(key: &'o [u8]) -> Self {
        Self { key_len: [0; KEY_LEN_BYTES], key, value: None }
    }

    pub(crate) fn is_put(&self) -> bool {
        self.value.is_some()
    }

    /// Bytes of key and value.
    pub(crate) fn user_bytes(&self) -> u64 {
        (self.key.len() + self.value.map_or(0, <[u8]>::len)) as u64
    }

    pub(crate) fn payload_len(&self) -> usize {
        self.value.map_or(self.key.len(), |value| KEY_LEN_BYTES + self.key.len() + value.len())
    }

    pub(crate) fn frame(&self) -> Frame<'_> {
        match self.value {
            Some(value) => Frame { kind: KIND_PUT, payload: [&self.key_len, self.key, value] },
            None => Frame { kind: KIND_DELETE, payload: [self.key, &[], &[]] },
        }
    }
}

impl<'o> From<Op<'o>> for Encoded<'o> {
    /// Of the operations, expiring puts have been refused before.
    fn from(op: Op<'o>) -> Self {
        match op {
            Op::Put { key, value } | Op::PutExpiring { key, value, .. } => Self::put(key, value),
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
        assert_eq!(Encoded::put(b"ab", b"value").frame().payload.concat(), put);
        assert_eq!(Encoded::delete(b"c").frame().payload.concat(), delete);
    }
}
