//! `bound:log+hash`: the bound for every hash engine on a log. A batch is one copy into mapped space that was written
//! ahead. A get is one search in a hash table and one look into a mapping. Concurrent syncs form groups, and an opening
//! after a clean close reads an image of the table.
//!
//! It leaves out the costs of a real engine: no checksum, no merge, no frame; space is never given back. A batch that a
//! crash cuts is kept as far as it reaches, and a batch beyond 16 MiB is refused. It appends through
//! [`durable::LogFile`], which is the system's mapping and nothing more, because the workspace has its `unsafe` there
//! alone.

mod image;
mod record;
mod segments;
mod table;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kv::{
    Bytes, Capabilities, Cursor, Durability, Error, KeyRange, Kv, Op, Result, ScanSupport,
    SequenceNumber, Stats, Unit, WriteBatch,
};
use parking_lot::RwLock;

use self::record::{HEADER_BYTES, Record};
use self::segments::Segments;
use self::table::{SHARDS, Shard, Slot, Table};
use super::Registration;
use super::sorted_cursor::SortedCursor;
use crate::random::mix;

pub(super) const REGISTRATION: Registration = Registration {
    name: "bound:log+hash",
    about: "yardstick: one copy into mapped space a put, a hash table, group commit; no checksums, no merge",
    version: env!("CARGO_PKG_VERSION"),
    classes: &[Durability::None, Durability::Buffered, Durability::Sync],
    open: |directory, config| Ok(Box::new(BoundLogHash::open(directory, config.durability)?)),
    settings: |_| "no cache; 16 bytes for each slot of the table, a quarter of them free".into(),
};

#[derive(Debug)]
struct BoundLogHash {
    image: PathBuf,
    log: Arc<Segments>,
    shards: Box<[Shard]>,
}

impl BoundLogHash {
    fn open(directory: &Path, durability: Durability) -> Result<Self> {
        let image = directory.join("image");
        let loaded = image::load(&image)?;
        let (tables, sealed) = match loaded {
            Some((tables, sealed)) => (tables, Some(sealed)),
            None => ((0..SHARDS).map(|_| Table::default()).collect(), None),
        };
        let segments = sealed.unwrap_or_else(|| segments::count(directory));
        let log = Arc::new(Segments::open(directory, segments, durability == Durability::Sync)?);
        let shards = tables.into_iter().map(|table| Shard(RwLock::new(table))).collect();
        let engine = Self { image, log, shards };
        if sealed.is_none() {
            (0..segments).try_for_each(|segment| engine.replay(segment))?;
        }
        Ok(engine)
    }

    /// Takes the records of a segment into the table.
    fn replay(&self, segment: u32) -> Result<()> {
        let bytes = self.log.sealed_bytes(segment).unwrap_or_default();
        let mut offset = 0;
        while let Some(record) = Record::read(&bytes[offset..]) {
            let place = (segment, offset as u32);
            self.publish(record.key, place, record.len as u32, record.value.is_none())?;
            offset += record.len;
        }
        Ok(())
    }

    fn publish(
        &self,
        key: &[u8],
        (segment, offset): (u32, u32),
        len: u32,
        is_removed: bool,
    ) -> Result<()> {
        let (shard, tag) = place_of(key);
        let mut table = self.shards[shard].0.write();
        let known = table.find(tag, |slot| self.is_record_of(slot, key))?;
        let slot = Slot { tag, len, segment, offset };
        match known {
            Some(known) if is_removed => table.remove(known),
            Some(known) => table.replace(known, slot),
            None if is_removed => {}
            None => table.add(slot),
        }
        Ok(())
    }

    fn is_record_of(&self, slot: &Slot, key: &[u8]) -> Result<bool> {
        let mut is_match = false;
        self.log.read(slot, &mut |bytes| {
            is_match = Record::read(bytes).is_some_and(|record| record.key == key);
        })?;
        Ok(is_match)
    }
}

/// The shard and the tag of a key. Eight bytes are mixed at a time: nobody attacks a yardstick.
fn place_of(key: &[u8]) -> (usize, u32) {
    let (words, rest) = key.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let whole =
        words.iter().fold(key.len() as u64, |hash, word| mix(hash ^ u64::from_le_bytes(*word)));
    let hash = if rest.is_empty() { whole } else { mix(whole ^ u64::from_le_bytes(last)) };
    (hash as usize % SHARDS, (hash >> 32) as u32)
}

impl Kv for BoundLogHash {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let (shard, tag) = place_of(key);
        let table = self.shards[shard].0.read();
        let known = table.find(tag, |slot| {
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
        let mut offset = start as u32;
        for op in batch.ops() {
            let len = (HEADER_BYTES + op.key().len() + op.value().len()) as u32;
            let is_removed = matches!(op, Op::Delete { .. });
            self.publish(op.key(), (segment, offset), len, is_removed)?;
            offset += len;
        }
        drop(tail);
        if durability == Durability::Sync {
            self.log.sync()?;
        }
        Ok(SequenceNumber(u64::from(segment) << 32 | u64::from(offset)))
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        range.check()?;
        let mut entries = Vec::new();
        for shard in &self.shards {
            let table = shard.0.read();
            for slot in table.slots().iter().filter(|slot| slot.len > 0) {
                self.log.read(slot, &mut |bytes| {
                    let key = Record::read(bytes).map(|record| record.key).unwrap_or_default();
                    if range.contains(key) {
                        entries.push((Bytes::copy_from_slice(key), *slot));
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
        let segments = self.log.finish()?;
        image::save(&self.image, &self.shards, segments)
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
mod tests {
    use super::*;

    fn check(engine: &BoundLogHash, count: u32) {
        for number in 0..count {
            let key = number.to_be_bytes();
            let expected = (number % 3 != 0).then(|| vec![number as u8; 1000]);
            assert_eq!(engine.get(&key).unwrap().as_deref(), expected.as_deref());
        }
    }

    fn fill(engine: &BoundLogHash, count: u32) {
        for number in 0..count {
            let key = number.to_be_bytes();
            engine.put(&key, &vec![number as u8; 1000], Durability::Buffered).unwrap();
            if number % 3 == 0 {
                engine.delete(&key, Durability::Buffered).unwrap();
            }
        }
    }

    #[test]
    fn an_image_and_a_replay_lead_to_the_same_entries() {
        for (is_clean, durability) in
            [(true, Durability::Buffered), (false, Durability::Buffered), (true, Durability::Sync)]
        {
            let directory = tempfile::tempdir().unwrap();
            // More than one segment.
            let count = 20_000;
            let engine = BoundLogHash::open(directory.path(), durability).unwrap();
            fill(&engine, count);
            check(&engine, count);
            if is_clean {
                engine.close().unwrap();
            }
            assert_eq!(engine.image.exists(), is_clean);
            drop(engine);
            let engine = BoundLogHash::open(directory.path(), durability).unwrap();
            check(&engine, count);
            engine.put(b"new", b"1", Durability::Sync).unwrap();
            assert_eq!(engine.get(b"new").unwrap().as_deref(), Some(&b"1"[..]));
        }
    }

    #[test]
    fn syncs_of_several_threads_share_rounds() {
        let directory = tempfile::tempdir().unwrap();
        let engine = &BoundLogHash::open(directory.path(), Durability::Sync).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4_u32 {
                scope.spawn(move || {
                    for number in 0..20_u32 {
                        let key = [thread.to_be_bytes(), number.to_be_bytes()].concat();
                        engine.put(&key, b"1", Durability::Sync).unwrap();
                    }
                });
            }
        });
        let stats = engine.stats();
        assert_eq!(stats.get("entries"), Some(80));
        assert!((1..=80).contains(&stats.get("syncs").unwrap()));
    }
}
