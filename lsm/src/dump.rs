//! A store as JSON, for people.
//!
//! The answer is written piece by piece, while the files are read. Damage of one file is a member of the object of that file, so
//! that the others are still shown.

mod json;
mod log;
mod table;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use durable::manifest::Manifest;
use durable::store_dir::{OpenMode, StoreDir};
use durable::{Env, ReadOnlyFs};
use kv::Result;

use crate::state::{PlacedTable, State};
use json::Json;

/// Writes the store in `path` to `out` as JSON: the manifest; the runs of each level, the newest first, with the range tombstones
/// and each entry of each table; and each record of each log.
///
/// Keys have escapes for all that is not printable. Values are given as their lengths, moments in milliseconds since 1970. The
/// end of a range is the key behind it, or `null` if it ends behind all keys.
///
/// Touches nothing, so it also works beside a writer, and on a store that does not open. Holds one block of a table or one log
/// in memory. A file that is damaged, or that a writer has removed meanwhile, has a member `damage` with the file and the offset; what
/// comes behind it in the same file is left out. A table whose range tombstones cannot be read has `range_damage`.
///
/// # Errors
/// `Io`, also of `out`; `Corruption` when not even the manifest can be read.
pub fn dump(path: impl AsRef<Path>, env: &Env, out: &mut dyn Write) -> Result<()> {
    let fs = Arc::new(ReadOnlyFs::new(Arc::clone(&env.fs)));
    let dir = StoreDir::open(fs, path.as_ref(), OpenMode::Read)?;
    let manifest = Manifest::<State>::read(&dir)?;
    let mut json = Json::new(out);
    json.text("{\"manifest\":")?;
    json.value(&Manifest::<State>::dump(&dir)?)?;
    json.text(",\n\"levels\":[")?;
    dump_levels(&mut json, &dir, manifest.state())?;
    json.text("],\n\"logs\":[")?;
    for (at, &id) in manifest.state().logs.iter().enumerate() {
        json.separate(at)?;
        log::dump(&mut json, &dir, manifest.store_id(), id)?;
    }
    json.text("]}\n")
}

/// Writes the levels that have tables.
fn dump_levels(json: &mut Json<'_>, dir: &StoreDir, state: &State) -> Result<()> {
    let mut tables: Vec<(&u64, &PlacedTable)> = state.tables.iter().collect();
    tables.sort_by_key(|(_, table)| {
        (table.level, std::cmp::Reverse(table.rank), table.facts.first())
    });
    let levels = tables.chunk_by(|one, next| one.1.level == next.1.level);
    for (at, level) in levels.enumerate() {
        json.separate(at)?;
        json.text(&format!("{{\"level\":{},\"runs\":[", level[0].1.level))?;
        for (at, run) in level.chunk_by(|one, next| one.1.rank == next.1.rank).enumerate() {
            json.separate(at)?;
            json.text(&format!("{{\"rank\":{},\"tables\":[", run[0].1.rank))?;
            for (at, (id, table)) in run.iter().enumerate() {
                json.separate(at)?;
                table::dump(json, dir, **id, &table.facts)?;
            }
            json.text("]}")?;
        }
        json.text("]}")?;
    }
    Ok(())
}
