//! A store as JSON, for people.

use std::path::Path;
use std::sync::Arc;

use durable::log::{Tail, scan_segment};
use durable::manifest::Manifest;
use durable::store_dir::{OpenMode, StoreDir};
use durable::{Env, Fs, read_whole};
use kv::Result;
use serde_json::{Value, json};

use crate::files::DATA;
use crate::record::Record;
use crate::state::State;

/// The manifest of the store in `path`, and each record of each data file it names, values as their lengths only.
/// Touches nothing, so it also works beside a writer and on a store that does not open. Damage is reported with its
/// place, and the records behind it in the same file are left out.
///
/// # Errors
/// `Io`; `Corruption` when not even the manifest can be read.
pub fn dump(path: impl AsRef<Path>, env: &Env) -> Result<Value> {
    let dir = StoreDir::open(Arc::clone(&env.fs), path.as_ref(), OpenMode::Read)?;
    let found = Manifest::<State>::read(&dir)?;
    let files: Vec<Value> = found
        .state()
        .files
        .keys()
        .map(|&id| {
            let path = dir.file(&DATA.name(id));
            dump_file(&**dir.fs(), &path, &found, id)
                .unwrap_or_else(|error| json!({ "file": id, "error": error.to_string() }))
        })
        .collect();
    Ok(json!({ "manifest": Manifest::<State>::dump(&dir)?, "data_files": files }))
}

fn dump_file(
    fs: &dyn Fs,
    path: &Path,
    found: &durable::manifest::LoadedManifest<State>,
    id: u64,
) -> Result<Value> {
    let bytes = read_whole(&*fs.open(path)?)?;
    let mut records = Vec::new();
    let scan = scan_segment(bytes.bytes(), found.store_id(), id, path, &mut |batch| {
        for frame in batch {
            let (key, value_len, expires_at) = match Record::decode(frame, path)? {
                Record::Put { key, value, expires_at } => (key, Some(value.len()), expires_at),
                Record::Delete { key } => (key, None, None),
            };
            records.push(json!({
                "offset": frame.offset,
                "sequence": frame.sequence,
                "durable_before": frame.durable_before(),
                "key": key.escape_ascii().to_string(),
                "value_len": value_len,
                "expires_at_ms": expires_at.map(|time| time.0),
            }));
        }
        Ok(())
    });
    let end = match &scan {
        Ok(scan) if scan.tail == Tail::Ended => json!({ "len": scan.len, "tail": "ended" }),
        Ok(scan) => json!({ "len": scan.len, "tail": "open" }),
        Err(error) => json!({ "error": error.to_string() }),
    };
    Ok(json!({ "file": id, "records": records, "end": end }))
}
