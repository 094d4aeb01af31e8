//! The last word on an engine: everything it holds, compared with everything it was given.

use kv::{KeyRange, Kv};

use crate::dataset::Dataset;
use crate::failure::{Failure, Outcome};
use crate::model::Model;

/// Walks over all entries: keys must ascend, each entry must be the newest of its key, and none may be missing.
pub(super) fn check_everything(engine: &dyn Kv, dataset: &Dataset, model: &Model) -> Outcome<u64> {
    let mut cursor = engine.scan(KeyRange::all())?;
    let mut previous: Option<Vec<u8>> = None;
    let mut entries = 0;
    while cursor.next()? {
        let (key, value) = cursor.entry()?;
        let (id, version) = dataset.check_entry(key, value)?;
        let state = model.state(id);
        let what = if previous.as_deref().is_some_and(|previous| previous >= key) {
            Some("out of order")
        } else if !state.is_present() {
            Some("that was deleted")
        } else if state.version() != version {
            Some("with an old value")
        } else if model.value_bytes(id) as usize != value.len() {
            Some("with a value of another length than the one that was put")
        } else {
            None
        };
        if let Some(what) = what {
            let key = key.escape_ascii();
            return Err(Failure::wrong_data(format!("at the end there is key \"{key}\" {what}")));
        }
        previous.get_or_insert_default().clear();
        previous.get_or_insert_default().extend_from_slice(key);
        entries += 1;
    }
    let present = model.present_ids().count() as u64;
    if entries != present {
        return Err(Failure::wrong_data(format!(
            "at the end there are {entries} entries where {present} were put and not deleted"
        )));
    }
    Ok(entries)
}
