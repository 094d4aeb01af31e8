//! Everything that was read from a damaged store, errors included, and whether it can be true.

use kv::{Bytes, Cursor, Error, KeyRange, Kv, UnixMillis};

use crate::observe::describe;
use crate::oracle::Model;
use crate::universe;

/// The entries that a walk found before it ended or failed.
#[derive(Debug, Default)]
struct Walk {
    entries: Vec<(Bytes, Bytes)>,
    error: Option<Error>,
}

/// The answers of all ways of reading.
#[derive(Debug)]
pub(super) struct Reading {
    forward: Walk,
    backward: Walk,
    gets: Vec<(Bytes, kv::Result<Option<Bytes>>)>,
}

impl Reading {
    /// Reads everything from `engine`, `keys` by name.
    pub(super) fn of(engine: &dyn Kv, keys: &[u8]) -> Result<Self, String> {
        let forward = walk(engine, |cursor| cursor.next())?;
        let backward = walk(engine, |cursor| cursor.prev())?;
        let gets = keys.iter().map(|&key| universe::key(key));
        let gets = gets.map(|key| (key.clone(), engine.get(key))).collect();
        Ok(Self { forward, backward, gets })
    }

    /// The first error that does not say which file is damaged.
    pub(super) fn unclear_error(&self) -> Option<&Error> {
        self.errors().find(|error| !error.is_corruption())
    }

    /// The first error.
    pub(super) fn error(&self) -> Option<&Error> {
        self.errors().next()
    }

    fn errors(&self) -> impl Iterator<Item = &Error> {
        let gets = self.gets.iter().filter_map(|(_, answer)| answer.as_ref().err());
        self.forward.error.iter().chain(&self.backward.error).chain(gets)
    }

    /// Compares everything that was read without an error with `model`. `Err`: the first difference.
    pub(super) fn agrees(&self, model: &Model, now: UnixMillis) -> Result<(), String> {
        let mut wanted: Vec<(&Bytes, &Bytes)> = model.visible(now).collect();
        self.forward.agrees(&wanted).map_err(|what| format!("a scan forwards {what}"))?;
        wanted.reverse();
        self.backward.agrees(&wanted).map_err(|what| format!("a scan backwards {what}"))?;
        for (key, answer) in &self.gets {
            let wanted = model.get(key, now);
            if answer.as_ref().is_ok_and(|found| found.as_ref() != wanted) {
                let found =
                    if wanted.is_some() { "nothing, or something else," } else { "a value" };
                return Err(format!(
                    "a get of key {} found {found} without an error",
                    describe(key)
                ));
            }
        }
        Ok(())
    }
}

impl Walk {
    fn agrees(&self, wanted: &[(&Bytes, &Bytes)]) -> Result<(), String> {
        let same =
            |((key, value), wanted): (&(Bytes, Bytes), &(&Bytes, &Bytes))| (key, value) == *wanted;
        let same = self.entries.iter().zip(wanted).take_while(|pair| same(*pair)).count();
        if let Some((key, value)) = self.entries.get(same) {
            return Err(format!("found key {} with {}", describe(key), describe(value)));
        }
        match wanted.get(same) {
            Some((key, _)) if self.error.is_none() => {
                Err(format!("went past key {} without an error", describe(key)))
            }
            _ => Ok(()),
        }
    }
}

fn walk(
    engine: &dyn Kv,
    step: impl Fn(&mut dyn Cursor) -> kv::Result<bool>,
) -> Result<Walk, String> {
    let mut walk = Walk::default();
    let mut cursor = match engine.scan(KeyRange::all()) {
        Ok(cursor) => cursor,
        Err(error) => return Ok(Walk { error: Some(error), ..walk }),
    };
    loop {
        match step(&mut *cursor) {
            Ok(true) => match cursor.entry() {
                Ok((key, value)) => {
                    let entry = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
                    walk.entries.push(entry);
                    debug_assert!(walk.error.is_none(), "a walk ends with its first error");
                }
                Err(error) => {
                    // The value is damaged and the key is not: the cursor stays, and gives out no other value.
                    if cursor.value().is_ok() {
                        return Err(format!("a value is read after: {error}"));
                    }
                    return Ok(Walk { error: Some(error), ..walk });
                }
            },
            Ok(false) => return Ok(walk),
            Err(error) => {
                // A cursor never skips over damage: it goes on failing.
                if step(&mut *cursor).is_ok() || cursor.seek_ge(b"").is_ok() {
                    return Err(format!("a cursor moves on after: {error}"));
                }
                return Ok(Walk { error: Some(error), ..walk });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kv::WriteBatch;

    use super::*;
    use crate::scripted::ScriptedEngine;

    const NOW: UnixMillis = UnixMillis(1);

    fn sound() -> ScriptedEngine {
        ScriptedEngine::sound(&[("a", "1"), ("b", "2")])
    }

    fn model() -> Model {
        let mut batch = WriteBatch::new();
        batch.put(b"a", b"1").put(b"b", b"2");
        let mut model = Model::default();
        model.apply(&batch);
        model
    }

    /// Reads the table's first three keys: `a`, `b` and the empty one.
    fn agrees(change: impl Fn(&mut ScriptedEngine)) -> Result<(), String> {
        let mut engine = sound();
        change(&mut engine);
        Reading::of(&engine, &[0, 1, 2])?.agrees(&model(), NOW)
    }

    #[test]
    fn a_whole_store_agrees_and_a_scan_may_end_with_an_error() {
        agrees(|_| ()).unwrap();
        agrees(|engine| {
            engine.fails = true;
            engine.forward.pop();
            engine.backward.pop();
        })
        .unwrap();
    }

    #[test]
    fn a_scan_that_ends_early_without_an_error_is_noticed() {
        agrees(|engine| drop(engine.forward.pop())).unwrap_err();
        agrees(|engine| drop(engine.backward.pop())).unwrap_err();
    }

    #[test]
    fn a_wrong_value_is_noticed() {
        agrees(|engine| engine.forward[0].1 = "3".into()).unwrap_err();
        agrees(|engine| drop(engine.gets.insert("a".into(), "3".into()))).unwrap_err();
        agrees(|engine| drop(engine.gets.remove(&b"b"[..]))).unwrap_err();
        agrees(|engine| drop(engine.gets.insert("".into(), "3".into()))).unwrap_err();
    }

    #[test]
    fn a_cursor_that_moves_on_after_an_error_is_noticed() {
        agrees(|engine| (engine.fails, engine.recovers) = (true, true)).unwrap_err();
    }
}
