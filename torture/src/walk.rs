//! Cursors, moved about at random beside a cursor over the model.
//!
//! A cursor stands on an entry or in the gap at either end of its range, and a fresh one in neither; a move that finds
//! nothing leaves it in the gap at that end. The model cursor is an index into a list, so it cannot get this wrong.

use kv::{Bytes, Cursor, Direction, Entries, Error, KeyRange, Kv, Snapshot, UnixMillis};

use crate::observe::describe;
use crate::oracle::Model;
use crate::random::Random;
use crate::universe;

/// How many moves one walk makes.
const MOVES: usize = 16;

/// A cursor over a list of entries. It states the rules of positions by itself and does not share `kv::CursorPosition` with
/// the engines that it judges.
pub(crate) struct ModelCursor {
    entries: Vec<(Bytes, Bytes)>,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Fresh,
    BeforeFirst,
    At(usize),
    AfterLast,
}

impl ModelCursor {
    /// A fresh cursor over the entries of `model` in `range`.
    pub(crate) fn new(model: &Model, now: UnixMillis, range: &KeyRange) -> Self {
        let inside = model.visible(now).filter(|(key, _)| range.contains(key));
        let entries: Vec<(Bytes, Bytes)> =
            inside.map(|(key, value)| (key.clone(), value.clone())).collect();
        debug_assert!(entries.is_sorted_by(|a, b| a.0 < b.0), "a model is in the order of keys");
        Self { entries, place: Place::Fresh }
    }

    /// The entry that the cursor stands on after `step`.
    fn step(&mut self, step: &Move) -> Option<&(Bytes, Bytes)> {
        let len = self.entries.len();
        let first_from = |at: usize| if at < len { Place::At(at) } else { Place::AfterLast };
        let last_before = |at: usize| at.checked_sub(1).map_or(Place::BeforeFirst, Place::At);
        let rank = |key: &[u8]| self.entries.partition_point(|(entry, _)| &entry[..] < key);
        self.place = match (step, self.place) {
            (Move::SeekGe(key), _) => first_from(rank(key)),
            (Move::SeekLt(key), _) => last_before(rank(key)),
            (Move::Next, Place::Fresh | Place::BeforeFirst) => first_from(0),
            (Move::Next, Place::At(at)) => first_from(at + 1),
            (Move::Next, Place::AfterLast) => Place::AfterLast,
            (Move::Prev, Place::Fresh | Place::AfterLast) => last_before(len),
            (Move::Prev, Place::At(at)) => last_before(at),
            (Move::Prev, Place::BeforeFirst) => Place::BeforeFirst,
        };
        assert!(self.place != Place::Fresh, "a move leaves the fresh place for good");
        match self.place {
            Place::At(at) => Some(&self.entries[at]),
            _ => None,
        }
    }
}

/// One move of a cursor.
#[derive(Clone, Debug)]
enum Move {
    SeekGe(Bytes),
    SeekLt(Bytes),
    Next,
    Prev,
}

impl Move {
    fn random(random: &Random, keys: &[u8]) -> Self {
        let key = || {
            let near = universe::key(any_key(random, keys));
            // A key just after an entry is as interesting as the entry itself.
            if random.one_in(3) { [near, &b"\0"[..]].concat().into() } else { near.clone() }
        };
        match random.below(10) {
            0..2 => Self::SeekGe(key()),
            2..4 => Self::SeekLt(key()),
            4..7 => Self::Next,
            _ => Self::Prev,
        }
    }

    fn on(&self, cursor: &mut dyn Cursor) -> kv::Result<bool> {
        match self {
            Self::SeekGe(key) => cursor.seek_ge(key),
            Self::SeekLt(key) => cursor.seek_lt(key),
            Self::Next => cursor.next(),
            Self::Prev => cursor.prev(),
        }
    }
}

fn any_key(random: &Random, keys: &[u8]) -> u8 {
    if keys.is_empty() { random.below(universe::KEYS) as u8 } else { *random.pick(keys) }
}

fn random_range(random: &Random, keys: &[u8]) -> KeyRange {
    let key = || universe::key(any_key(random, keys));
    let (a, b) = (key(), key());
    let (low, high) = (&a.min(b)[..], &a.max(b)[..]);
    assert!(low <= high, "a range has an order");
    match random.below(7) {
        0 => KeyRange::new(low..),
        1 => KeyRange::new(..high),
        2 => KeyRange::new(..=high),
        3 => KeyRange::new(low..high),
        4 => KeyRange::new(low..=high),
        5 => KeyRange::prefix(&low[..low.len().min(4)]),
        _ => KeyRange::all(),
    }
}

/// A walk over a range of `engine`; range and moves follow from `seed`.
pub(crate) fn check(
    engine: &dyn Kv,
    model: &Model,
    now: UnixMillis,
    seed: u64,
    keys: &[u8],
) -> Result<(), String> {
    let random = Random::new(seed);
    let range = random_range(&random, keys);
    let mut cursor = engine.scan(range.clone()).map_err(|e| format!("scan failed: {e}"))?;
    let mut expected = ModelCursor::new(model, now, &range);
    let moves = (0..MOVES).map(|_| Move::random(&random, keys));
    // A generator of its own decides which values are asked for, so that the moves follow from the seed alone.
    let asks = Random::new(seed.wrapping_add(1));
    compare(&mut *cursor, &mut expected, moves, || asks.one_in(2))
        .map_err(|what| format!("in {range:?}, {what}"))
}

/// Makes each move with both cursors. The values are compared only where `asks_value` says so: a cursor that keeps a value
/// for the caller must not give it out for another entry.
fn compare(
    cursor: &mut dyn Cursor,
    expected: &mut ModelCursor,
    moves: impl Iterator<Item = Move>,
    asks_value: impl Fn() -> bool,
) -> Result<(), String> {
    for (at, step) in moves.enumerate() {
        let before = expected.place;
        let moved = step.on(cursor).map_err(|e| format!("move {at} ({step:?}) failed: {e}"))?;
        let wanted = expected.step(&step).map(|(key, value)| (&key[..], &value[..]));
        let found = match (moved, asks_value()) {
            (false, _) => None,
            (true, false) => Some((cursor.key(), wanted.map_or(&b""[..], |(_, value)| value))),
            (true, true) => {
                let failed = |e| format!("the value after move {at} ({step:?}) failed: {e}");
                Some(cursor.entry().map_err(failed)?)
            }
        };
        if found != wanted {
            let show = |entry: Option<(&[u8], &[u8])>| match entry {
                None => "nothing".to_string(),
                Some((key, value)) => format!("{} = {}", describe(key), describe(value)),
            };
            return Err(format!(
                "move {at} ({step:?}) of a cursor at {before:?} found {} instead of {}",
                show(found),
                show(wanted)
            ));
        }
    }
    Ok(())
}

/// Compares frozen views, taken when the engine held `model`: one cursor each way, and a snapshot. A view that was given
/// up to stay inside a memory budget says so, which is no failure.
pub(crate) fn check_frozen(
    views: Vec<Box<dyn Cursor>>,
    snapshot: Option<Box<dyn Snapshot>>,
    model: &Model,
    now: UnixMillis,
    keys: &[u8],
) -> Result<(), String> {
    let expected: Vec<(Bytes, Bytes)> =
        model.visible(now).map(|(key, value)| (key.clone(), value.clone())).collect();
    assert_eq!(views.len(), 2, "one view each way");
    for (view, direction) in views.into_iter().zip([Direction::Forward, Direction::Backward]) {
        check_entries(Entries::new(view, direction).collect(), expected.clone(), direction)?;
    }
    let Some(snapshot) = snapshot else { return Ok(()) };
    for &key in keys {
        let key = universe::key(key);
        match snapshot.get(key) {
            Err(Error::SnapshotTooOld) => return Ok(()),
            Err(error) => return Err(format!("a get on the snapshot failed: {error}")),
            Ok(found) if found.as_ref() == model.get(key, now) => {}
            Ok(_) => return Err(format!("the snapshot has moved at key {}", describe(key))),
        }
    }
    let scanned =
        snapshot.scan(KeyRange::all()).map(|cursor| Entries::new(cursor, Direction::Forward));
    check_entries(scanned.and_then(Iterator::collect), expected, Direction::Forward)
}

fn check_entries(
    found: kv::Result<Vec<(Bytes, Bytes)>>,
    mut expected: Vec<(Bytes, Bytes)>,
    direction: Direction,
) -> Result<(), String> {
    if direction == Direction::Backward {
        expected.reverse();
    }
    match found {
        Err(Error::SnapshotTooOld) => Ok(()),
        Err(error) => Err(format!("walking it failed: {error}")),
        Ok(found) if found == expected => Ok(()),
        Ok(found) => {
            let at = found.iter().zip(&expected).position(|(a, b)| a != b);
            let at = at.unwrap_or(found.len().min(expected.len()));
            let (have, want) = (found.len(), expected.len());
            Err(format!("it has {have} entries, it should have {want}, and differs at entry {at}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use kv::WriteBatch;

    use super::*;
    use crate::scripted::ScriptedEngine;

    const NOW: UnixMillis = UnixMillis(1);

    fn model() -> Model {
        let mut batch = WriteBatch::new();
        batch.put(b"a", b"1").put(b"b", b"2");
        let mut model = Model::default();
        model.apply(&batch);
        model
    }

    /// Walks forwards through an engine with these entries, beside the model.
    fn walked(entries: &[(&'static str, &'static str)]) -> Result<(), String> {
        let mut cursor = ScriptedEngine::sound(entries).scan(KeyRange::all()).unwrap();
        let mut expected = ModelCursor::new(&model(), NOW, &KeyRange::all());
        let moves = [Move::Next, Move::Next, Move::Next];
        compare(&mut *cursor, &mut expected, moves.into_iter(), || true)
    }

    fn frozen(entries: &[(&'static str, &'static str)]) -> Result<(), String> {
        let view = || ScriptedEngine::sound(entries).scan(KeyRange::all()).unwrap();
        check_frozen(vec![view(), view()], None, &model(), NOW, &[])
    }

    #[test]
    fn a_cursor_that_differs_from_the_model_is_noticed() {
        walked(&[("a", "1"), ("b", "2")]).unwrap();
        walked(&[("a", "1")]).unwrap_err();
        walked(&[("a", "1"), ("b", "3")]).unwrap_err();
        walked(&[("a", "1"), ("b", "2"), ("c", "3")]).unwrap_err();
    }

    #[test]
    fn a_view_that_has_moved_is_noticed() {
        frozen(&[("a", "1"), ("b", "2")]).unwrap();
        frozen(&[("a", "1"), ("b", "3")]).unwrap_err();
        frozen(&[("a", "1")]).unwrap_err();
    }
}
