//! A table as JSON.

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use durable::store_dir::StoreDir;
use kv::{Cursor as _, Error, Result};
use serde_json::{Value, json};
use sstable::{ReadMode, ReadOptions, Table};

use super::json::{Json, escaped};
use crate::expiring;
use crate::files::TABLE;
use crate::internal_key::{self, Kind, Trailer};
use crate::range_tombstones::Fragment;
use crate::state::TableFacts;
use crate::table_file::{open_table, read_fragments};

/// Writes table `id`, about which the manifest states `facts`.
pub(super) fn dump(json: &mut Json<'_>, dir: &StoreDir, id: u64, facts: &TableFacts) -> Result<()> {
    json.begin(&json!({
        "file": TABLE.name(id),
        "len_bytes": facts.len,
        "entries_stated": facts.entries,
        "tombstones_stated": facts.tombstones,
        "expiring_stated": facts.expiring(),
        "range_fragments_stated": facts.range_fragments(),
        "oldest": facts.oldest,
        "newest": facts.newest,
    }))?;
    let path = dir.file(&TABLE.name(id));
    let read = ReadOptions { mode: ReadMode::Positional, ..ReadOptions::default() };
    let table = open_table(&**dir.fs(), &path, facts, &read).map(Arc::new);
    let ranges = json.list("range_tombstones", |visit| {
        let (Ok(table), Some(_)) = (&table, &facts.ranges) else { return Ok(()) };
        let fragments = read_fragments(table, facts, &path)?;
        fragments.iter().try_for_each(|fragment| visit(&shown_fragment(fragment)))
    })?;
    if let Err(error) = ranges {
        json.text(&format!(",\"range_damage\":{}", json!(error.to_string())))?;
    }
    json.text(",")?;
    let entries = json.list("entries", |visit| walk(&table?, &path, visit))?;
    json.text(&match entries {
        Ok(()) => "}".to_owned(),
        Err(error) => format!(",\"damage\":{}}}", json!(error.to_string())),
    })
}

fn shown_fragment(fragment: &Fragment) -> Value {
    json!({
        "key": escaped(&fragment.range.start),
        "end": fragment.range.end.as_deref().map(escaped),
        "sequences": fragment.numbers(),
    })
}

/// Calls `visit` with each entry of `table`, in order.
fn walk(
    table: &Arc<Table>,
    path: &Path,
    visit: &mut dyn FnMut(&Value) -> Result<()>,
) -> Result<()> {
    let mut cursor = table.scan((Bound::Unbounded, Bound::Unbounded))?;
    while cursor.next()? {
        let (key, value) = cursor.entry()?;
        let Some((user, trailer)) = internal_key::split(key) else {
            return Err(Error::corruption(path, 0, "a key shorter than its suffix"));
        };
        visit(&shown_entry(user, trailer, value))?;
    }
    Ok(())
}

fn shown_entry(user: &[u8], trailer: Trailer, value: &[u8]) -> Value {
    let mut shown = json!({
        "key": escaped(user),
        "sequence": trailer.sequence(),
        "kind": trailer.kind().map_or_else(|| "unknown".into(), |kind| format!("{kind:?}")),
    });
    let expiring = (trailer.kind() == Some(Kind::Expiring)).then(|| expiring::split(value));
    if let Some((end, value)) = expiring.flatten() {
        shown["expires_at"] = end.into();
        shown["value_len"] = value.len().into();
    } else if trailer.kind() != Some(Kind::Tombstone) {
        shown["value_len"] = value.len().into();
    }
    shown
}
