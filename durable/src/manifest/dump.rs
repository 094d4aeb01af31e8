//! The manifest for people to read.

use std::path::Path;

use kv::Result;
use serde_json::{Value, json};

use super::format::{Current, GENERATION_FILES, decode_header};
use super::loaded::{read_current, read_named};
use super::record::{Kind, Record};
use super::records::Records;
use super::state::State;
use crate::store_dir::StoreDir;

/// All of the manifest as JSON: `CURRENT`, the generation that it names, each record, and the first damage, if any.
///
/// # Errors
/// As [`Manifest::read`](super::Manifest::read) for `CURRENT`; `Io`. Damage behind it is part of the answer.
pub(super) fn dump<S: State>(store: &StoreDir) -> Result<Value> {
    let current = read_current::<S>(store)?;
    let name = GENERATION_FILES.name(current.identity.generation);
    let path = store.file(&name);
    let bytes = read_named(store, &path)?;
    let mut json = json!({
        "engine": S::ENGINE.name,
        "format": current.identity.format,
        "store_id": current.identity.store_id.to_string(),
        "open_epoch": current.identity.open_epoch,
        "reached_edit_number": current.edit_number,
        "file": name,
        "file_len_bytes": bytes.len(),
    });
    let mut listed = Vec::new();
    let tail = dump_generation::<S>(&bytes, &current, &path, &mut listed);
    json["records"] = listed.into();
    json["tail"] = tail.unwrap_or_else(|damage| json!({ "damage": damage.to_string() }));
    Ok(json)
}

/// Lists the records up to the first damage, and says how they end.
fn dump_generation<S: State>(
    bytes: &[u8],
    current: &Current,
    path: &Path,
    listed: &mut Vec<Value>,
) -> Result<Value> {
    let features = decode_header::<S>(bytes, current, path)?;
    listed.push(json!({
        "offset": 0,
        "kind": "header",
        "required_features": features.required,
        "optional_features": features.optional,
    }));
    let mut records = Records::new(bytes, current.identity.salt(), path);
    while let Some(record) = records.next()? {
        listed.push(dump_record::<S>(&record, current.identity.format, path)?);
    }
    let torn = json!({ "torn_at": records.offset() });
    Ok(if records.is_torn() { torn } else { json!("whole") })
}

fn dump_record<S: State>(record: &Record<'_>, format: u16, path: &Path) -> Result<Value> {
    let (kind, content) = match record.kind {
        Kind::Snapshot => {
            let mut reader = record.reader(path);
            let state = S::decode_state(format, &mut reader)?;
            reader.finish()?;
            ("snapshot", state.to_json())
        }
        Kind::Edit => ("edit", dump_edits::<S>(record, format, path)?.swap_remove(0)),
        Kind::Edits => ("edits", dump_edits::<S>(record, format, path)?.into()),
    };
    Ok(json!({
        "offset": record.offset,
        "kind": kind,
        "edit_number": record.edit_number,
        "content": content,
    }))
}

fn dump_edits<S: State>(record: &Record<'_>, format: u16, path: &Path) -> Result<Vec<Value>> {
    let edits = record.edits(path)?.into_iter().map(|mut reader| {
        let edit = S::decode_edit(format, &mut reader)?;
        reader.finish()?;
        Ok(S::edit_to_json(&edit))
    });
    edits.collect()
}
