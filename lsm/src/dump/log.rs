//! A log as JSON.

use durable::log::{FrameView, StoreId, Tail, scan_segment};
use durable::read_whole;
use durable::store_dir::StoreDir;
use kv::Result;
use serde_json::{Value, json};

use super::json::{Json, escaped};
use crate::expiring;
use crate::files::LOG;
use crate::record::{Meaning, Record};

/// Writes log `id` of the store.
pub(super) fn dump(json: &mut Json<'_>, dir: &StoreDir, store: StoreId, id: u64) -> Result<()> {
    let path = dir.file(&LOG.name(id));
    json.begin(&json!({ "file": LOG.name(id) }))?;
    let scan = json.list("records", |visit| {
        let bytes = read_whole(&*dir.fs().open(&path)?)?;
        scan_segment(bytes.bytes(), store, id, &path, &mut |batch| {
            batch.iter().try_for_each(|frame| visit(&shown(frame, &Record::decode(frame, &path)?)))
        })
    })?;
    json.text(&match scan {
        Ok(scan) => {
            let tail = if scan.tail == Tail::Ended { "ended" } else { "open" };
            format!(",\"len_bytes\":{},\"tail\":\"{tail}\"}}", scan.len)
        }
        Err(error) => format!(",\"damage\":{}}}", json!(error.to_string())),
    })
}

fn shown(frame: &FrameView<'_>, record: &Record<'_>) -> Value {
    let mut shown = json!({
        "offset": frame.offset,
        "sequence": frame.sequence,
        "durable_before": frame.durable_before(),
        "kind": format!("{:?}", record.meaning),
        "key": escaped(record.key),
    });
    match record.meaning {
        Meaning::Delete => {}
        Meaning::DeleteRange => shown["end"] = escaped(record.value),
        Meaning::DeleteFrom => shown["end"] = Value::Null,
        Meaning::Put => shown["value_len"] = record.value.len().into(),
        Meaning::PutExpiring => {
            let (end, value) = expiring::split(record.value).unwrap_or_default();
            shown["expires_at"] = end.into();
            shown["value_len"] = value.len().into();
        }
    }
    shown
}
