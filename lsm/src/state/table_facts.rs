//! The facts about a table that the manifest keeps.

use durable::coding::{Reader, put_prefixed, put_u32, put_varint};
use kv::Result;
use serde::Serialize;

use crate::internal_key::{self, SEQUENCE_LIMIT};

/// The facts about one table. On disk, in this order: length, varint; CRC-32, 4 bytes; id, 16 bytes; entries, tombstones,
/// oldest, newest, hidden, dense bytes, created, varints; smallest and largest internal key, each behind its length.
/// Format 1 had no hidden, dense bytes and created: they read as 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TableFacts {
    /// The length of the file in bytes.
    pub(crate) len: u64,
    /// The CRC-32 of the whole file.
    pub(crate) crc: u32,
    /// The random id in the footer.
    pub(crate) table_id: [u8; 16],
    /// How many entries it has, tombstones included. At least 1.
    pub(crate) entries: u64,
    /// How many of them are tombstones.
    pub(crate) tombstones: u64,
    /// The lowest sequence number of an entry.
    pub(crate) oldest: u64,
    /// The highest sequence number of an entry. It prunes, and orders nothing.
    pub(crate) newest: u64,
    /// How many entries a newer entry of the same key in the table hides. Fewer than the entries.
    pub(crate) hidden: u64,
    /// The bytes of blocks with many tombstones, about.
    pub(crate) dense_bytes: u64,
    /// When it was written, in milliseconds since 1970. It tells the age of a tombstone, and orders nothing.
    pub(crate) created: u64,
    /// The first internal key.
    pub(crate) smallest: Vec<u8>,
    /// The last internal key.
    pub(crate) largest: Vec<u8>,
}

impl TableFacts {
    /// The user key of the first entry.
    #[inline]
    pub(crate) fn smallest_user(&self) -> &[u8] {
        user_key(&self.smallest)
    }

    /// The user key of the last entry.
    #[inline]
    pub(crate) fn largest_user(&self) -> &[u8] {
        user_key(&self.largest)
    }

    /// Whether the facts agree with each other.
    pub(crate) fn is_sound(&self) -> bool {
        let are_keys = internal_key::split(&self.smallest).is_some()
            && internal_key::split(&self.largest).is_some();
        are_keys
            && internal_key::LAYOUT.compare(&self.smallest, &self.largest).is_le()
            && (1..=self.newest).contains(&self.oldest)
            && self.newest < SEQUENCE_LIMIT
            && self.tombstones <= self.entries
            && self.hidden < self.entries
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
        };
        if facts.is_sound() { Ok(facts) } else { Err(reader.corruption("facts that no table has")) }
    }
}

#[inline]
fn user_key(key: &[u8]) -> &[u8] {
    internal_key::split(key).map_or(key, |(user, _)| user)
}
