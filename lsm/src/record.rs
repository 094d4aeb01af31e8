//! Records: the meaning of the frames of the write-ahead log.
//!
//! | kind | payload |
//! |---|---|
//! | 1 put | length of the key, `u16` little-endian; key; value |
//! | 2 delete | key |
//! | 3 delete a range | length of its first key, `u16` little-endian; first key; the key behind the range |
//! | 4 delete from a key on | the key: it and all greater ones go |
//! | 5 put that expires | length of the key, `u16` little-endian; key; the moment of its end, `u64` little-endian; value |
//!
//! A range may be empty: then its first key is the key behind it, or a greater one.
//!
//! A batch is one frame for each of its operations. Those that delete ranges come first, as they are applied. Frames, their checksums and their sequence numbers belong to
//! [`durable::log`].

use std::path::Path;

use durable::log::{Frame, FrameView};
use kv::{Error, MAX_KEY_LEN, Op, Result};

use crate::expiring;
use crate::internal_key::{Kind, SEQUENCE_LIMIT};
use crate::range_tombstones::DeletedRange;

/// Bytes of the payload of a put besides key and value.
const KEY_LEN_BYTES: usize = 2;

const _: () = assert!(MAX_KEY_LEN <= u16::MAX as usize, "the length of a key has two bytes");

/// One operation of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'r> {
    pub(crate) meaning: Meaning,
    /// The key, or the first key of a range.
    pub(crate) key: &'r [u8],
    /// The value of a put, or the key behind a range.
    pub(crate) value: &'r [u8],
    /// The length of the key, as a put stores it.
    key_len: [u8; KEY_LEN_BYTES],
}

/// What an operation does. The numbers are the kinds of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    Put = 1,
    Delete = 2,
    /// It deletes the keys from `key` on and before `value`.
    DeleteRange = 3,
    /// It deletes the keys from `key` on.
    DeleteFrom = 4,
    /// `value` has the moment of its end in front ([`expiring::join`]).
    PutExpiring = 5,
}

impl Meaning {
    /// The meaning of a frame of this kind. `None`: this code does not know it.
    fn of_frame(kind: u8) -> Option<Self> {
        let all = [Self::Put, Self::Delete, Self::DeleteRange, Self::DeleteFrom, Self::PutExpiring];
        all.into_iter().find(|meaning| *meaning as u8 == kind)
    }

    /// The kind of the entry that it makes. `None`: it deletes a range.
    #[inline]
    pub(crate) fn entry(self) -> Option<Kind> {
        match self {
            Self::Put => Some(Kind::Put),
            Self::Delete => Some(Kind::Tombstone),
            Self::PutExpiring => Some(Kind::Expiring),
            Self::DeleteRange | Self::DeleteFrom => None,
        }
    }

    /// Whether the length of the key is in front of it, because something follows.
    #[inline]
    fn has_key_len(self) -> bool {
        matches!(self, Self::Put | Self::PutExpiring | Self::DeleteRange)
    }
}

impl<'r> Record<'r> {
    #[inline]
    pub(crate) fn put(key: &'r [u8], value: &'r [u8]) -> Self {
        debug_assert!(key.len() <= MAX_KEY_LEN, "the length was checked");
        let meaning = Meaning::Put;
        Self { meaning, key, value, key_len: (key.len() as u16).to_le_bytes() }
    }

    #[inline]
    pub(crate) fn delete(key: &'r [u8]) -> Self {
        Self { meaning: Meaning::Delete, ..Self::put(key, &[]) }
    }

    pub(crate) fn delete_range(range: &'r DeletedRange) -> Self {
        let (meaning, end) = match &range.end {
            Some(end) => (Meaning::DeleteRange, &end[..]),
            None => (Meaning::DeleteFrom, &[][..]),
        };
        Self { meaning, ..Self::put(&range.start, end) }
    }

    /// A put whose `value` has the moment of its end in front ([`expiring::join`]).
    pub(crate) fn put_expiring(key: &'r [u8], value: &'r [u8]) -> Self {
        debug_assert!(expiring::split(value).is_some(), "the end is in front of the value");
        Self { meaning: Meaning::PutExpiring, ..Self::put(key, value) }
    }

    /// The operation `op`. `joined`: the end and the value of one that expires.
    #[inline]
    pub(crate) fn of(op: Op<'r>, joined: &mut impl Iterator<Item = &'r Vec<u8>>) -> Self {
        match op {
            Op::Put { key, value } => Self::put(key, value),
            Op::Delete { key } => Self::delete(key),
            Op::PutExpiring { key, .. } => {
                let joined = joined.next().expect("each operation that expires has one");
                Self::put_expiring(key, joined)
            }
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
        let meaning = Meaning::of_frame(frame.kind)
            .ok_or_else(|| refuse(&format!("a record of unknown kind {}", frame.kind)))?;
        if !meaning.has_key_len() {
            let is_key = frame.payload.len() <= MAX_KEY_LEN;
            let record = is_key.then(|| Self { meaning, ..Self::put(frame.payload, &[]) });
            return record.ok_or_else(|| refuse("a tombstone with too long a key"));
        }
        let record = Self { meaning, ..decode_put(frame.payload).map_err(refuse)? };
        match meaning {
            Meaning::DeleteRange if record.value.len() > MAX_KEY_LEN => {
                Err(refuse("a range with too long a key"))
            }
            Meaning::PutExpiring if expiring::split(record.value).is_none() => {
                Err(refuse("a put too short for its end"))
            }
            _ => Ok(record),
        }
    }

    /// Reads the records of a batch.
    ///
    /// # Errors
    /// `Corruption`.
    pub(crate) fn decode_batch(batch: &[FrameView<'r>], path: &Path) -> Result<Vec<Self>> {
        let records = batch.iter().map(|frame| Self::decode(frame, path));
        let records = records.collect::<Result<Vec<_>>>()?;
        if let Some(late) = Self::late_range(&records) {
            let what = "a range is deleted behind another operation of its batch";
            return Err(Error::corruption(path, batch[late].offset, what));
        }
        if let Some(second) = Self::second_of_a_key(&records) {
            let what = "a second operation of its batch on the same key";
            return Err(Error::corruption(path, batch[second].offset, what));
        }
        Ok(records)
    }

    /// Which of the operations of a batch makes an entry of a key that an earlier one has made an entry of.
    fn second_of_a_key(records: &[Self]) -> Option<usize> {
        let entries = records.iter().enumerate().filter(|(_, record)| !record.deletes_range());
        let mut keys: Vec<_> = entries.map(|(at, record)| (record.key, at)).collect();
        keys.sort_unstable();
        let twice = keys.windows(2).find(|keys| keys[0].0 == keys[1].0)?;
        Some(twice[1].1)
    }

    /// Which of the operations of a batch deletes a range and is behind one that does not.
    #[inline]
    fn late_range(records: &[Self]) -> Option<usize> {
        let first = records.iter().position(|record| !record.deletes_range())?;
        records[first..].iter().position(Self::deletes_range).map(|late| first + late)
    }

    /// Whether it deletes a range. Otherwise it makes an entry.
    #[inline]
    pub(crate) fn deletes_range(&self) -> bool {
        self.meaning.entry().is_none()
    }

    #[inline]
    pub(crate) fn is_put(&self) -> bool {
        matches!(self.meaning, Meaning::Put | Meaning::PutExpiring)
    }

    /// The range that it deletes. `None`: it makes an entry.
    #[inline]
    pub(crate) fn deleted_range(&self) -> Option<DeletedRange> {
        let end = match self.meaning {
            Meaning::DeleteRange => Some(self.value.to_vec()),
            Meaning::DeleteFrom => None,
            Meaning::Put | Meaning::Delete | Meaning::PutExpiring => return None,
        };
        Some(DeletedRange { start: self.key.to_vec(), end })
    }

    /// Whether an operation of a batch deletes a range. Such operations come first.
    #[inline]
    pub(crate) fn delete_ranges(records: &[Self]) -> bool {
        records.first().is_some_and(Self::deletes_range)
    }

    /// The ranges that the operations of a batch delete.
    #[cold]
    pub(crate) fn deleted_ranges(records: &[Self]) -> Vec<DeletedRange> {
        debug_assert_eq!(Self::late_range(records), None, "ranges come first");
        records.iter().map_while(Record::deleted_range).collect()
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
        let kind = self.meaning as u8;
        let frame = Frame { kind, payload: [self.head(), self.key, self.value] };
        debug_assert_eq!(frame.payload_len(), self.payload_len(), "the length is known before");
        frame
    }

    #[inline]
    fn head(&self) -> &[u8] {
        if self.meaning.has_key_len() { &self.key_len } else { &[] }
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
        let joined = expiring::join(7, b"value");
        let expiring = Record::put_expiring(b"ab", &joined);
        assert_eq!(expiring.frame().kind, 5);
        assert_eq!(expiring.frame().payload.concat(), b"\x02\0ab\x07\0\0\0\0\0\0\0value");
        let mut range = DeletedRange { start: b"ab".to_vec(), end: Some(b"b".to_vec()) };
        let record = Record::delete_range(&range);
        assert_eq!(record.frame().payload.concat(), b"\x02\0abb");
        assert_eq!((record.frame().kind, record.deleted_range()), (3, Some(range.clone())));
        range.end = None;
        let record = Record::delete_range(&range);
        assert_eq!(record.frame().payload.concat(), b"ab");
        assert_eq!((record.frame().kind, record.deleted_range()), (4, Some(range.clone())));
    }

    #[test]
    fn a_range_that_is_deleted_behind_another_operation_of_its_batch_is_found() {
        let range = DeletedRange { start: b"a".to_vec(), end: None };
        let (range, put) = (Record::delete_range(&range), Record::put(b"b", b""));
        assert_eq!(Record::late_range(&[range, range, put, put]), None);
        assert_eq!(Record::late_range(&[range]), None);
        assert_eq!(Record::late_range(&[range, put, range, put]), Some(2));
        assert_eq!(Record::late_range(&[put, range]), Some(1));
    }

    #[test]
    fn a_second_operation_on_a_key_of_its_batch_is_found() {
        let range = DeletedRange { start: b"a".to_vec(), end: None };
        let range = Record::delete_range(&range);
        let (put, delete, other) =
            (Record::put(b"a", b""), Record::delete(b"a"), Record::put(b"b", b""));
        assert_eq!(Record::second_of_a_key(&[range, range, put, other]), None);
        assert_eq!(Record::second_of_a_key(&[range, other, put, delete]), Some(3));
        assert_eq!(Record::second_of_a_key(&[other, put, other]), Some(2));
        assert_eq!(Record::second_of_a_key(&[]), None);
    }

    #[test]
    fn a_put_that_is_shorter_than_it_says_is_refused() {
        for bytes in [&b""[..], b"\x01", b"\x03\0ab"] {
            assert!(decode_put(bytes).is_err(), "{bytes:?}");
        }
    }
}
