//! The image of the table: written by a clean close, read by the next opening.

use std::path::Path;

use kv::{Error, Result};

use super::table::{SHARDS, SLOT_BYTES, Shard, Slot, Table};

/// The tables of an image and the segments that they name. The image goes: the next write makes it old.
pub(super) fn load(path: &Path) -> Result<Option<(Vec<Table>, u32)>> {
    if !path.exists() {
        return Ok(None);
    }
    let failed = |op| move |error| Error::io(op, path, error);
    let bytes = std::fs::read(path).map_err(failed("read"))?;
    std::fs::remove_file(path).map_err(failed("remove"))?;
    let mut rest = &bytes[..];
    let number = |rest: &mut &[u8]| {
        let (first, others) = rest.split_first_chunk::<8>()?;
        *rest = others;
        Some(u64::from_le_bytes(*first))
    };
    let Some(segments) = number(&mut rest) else { return Ok(None) };
    let mut tables = Vec::with_capacity(SHARDS);
    for _ in 0..SHARDS {
        let Some(count) = number(&mut rest) else { return Ok(None) };
        let Some((slots, others)) = rest.split_at_checked(count as usize * SLOT_BYTES) else {
            return Ok(None);
        };
        let (slots, _) = slots.as_chunks::<SLOT_BYTES>();
        tables.push(Table::from_slots(slots.iter().copied().map(Slot::from_bytes).collect()));
        rest = others;
    }
    Ok(Some((tables, segments as u32)))
}

/// Writes the table as it is: the count of segments, then each shard's slots behind their count.
pub(super) fn save(path: &Path, shards: &[Shard], segments: u32) -> Result<()> {
    let mut bytes = u64::from(segments).to_le_bytes().to_vec();
    for shard in shards {
        let table = shard.0.read();
        bytes.extend_from_slice(&(table.slots().len() as u64).to_le_bytes());
        bytes.extend(table.slots().iter().flat_map(|slot| slot.to_bytes()));
    }
    std::fs::write(path, bytes).map_err(|error| Error::io("write", path, error))
}
