//! A store read whole, and compared with a model.

use kv::{Error, KeyRange, Kv};

use super::fixture::Model;

/// Reads every key of `model` and scans the store. What is read without an error must be what `model` says.
///
/// # Panics
/// When it is not, or when an error does not say which file is damaged.
pub(super) fn agrees_or_fails(engine: &dyn Kv, model: &Model) {
    for (key, value) in model {
        match engine.get(key) {
            Ok(found) => assert_eq!(found.as_deref(), Some(&value[..]), "key {key:?}"),
            Err(error) => expect_corruption(&error),
        }
    }
    let mut wanted = model.iter();
    let scanned = scan(engine, &mut |key, value| {
        let (wanted_key, wanted_value) = wanted.next().expect("no more keys than were written");
        assert_eq!((key, value), (&wanted_key[..], &wanted_value[..]), "an entry of a scan");
    });
    match scanned {
        Ok(()) => assert_eq!(wanted.next(), None, "a scan ends early without an error"),
        Err(error) => expect_corruption(&error),
    }
}

fn expect_corruption(error: &Error) {
    assert!(error.is_corruption(), "a read does not call it damage: {error}");
}

/// Calls `visit` with each entry, in order.
pub(super) fn scan(engine: &dyn Kv, visit: &mut dyn FnMut(&[u8], &[u8])) -> kv::Result<()> {
    let mut cursor = engine.scan(KeyRange::all())?;
    while cursor.next()? {
        let (key, value) = cursor.entry()?;
        visit(key, value);
    }
    Ok(())
}
