//! The final check: everything that the engine holds, compared with the model.

use kv::{KeyRange, Kv};

use crate::dataset::Dataset;
use crate::failure::{Failure, Outcome};
use crate::model::Model;

/// Walks over all entries: keys must ascend, each entry must be the newest of its key, and none may be missing. `when` is
/// the moment of the check, for a complaint.
pub(super) fn check_everything(
    engine: &dyn Kv,
    dataset: &Dataset,
    model: &Model,
    when: &str,
) -> Outcome<u64> {
    let mut cursor = engine.scan(KeyRange::all())?;
    let mut previous: Option<Vec<u8>> = None;
    let mut found = vec![false; model.capacity() as usize];
    let mut entries = 0;
    while cursor.next()? {
        let (key, value) = cursor.entry()?;
        let (id, version) = dataset.check_entry(key, value).map_err(|wrong| wrong.within(when))?;
        let in_order = previous.as_deref().is_none_or(|previous| previous < key);
        if let Some(complaint) = complaint(model, id, version, value.len(), in_order) {
            let key = dataset.show_key(id);
            return Err(Failure::wrong_data(format!("the store has {key} {when}, {complaint}")));
        }
        assert!(!found[id as usize], "keys that ascend are different");
        found[id as usize] = true;
        previous.get_or_insert_default().clear();
        previous.get_or_insert_default().extend_from_slice(key);
        entries += 1;
    }
    let found_ids = found.iter().filter(|is_found| **is_found).count() as u64;
    assert_eq!(found_ids, entries, "each entry has an id of its own");
    check_nothing_is_lost(dataset, model, &found, when)?;
    Ok(entries)
}

/// The complaint about an entry of key `id`; `None` if it is right.
fn complaint(
    model: &Model,
    id: u32,
    version: u32,
    value_bytes: usize,
    in_order: bool,
) -> Option<String> {
    let state = model.state(id);
    let expected = model.value_bytes(id);
    if !in_order {
        Some("after a larger key".into())
    } else if state.version() == 0 {
        Some("and it was never put".into())
    } else if !state.is_present() {
        Some("and it was deleted".into())
    } else if state.version() != version {
        let newest = state.version();
        Some(format!("in version {version} where version {newest} was acknowledged"))
    } else if expected as usize != value_bytes {
        Some(format!("with a value of {value_bytes} bytes where {expected} were put"))
    } else {
        None
    }
}

/// Each key that is present by the model must be among those that were `found`.
fn check_nothing_is_lost(
    dataset: &Dataset,
    model: &Model,
    found: &[bool],
    when: &str,
) -> Outcome<()> {
    let mut lost = model.present_ids().filter(|id| !found[*id as usize]);
    let Some(first) = lost.next() else { return Ok(()) };
    let key = dataset.show_key(first);
    let others = match lost.count() {
        0 => String::new(),
        count => format!(" and {count} others"),
    };
    Err(Failure::wrong_data(format!("the store lost {key}{others} {when}")))
}

#[cfg(test)]
mod tests {
    use kv::memory::MemoryEngine;
    use kv::{Durability, WriteBatch};

    use super::*;
    use crate::keys::{KeyShape, KeySpace};
    use crate::model::KeyState;
    use crate::values::Values;

    const KEYS: u32 = 3;

    /// The complaint about an engine that has version 2 of each key, with 40 bytes, by a model that `change` has changed.
    fn complaint_after(change: impl FnOnce(&mut Model)) -> Option<String> {
        let keys = KeySpace::Shaped(KeyShape::Padded);
        let values = Values::Pooled;
        let dataset =
            Dataset { keys, values, common_value_bytes: Some(40), capacity: KEYS + 1, order: None };
        let (engine, mut model) = (MemoryEngine::new(), Model::new(KEYS + 1));
        let (mut writer, mut key) = (dataset.values.writer(0, 1, 40), Vec::new());
        for id in 0..KEYS {
            dataset.keys.write_key(id, &mut key);
            let mut batch = WriteBatch::new();
            batch.put(&key, writer.seal_next(id, 2, 40));
            engine.write(&batch, Durability::None).unwrap();
            model.write(id, KeyState::new(2, true), 40);
        }
        change(&mut model);
        check_everything(&engine, &dataset, &model, "now").err().map(|failure| failure.text)
    }

    #[test]
    fn everything_that_differs_from_the_model_is_named() {
        assert_eq!(complaint_after(|_| {}), None);
        let text = |change: fn(&mut Model)| complaint_after(change).unwrap();
        let newer = text(|model| model.write(1, KeyState::new(3, true), 40));
        assert!(newer.contains("in version 2 where version 3 was acknowledged"), "{newer}");
        let deleted = text(|model| model.write(1, KeyState::new(3, false), 0));
        assert!(deleted.contains("and it was deleted"), "{deleted}");
        let lost = text(|model| model.write(KEYS, KeyState::new(3, true), 40));
        assert!(lost.contains("the store lost key"), "{lost}");
        let longer = text(|model| {
            *model = Model::of_states(KEYS + 1, &[(KeyState::new(2, true), 41); KEYS as usize]);
        });
        assert!(longer.contains("with a value of 40 bytes where 41 were put"), "{longer}");
        let unknown = text(|model| *model = Model::new(KEYS + 1));
        assert!(unknown.contains("and it was never put"), "{unknown}");
    }
}
