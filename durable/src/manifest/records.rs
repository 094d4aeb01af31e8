//! Walking the records of a generation, and telling a torn tail from damage.

use std::path::Path;

use kv::{Error, Result};

use super::format::HEADER_LEN;
use super::record::{Kind, RECORD_ALIGN, Record, RecordHead, Salt};
use crate::checksum::PrefixSums;

/// The most bytes that the search for a later record sums for each byte of the file: 1 for the prefixes, and less than
/// 128 for a candidate in every 8 bytes.
const WORK_FACTOR: u64 = 1 + 128 / RECORD_ALIGN as u64;

/// The records of a generation, front to back, checked to be one snapshot and then edits numbered without a gap.
#[derive(Debug)]
pub(super) struct Records<'a> {
    bytes: &'a [u8],
    salt: Salt,
    path: &'a Path,
    offset: usize,
    /// The number of the last edit, once there was a record.
    last: Option<u64>,
}

impl<'a> Records<'a> {
    /// The records behind the header of the generation `bytes`.
    pub(super) fn new(bytes: &'a [u8], salt: Salt, path: &'a Path) -> Self {
        Self { bytes, salt, path, offset: HEADER_LEN, last: None }
    }

    /// The next record. `None` at the end and before a torn tail, which [`Records::offset`] tells apart.
    pub(super) fn next(&mut self) -> Result<Option<Record<'a>>> {
        let rest = self.bytes.get(self.offset..).unwrap_or_default();
        let Some(record) = Record::decode(rest, self.salt, self.offset as u64) else {
            return self.refuse_damage().map(|()| None);
        };
        let is_next = match (record.kind, self.last) {
            // The first record is the snapshot.
            (Kind::Snapshot, None) => true,
            // The others are edits, and numbered without a gap.
            (Kind::Edit | Kind::Edits, Some(last)) => {
                let count = record.edits(self.path)?.len() as u64;
                Some(record.edit_number) == last.checked_add(count)
            }
            // An edit cannot come first, nor a snapshot later.
            _ => false,
        };
        if !is_next {
            return Err(self.corruption("a record is out of order"));
        }
        self.last = Some(record.edit_number);
        self.offset = record.end() as usize;
        Ok(Some(record))
    }

    /// Where the last record ended. The file goes on behind a torn tail.
    pub(super) fn offset(&self) -> u64 {
        self.offset as u64
    }

    /// Whether bytes follow that are no record.
    pub(super) fn is_torn(&self) -> bool {
        self.offset < self.bytes.len()
    }

    /// Looks for a record behind the bad bytes at the present offset. The snapshot was durable before `CURRENT` named
    /// the file, and each edit before the next was written: a record that follows proves damage.
    fn refuse_damage(&self) -> Result<()> {
        let Some(last) = self.last else {
            return Err(self.corruption("the snapshot fails its checksum"));
        };
        if self.search_later_record(last).0 {
            return Err(self.corruption("a durable record fails its checksum"));
        }
        Ok(())
    }

    /// Whether a record lies behind the bad one, which follows edit `last`; and how many bytes were summed to find out.
    ///
    /// An edit may hold bytes that a user chose. A torn one may therefore look like heads of records that reach to the end
    /// of the file. [`PrefixSums`] keeps the work linear, whatever the bytes are.
    fn search_later_record(&self, last: u64) -> (bool, u64) {
        let from = self.bytes.len().min(self.offset + RECORD_ALIGN);
        let rest = &self.bytes[from..];
        // The bad record is the next edit, so one behind it has a number after that. An edit takes at least a byte.
        let most = self.bytes.len() as u64;
        let numbers = last.saturating_add(2)..=last.saturating_add(most);
        let mut sums = PrefixSums::new(rest);
        let found = (0..rest.len()).step_by(RECORD_ALIGN).any(|at| {
            let head = RecordHead::decode(&rest[at..]);
            let head = head.filter(|head| numbers.contains(&head.edit_number));
            head.is_some_and(|head| head.is_proven(&mut sums, self.salt, at, (from + at) as u64))
        });
        let summed = sums.summed();
        assert!(summed <= WORK_FACTOR * (rest.len() as u64 + 64), "the work is linear");
        (found, summed)
    }

    fn corruption(&self, what: &str) -> Error {
        Error::corruption(self.path, self.offset as u64, what)
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::Identity;
    use super::super::record::{RECORD_HEADER_LEN, encode_record};
    use super::*;
    use crate::identity::StoreId;

    /// A generation with a snapshot of edit 4, and then 1 MiB of heads of edit 6 that reach to the end.
    fn crafted(salt: Salt) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_LEN];
        let (snapshot, _) =
            encode_record(salt, HEADER_LEN as u64, Kind::Snapshot, 4, b"state").unwrap();
        bytes.extend(snapshot);
        let end = bytes.len() + (1 << 20) / RECORD_HEADER_LEN * RECORD_HEADER_LEN;
        while bytes.len() < end {
            let payload_len = (end - bytes.len() - RECORD_HEADER_LEN) as u32;
            bytes.extend([0; 4]);
            bytes.extend(payload_len.to_le_bytes());
            bytes.extend(6_u64.to_le_bytes());
            bytes.extend(2_u64.to_le_bytes());
        }
        bytes
    }

    fn salt() -> Salt {
        let store_id = StoreId([3; 16]);
        Identity { format: 1, engine: 1, store_id, generation: 3, open_epoch: 3 }.salt()
    }

    #[test]
    fn a_tail_crafted_from_heads_costs_linear_work_and_is_torn() {
        let bytes = crafted(salt());
        let mut records = Records::new(&bytes, salt(), Path::new("MANIFEST"));
        assert_eq!(records.next().unwrap().unwrap().edit_number, 4);
        let (found, summed) = records.search_later_record(4);
        assert!(!found);
        assert!(summed > 1 << 20, "the heads were looked into: {summed}");
        assert!(summed <= WORK_FACTOR << 20, "{summed} bytes summed");
        assert!(records.next().unwrap().is_none() && records.is_torn());
    }

    #[test]
    fn a_record_behind_a_crafted_tail_proves_damage() {
        let mut bytes = crafted(salt());
        let (record, _) =
            encode_record(salt(), bytes.len() as u64, Kind::Edit, 6, b"edit").unwrap();
        bytes.extend(record);
        let mut records = Records::new(&bytes, salt(), Path::new("MANIFEST"));
        records.next().unwrap();
        assert!(records.next().unwrap_err().is_corruption());
    }

    /// The bad record is the next edit, so a record with its number is no later one.
    #[test]
    fn only_a_record_with_a_later_number_than_the_torn_one_proves_damage() {
        for (edit_number, is_damage) in [(4, false), (5, false), (6, true)] {
            let mut bytes = vec![0; HEADER_LEN];
            let start = HEADER_LEN as u64;
            let (snapshot, _) = encode_record(salt(), start, Kind::Snapshot, 4, b"state").unwrap();
            bytes.extend(snapshot);
            bytes.extend([0xa5; 32]);
            let end = bytes.len() as u64;
            bytes.extend(encode_record(salt(), end, Kind::Edit, edit_number, b"edit").unwrap().0);
            let mut records = Records::new(&bytes, salt(), Path::new("MANIFEST"));
            records.next().unwrap();
            assert_eq!(records.next().is_err(), is_damage, "edit {edit_number}");
        }
    }
}
