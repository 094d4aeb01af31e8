//! The image of the table: written by a clean close, mapped by the next opening and searched in place.
//!
//! | field | width | |
//! |---|---|---|
//! | magic | 8 | |
//! | segments | 8 | how many segments the table names; later ones are replayed |
//! | shards | 64 x 16 | for each: its slots, and how many of them are in use |
//! | zeros | | up to 4 KiB |
//! | slots | 16 each | those of the first shard, then those of the next |
//!
//! Numbers are little-endian. An opening reads this header and no slot. It ignores an image whose length is not the one that the
//! header tells, and replays the log. Slots have no check: a wrong one loses its key, or is an error of the get that meets it.

use std::path::Path;
use std::sync::Arc;

use durable::{Access, Fs, Mapped, OsFs};
use kv::Result;

use super::slot::SLOT_BYTES;
use super::table::{MappedSlots, SHARDS, Shard, Table};

const MAGIC: &[u8; 8] = b"bound\0\0\x03";
const HEADER_BYTES: usize = 4096;

/// A mapped image.
#[derive(Debug)]
pub(super) struct Image {
    /// The table of each shard.
    pub(super) tables: Vec<Table>,
    /// The segments that they name.
    pub(super) segments: u32,
}

/// The image at `path`; `None` if there is none, or one that cannot be right.
pub(super) fn map(fs: &OsFs, path: &Path) -> Result<Option<Image>> {
    let file = match fs.open(path) {
        Err(error) if error.io_kind() == Some(std::io::ErrorKind::NotFound) => return Ok(None),
        opened => opened?,
    };
    Ok(tables_of(&file.map(Access::Random)?))
}

fn tables_of(mapped: &Arc<dyn Mapped>) -> Option<Image> {
    let (header, body) = mapped.bytes().split_at_checked(HEADER_BYTES)?;
    let (words, _) = header.as_chunks::<8>();
    let numbers = words[1..].iter().map(|word| u64::from_le_bytes(*word) as usize);
    let body_slots = body.len() / SLOT_BYTES;
    let mut numbers = numbers.take(1 + 2 * SHARDS);
    let segments = u32::try_from(numbers.next()?).ok()?;
    let mut tables = Vec::with_capacity(SHARDS);
    let mut first = 0;
    while let (Some(slots), Some(used)) = (numbers.next(), numbers.next()) {
        if !slots.is_power_of_two() || used >= slots || slots > body_slots - first {
            return None;
        }
        let place = HEADER_BYTES + first * SLOT_BYTES..HEADER_BYTES + (first + slots) * SLOT_BYTES;
        tables.push(Table::mapped(MappedSlots::new(Arc::clone(mapped), place), used));
        first += slots;
    }
    assert_eq!(tables.len(), SHARDS, "the header has numbers for each shard");
    let is_whole = words[0] == *MAGIC && first * SLOT_BYTES == body.len();
    is_whole.then_some(Image { tables, segments })
}

/// Writes the table as it is, and puts the image in the place of an older one. A mapping of that one stays valid.
pub(super) fn save(fs: &OsFs, path: &Path, shards: &[Shard], segments: u32) -> Result<()> {
    assert_eq!(shards.len(), SHARDS);
    let new = path.with_extension("new");
    if new.exists() {
        // A close that was cut has left it.
        fs.remove(&new)?;
    }
    let file = fs.create(&new)?;
    let mut header = MAGIC.to_vec();
    header.extend(u64::from(segments).to_le_bytes());
    let mut end = HEADER_BYTES as u64;
    for shard in shards {
        let table = shard.0.read();
        let bytes = table.slots().as_flattened();
        header.extend((table.slots().len() as u64).to_le_bytes());
        header.extend((table.len() as u64).to_le_bytes());
        file.write_at(end, bytes)?;
        end += bytes.len() as u64;
    }
    assert!(header.len() <= HEADER_BYTES, "the header fits");
    header.resize(HEADER_BYTES, 0);
    file.write_at(0, &header)?;
    file.sync()?;
    fs.rename(&new, path)?;
    path.parent().map_or(Ok(()), |directory| fs.sync_dir(directory))
}

#[cfg(test)]
mod tests {
    use super::super::slot::Slot;
    use super::*;

    fn hash(tag: u32) -> u64 {
        u64::from(tag) << 32 | 5
    }

    fn shards() -> Vec<Shard> {
        let shards: Vec<_> = (0..SHARDS).map(|_| Shard::default()).collect();
        for tag in 0..20_000 {
            let slot = Slot { hash: hash(tag), len: 1 + tag, segment: 3, offset: 7 * tag };
            shards[tag as usize % SHARDS].0.write().add(slot);
        }
        shards
    }

    #[test]
    fn a_mapped_image_holds_what_was_saved_and_takes_writes() {
        let directory = tempfile::tempdir().unwrap();
        let (fs, path) = (OsFs::default(), directory.path().join("image"));
        assert!(map(&fs, &path).unwrap().is_none());
        save(&fs, &path, &shards(), 4).unwrap();
        let Image { mut tables, segments } = map(&fs, &path).unwrap().unwrap();
        assert_eq!((tables.len(), segments), (SHARDS, 4));
        // Another close replaces the file below the mapping.
        let empty: Vec<_> = (0..SHARDS).map(|_| Shard::default()).collect();
        save(&fs, &path, &empty, 5).unwrap();
        for tag in 0..20_000 {
            let table = &mut tables[tag as usize % SHARDS];
            let same = |slot: &Slot| Ok::<_, ()>(slot.offset == 7 * tag);
            let at = table.find(hash(tag), same).unwrap().unwrap();
            let slot = Slot::from_raw(&table.slots()[at]);
            assert_eq!(slot, Slot { hash: hash(tag), len: 1 + tag, segment: 3, offset: 7 * tag });
            let before = table.len();
            table.remove(at);
            assert_eq!((table.find(hash(tag), same).unwrap(), table.len()), (None, before - 1));
        }
    }

    #[test]
    fn an_image_whose_header_does_not_fit_its_length_is_ignored() {
        let directory = tempfile::tempdir().unwrap();
        let (fs, path) = (OsFs::default(), directory.path().join("image"));
        save(&fs, &path, &shards(), 4).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let is_taken = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            map(&fs, &path).unwrap().is_some()
        };
        assert!(is_taken(&whole));
        for len in [0, 1, 8, 4095, 4096, whole.len() - 16, whole.len() - 1] {
            assert!(!is_taken(&whole[..len]), "{len}");
        }
        assert!(!is_taken(&[&whole[..], &[0]].concat()));
        // Each byte of the magic, and some of the counts of slots.
        for at in (0..8).chain([16, 17, 20, 23, 32, 33, 16 * SHARDS, 16 * SHARDS + 1]) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x41;
            assert!(!is_taken(&damaged), "byte {at}");
        }
    }
}
