//! Walking the records of a generation, and telling a torn tail from damage.

use std::path::Path;

use kv::{Error, Result};

use super::format::{HEADER_LEN, Kind, RECORD_ALIGN, RECORD_HEADER_LEN, Record, RecordHead, Salt};

/// How many bytes may be summed in search of a record behind a bad one, as a multiple of the file. A crash leaves next
/// to no plausible heads behind a bad record; a file of nothing else was made to keep the search busy.
const SEARCH_FACTOR: usize = 16;

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
        let right = match (record.kind, self.last) {
            (Kind::Snapshot, None) => true,
            (Kind::Edit, Some(last)) => Some(record.edit_number) == last.checked_add(1),
            _ => false,
        };
        if !right {
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
        let mut budget = self.bytes.len().saturating_mul(SEARCH_FACTOR);
        // The bad record is the next edit, so one behind it has a number after that. This spares most sums of a payload
        // that happens to hold plausible heads.
        let most = (self.bytes.len() / RECORD_HEADER_LEN) as u64;
        let numbers = last.saturating_add(2)..=last.saturating_add(most);
        let from = self.offset + RECORD_ALIGN;
        for offset in (from..self.bytes.len()).step_by(RECORD_ALIGN) {
            let rest = &self.bytes[offset..];
            let Some(head) = RecordHead::decode(rest) else { continue };
            if !numbers.contains(&head.edit_number) {
                continue;
            }
            if Record::decode(rest, self.salt, offset as u64).is_some() {
                return Err(self.corruption("a durable record fails its checksum"));
            }
            let Some(left) = budget.checked_sub(head.len) else {
                return Err(self.corruption("what follows is no crash's work"));
            };
            budget = left;
        }
        Ok(())
    }

    fn corruption(&self, what: &str) -> Error {
        Error::corruption(self.path, self.offset as u64, what)
    }
}
