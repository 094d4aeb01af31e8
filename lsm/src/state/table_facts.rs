//! The facts about a table that the manifest keeps.

use durable::coding::{Reader, put_prefixed, put_u32, put_varint};
use kv::Result;
use serde::Serialize;

use crate::boundary::Boundary;
use crate::compaction::Expiry;
use crate::internal_key::{self, SEQUENCE_LIMIT};
use crate::range_tombstones::{DeletedRange, put_range, read_range};

/// The facts about one table. On disk, in this order: length, varint; CRC-32, 4 bytes; id, 16 bytes; entries, tombstones,
/// oldest, newest, hidden, dense bytes, created, varints; smallest and largest internal key, each behind its length; the
/// number of fragments of range tombstones, varint, and, unless it is 0, the ends of their range, as in the block of range
/// tombstones; how many entries expire, varint, and, unless it is 0, the first and the last moment at which one does, varints.
/// Format 3 had no entries that expire. Format 2 had no range tombstones either. Format 1 had no hidden, dense bytes and created either: they read as 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TableFacts {
    /// The length of the file in bytes.
    pub(crate) len: u64,
    /// The CRC-32 of the whole file.
    pub(crate) crc: u32,
    /// The random id in the footer.
    pub(crate) table_id: [u8; 16],
    /// How many entries it has, tombstones included. At least 1, unless it has range tombstones.
    pub(crate) entries: u64,
    /// How many of them are tombstones.
    pub(crate) tombstones: u64,
    /// The lowest sequence number of an entry or a range tombstone.
    pub(crate) oldest: u64,
    /// The highest sequence number of an entry or a range tombstone. It prunes, and orders nothing.
    pub(crate) newest: u64,
    /// How many entries a newer entry of the same key in the table hides. Fewer than the entries.
    pub(crate) hidden: u64,
    /// The bytes of blocks with many tombstones, about.
    pub(crate) dense_bytes: u64,
    /// When it was written, in milliseconds since 1970. It tells the age of a tombstone, and orders nothing.
    pub(crate) created: u64,
    /// The internal key of the first entry. Empty if there is none.
    pub(crate) smallest: Vec<u8>,
    /// The internal key of the last entry. Empty if there is none.
    pub(crate) largest: Vec<u8>,
    /// The range tombstones.
    pub(crate) ranges: Option<RangeFacts>,
    /// The entries that expire, at moments in milliseconds since 1970.
    pub(crate) expiry: Option<Expiry>,
}

/// The facts about the range tombstones of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RangeFacts {
    /// How many fragments there are. At least 1.
    pub(crate) fragments: u64,
    /// From the first key that one of them has to the last one.
    pub(crate) hull: DeletedRange,
}

impl TableFacts {
    /// The user key of the first entry. Of a table with entries.
    #[inline]
    pub(crate) fn smallest_user(&self) -> &[u8] {
        user_key(&self.smallest)
    }

    /// The user key of the last entry. Of a table with entries.
    #[inline]
    pub(crate) fn largest_user(&self) -> &[u8] {
        user_key(&self.largest)
    }

    /// Where the table begins, with its entries or with its range tombstones.
    pub(crate) fn first(&self) -> Boundary<&[u8]> {
        let of_entries = (self.entries > 0).then(|| Boundary::at(self.smallest_user()));
        let of_ranges = self.ranges.as_ref().map(|ranges| ranges.hull.first());
        of_entries.into_iter().chain(of_ranges).min().unwrap_or(Boundary::End)
    }

    /// Where the table ends.
    pub(crate) fn last(&self) -> Boundary<&[u8]> {
        let of_entries = (self.entries > 0).then(|| Boundary::at(self.largest_user()));
        let of_ranges = self.ranges.as_ref().map(|ranges| ranges.hull.last());
        of_entries.into_iter().chain(of_ranges).max().unwrap_or(Boundary::End)
    }

    /// How many entries expire.
    pub(crate) fn expiring(&self) -> u64 {
        self.expiry.map_or(0, |expiry| expiry.entries)
    }

    /// How many fragments of range tombstones it has.
    pub(crate) fn range_fragments(&self) -> u64 {
        self.ranges.as_ref().map_or(0, |ranges| ranges.fragments)
    }

    /// Whether the facts agree with each other.
    pub(crate) fn is_sound(&self) -> bool {
        let are_keys = internal_key::split(&self.smallest).is_some()
            && internal_key::split(&self.largest).is_some()
            && internal_key::LAYOUT.compare(&self.smallest, &self.largest).is_le()
            && self.hidden < self.entries;
        let has_no_entry = self.entries == 0
            && self.hidden == 0
            && self.smallest.is_empty()
            && self.largest.is_empty()
            && self.ranges.is_some();
        let is_sound = |ranges: &RangeFacts| ranges.fragments > 0 && !ranges.hull.is_empty();
        let is_expiry = |expiry: Expiry| {
            let others = self.tombstones.checked_add(expiry.entries);
            (1..=self.entries).contains(&expiry.entries)
                && others.is_some_and(|count| count <= self.entries)
                && expiry.earliest <= expiry.latest
        };
        (are_keys || has_no_entry)
            && self.expiry.is_none_or(is_expiry)
            && self.ranges.as_ref().is_none_or(is_sound)
            && (1..=self.newest).contains(&self.oldest)
            && self.newest < SEQUENCE_LIMIT
            && self.tombstones <= self.entries
            && self.entries.checked_add(self.range_fragments()).is_some()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        debug_assert!(self.is_sound(), "the facts agree");
        put_varint(out, self.len);
        put_u32(out, self.crc);
        out.extend_from_slice(&self.table_id);
        for field in [self.entries, self.tombstones, self.oldest, self.newest] {
            put_varint(out, field);
        }
        for field in [self.hidden, self.dense_bytes, self.created] {
            put_varint(out, field);
        }
        put_prefixed(out, &self.smallest);
        put_prefixed(out, &self.largest);
        put_varint(out, self.ranges.as_ref().map_or(0, |ranges| ranges.fragments));
        if let Some(ranges) = &self.ranges {
            put_range(out, &ranges.hull);
        }
        put_varint(out, self.expiring());
        if let Some(expiry) = self.expiry {
            put_varint(out, expiry.earliest);
            put_varint(out, expiry.latest);
        }
    }

    /// Reads facts of this format of the state.
    pub(super) fn decode(format: u16, reader: &mut Reader<'_>) -> Result<Self> {
        let since_format_2 =
            |reader: &mut Reader<'_>| if format < 2 { Ok(0) } else { reader.varint() };
        let facts = Self {
            len: reader.varint()?,
            crc: reader.u32()?,
            table_id: reader.array()?,
            entries: reader.varint()?,
            tombstones: reader.varint()?,
            oldest: reader.varint()?,
            newest: reader.varint()?,
            hidden: since_format_2(reader)?,
            dense_bytes: since_format_2(reader)?,
            created: since_format_2(reader)?,
            smallest: reader.prefixed()?.to_vec(),
            largest: reader.prefixed()?.to_vec(),
            ranges: if format < 3 { None } else { RangeFacts::decode(reader)? },
            expiry: if format < 4 { None } else { decode_expiry(reader)? },
        };
        if facts.is_sound() { Ok(facts) } else { Err(reader.corruption("facts that no table has")) }
    }
}

fn decode_expiry(reader: &mut Reader<'_>) -> Result<Option<Expiry>> {
    let entries = reader.varint()?;
    if entries == 0 {
        return Ok(None);
    }
    Ok(Some(Expiry { entries, earliest: reader.varint()?, latest: reader.varint()? }))
}

impl RangeFacts {
    fn decode(reader: &mut Reader<'_>) -> Result<Option<Self>> {
        let fragments = reader.varint()?;
        if fragments == 0 {
            return Ok(None);
        }
        Ok(Some(Self { fragments, hull: read_range(reader)? }))
    }
}

#[inline]
fn user_key(key: &[u8]) -> &[u8] {
    internal_key::split(key).map_or(key, |(user, _)| user)
}
