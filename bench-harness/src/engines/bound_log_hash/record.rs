//! The records of the yardstick's log.
//!
//! | field of a record | width | |
//! |---|---|---|
//! | key length | 2 | little-endian |
//! | value length | 4 | little-endian, plus one; 0: the end of the log; all ones: the key was removed |
//! | key, value | | |

use kv::Op;

/// Bytes before the key.
pub(super) const HEADER_BYTES: usize = 6;
/// The longest value that the header can tell.
pub(super) const LONGEST_VALUE: usize = REMOVED as usize - 2;
const REMOVED: u32 = u32::MAX;

/// A record, taken apart.
pub(super) struct Record<'r> {
    /// The key.
    pub(super) key: &'r [u8],
    /// `None`: the key was removed.
    pub(super) value: Option<&'r [u8]>,
    /// Bytes of the whole record.
    pub(super) len: usize,
}

impl<'r> Record<'r> {
    /// The record at the start of `bytes`; `None` at the end of the log.
    pub(super) fn read(bytes: &'r [u8]) -> Option<Self> {
        let (&[k0, k1, v0, v1, v2, v3], rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let key_len = usize::from(u16::from_le_bytes([k0, k1]));
        let (key, rest) = rest.split_at_checked(key_len)?;
        let (value, value_len) = match u32::from_le_bytes([v0, v1, v2, v3]) {
            0 => return None,
            REMOVED => (None, 0),
            len => (Some(rest.get(..len as usize - 1)?), len as usize - 1),
        };
        Some(Self { key, value, len: HEADER_BYTES + key_len + value_len })
    }

    /// Appends the record of `op` to `buffer`.
    pub(super) fn write(op: &Op<'_>, buffer: &mut Vec<u8>) {
        let value_len = match op {
            Op::Delete { .. } => REMOVED,
            _ => op.value().len() as u32 + 1,
        };
        debug_assert!(u16::try_from(op.key().len()).is_ok(), "a key has its length in two bytes");
        debug_assert!(op.value().len() <= LONGEST_VALUE, "a value has its length in four bytes");
        let start = buffer.len();
        buffer.extend_from_slice(&(op.key().len() as u16).to_le_bytes());
        buffer.extend_from_slice(&value_len.to_le_bytes());
        buffer.extend_from_slice(op.key());
        buffer.extend_from_slice(op.value());
        debug_assert!(
            Record::read(&buffer[start..]).is_some_and(|record| record.len == buffer.len() - start),
            "a record reads back"
        );
    }
}
