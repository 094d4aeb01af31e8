//! `bound:log+hash`: the bound for every hash engine on a log, and for every opening.
//!
//! - A batch is one copy into mapped space that was written ahead.
//! - A get is one search in a hash table and one look into a mapping.
//! - Concurrent syncs form groups.
//! - An opening after a clean close maps an image of the table and reads its header. It makes no file, starts no thread and
//!   maps no segment: the first reads and the first write do that. Each part of the table is searched in the image until a
//!   write changes it, and copied then.
//!
//! It leaves out the costs of a real engine: no checksum, no merge, no frame; space is never given back. After a crash, a cut
//! batch is kept up to the cut. A batch beyond 16 MiB is refused. It appends through
//! [`durable::LogFile`], which is the system's mapping and nothing more, because the workspace has its `unsafe` there
//! alone.

mod image;
mod maker;
mod record;
mod segments;
mod slot;
mod table;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::OsFs;
use kv::{
    Bytes, Capabilities, Cursor, Durability, Error, KeyRange, Kv, Op, Result, ScanSupport,
    SequenceNumber, Stats, Unit, WriteBatch,
};
use parking_lot::{Mutex, RwLock};

use self::image::Image;
use self::record::{HEADER_BYTES, Record};
use self::segments::Segments;
use self::slot::Slot;
use self::table::{SHARDS, Shard, Table};
use super::Registration;
use super::sorted_cursor::SortedCursor;
use crate::random::mix;

pub(super) const REGISTRATION: Registration = Registration {
    name: "bound:log+hash",
    about: "yardstick: one copy into mapped space a put, a hash table, group commit, opened in place; no checksums, no merge",
    version: env!("CARGO_PKG_VERSION"),
    classes: &[Durability::None, Durability::Buffered, Durability::Sync],
    open: |directory, config| Ok(Box::new(BoundLogHash::open(directory, config.durability)?)),
    settings: |_| {
        "no cache; 17 bytes for each slot of the table, at least half of them free".into()
    },
};

/// From so many operations on, a batch takes the locks of all shards.
const MANY_OPS: usize = SHARDS / 2;

#[derive(Debug)]
struct BoundLogHash {
    fs: OsFs,
    image: PathBuf,
    /// How many segments the image on the disk names.
    imaged: Mutex<u32>,
    log: Arc<Segments>,
    shards: Box<[Shard]>,
}

impl BoundLogHash {
    fn open(directory: &Path, durability: Durability) -> Result<Self> {
        let fs = OsFs::default();
        let image = directory.join("image");
        let (tables, imaged) = match image::map(&fs, &image)? {
            Some(Image { tables, segments }) => (tables, segments),
            None => ((0..SHARDS).map(|_| Table::default()).collect(), 0),
        };
        let fills = durability == Durability::Sync;
        let log = Arc::new(Segments::open(fs.clone(), directory, imaged, fills)?);
        let shards = tables.into_iter().map(|table| Shard(RwLock::new(table))).collect();
        let engine = Self { fs, image, imaged: Mutex::new(imaged), log, shards };
        // Segments that the image does not name were written by a process that did not close the engine.
        (imaged..engine.log.sealed()).try_for_each(|segment| engine.replay(segment))?;
        Ok(engine)
    }

    /// Takes the records of a segment into the table.
    fn replay(&self, segment: u32) -> Result<()> {
        let bytes = self.log.sealed_bytes(segment)?;
        let mut offset = 0;
        while let Some(record) = Record::read(&bytes[offset..]) {
            let (hash, len) = (hash_of(record.key), record.len as u32);
            let slot = Slot { hash, len, segment, offset: offset as u32 };
            publish(&mut self.shards[shard_of(hash)].0.write(), slot, record.value.is_none());
            offset += record.len;
            debug_assert!(offset <= bytes.len(), "a record is in its segment");
        }
        Ok(())
    }

    /// Publishes the records of `batch`, which begin at `start` of `segment`, and returns their end. Other writers wait.
    fn publish_all(&self, batch: &WriteBatch, segment: u32, start: u32) -> u32 {
        let mut offset = start;
        let mut publish = |op: &Op<'_>, hash: u64, table: &mut Table| {
            let len = (HEADER_BYTES + op.key().len() + op.value().len()) as u32;
            let slot = Slot { hash, len, segment, offset };
            publish(table, slot, matches!(op, Op::Delete { .. }));
            offset += len;
        };
        if batch.len() < MANY_OPS {
            for op in batch.ops() {
                let hash = hash_of(op.key());
                publish(&op, hash, &mut self.shards[shard_of(hash)].0.write());
            }
        } else {
            // So many operations need most of the locks. Their slots are read together.
            let mut tables: Vec<_> = self.shards.iter().map(|shard| shard.0.write()).collect();
            let hashes: Vec<u64> = batch.ops().map(|op| hash_of(op.key())).collect();
            for &hash in &hashes {
                tables[shard_of(hash)].touch(hash);
            }
            for (op, hash) in batch.ops().zip(hashes) {
                publish(&op, hash, &mut tables[shard_of(hash)]);
            }
        }
        offset
    }
}

/// Points the key of `slot` to its record, or to none if that record removes the key.
#[inline]
fn publish(table: &mut Table, slot: Slot, is_removed: bool) {
    let Ok(known) = table.find(slot.hash, |_| Ok::<_, Infallible>(true));
    match known {
        Some(known) if is_removed => table.remove(known),
        Some(known) => table.replace(known, slot),
        None if is_removed => {}
        None => table.add(slot),
    }
}

/// The shard of a key.
#[inline]
fn shard_of(hash: u64) -> usize {
    const { assert!(SHARDS.is_power_of_two(), "a remainder is a mask") };
    hash as usize % SHARDS
}

/// The hash of a key. Eight bytes are mixed at a time: nobody attacks a yardstick.
fn hash_of(key: &[u8]) -> u64 {
    let (words, rest) = key.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let whole =
        words.iter().fold(key.len() as u64, |hash, word| mix(hash ^ u64::from_le_bytes(*word)));
    if rest.is_empty() { whole } else { mix(whole ^ u64::from_le_bytes(last)) }
}

impl Kv for BoundLogHash {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let hash = hash_of(key);
        let table = self.shards[shard_of(hash)].0.read();
        let known = table.find(hash, |slot| {
            let mut is_match = false;
            self.log.read(slot, &mut |bytes| {
                let record = Record::read(bytes).filter(|record| record.key == key);
                is_match = record.is_some();
                if let Some(value) = record.and_then(|record| record.value) {
                    found(value);
                }
            })?;
            Ok::<_, Error>(is_match)
        })?;
        Ok(known.is_some())
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<SequenceNumber> {
        self.capabilities().check(batch)?;
        let mut tail = self.log.lock();
        tail.buffer.clear();
        for op in batch.ops() {
            Record::write(&op, &mut tail.buffer);
        }
        let (segment, start) = self.log.append(&mut tail)?;
        let end = self.publish_all(batch, segment, start as u32);
        let published = u64::from(end) - start;
        debug_assert_eq!(published, tail.buffer.len() as u64, "all records are published");
        drop(tail);
        if durability == Durability::Sync {
            self.log.sync()?;
        }
        Ok(SequenceNumber(u64::from(segment) << 32 | u64::from(end)))
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        range.check()?;
        let mut entries = Vec::new();
        for shard in &self.shards {
            let table = shard.0.read();
            for slot in table.used_slots() {
                self.log.read(&slot, &mut |bytes| {
                    let key = Record::read(bytes).map(|record| record.key).unwrap_or_default();
                    if range.contains(key) {
                        entries.push((Bytes::copy_from_slice(key), slot));
                    }
                })?;
            }
        }
        let log = Arc::clone(&self.log);
        Ok(Box::new(SortedCursor::new(entries, move |slot: &Slot, value| {
            log.read(slot, &mut |bytes| {
                value.clear();
                let found = Record::read(bytes).and_then(|record| record.value);
                value.extend_from_slice(found.unwrap_or_default());
            })
        })))
    }

    fn sync(&self) -> Result<()> {
        self.log.sync()
    }

    fn close(&self) -> Result<()> {
        self.log.sync()?;
        let mut imaged = self.imaged.lock();
        let segments = self.log.finish()?;
        if segments != *imaged {
            image::save(&self.fs, &self.image, &self.shards, segments)?;
            *imaged = segments;
        }
        Ok(())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(ScanSupport::Sorting, Durability::Sync)
            .with_max_value_len(record::LONGEST_VALUE)
    }

    fn stats(&self) -> Stats {
        let entries: usize = self.shards.iter().map(|shard| shard.0.read().len()).sum();
        Stats::default().with("entries", Unit::Count, entries as u64).with(
            "syncs",
            Unit::Count,
            self.log.sync_count(),
        )
    }
}

#[cfg(test)]
mod tests;
