//! Stories of cursors: order, bounds, gaps at both ends, frozen views.

use kv::{Cursor, Direction, Durability, Entries, KeyRange};

use super::{Stage, Story, Told, done, ensure};

pub(super) const STORIES: &[Story] = &[
    ("a-scan-is-in-byte-order", a_scan_is_in_byte_order),
    ("a-cursor-turns-around-in-the-gaps", a_cursor_turns_around_in_the_gaps),
    ("a-fresh-cursor-starts-at-either-end", a_fresh_cursor_starts_at_either_end),
    ("seeks-stay-inside-the-bounds", seeks_stay_inside_the_bounds),
    ("all-kinds-of-bounds", all_kinds_of_bounds),
    ("an-empty-range-is-empty", an_empty_range_is_empty),
    ("a-scan-does-not-see-later-writes", a_scan_does_not_see_later_writes),
    ("a-snapshot-does-not-move", a_snapshot_does_not_move),
    ("a-cursor-outlives-a-close", a_cursor_outlives_a_close),
    ("a-value-is-of-the-entry-under-the-cursor", a_value_is_of_the_entry_under_the_cursor),
];

fn scan(stage: &Stage<'_>, range: KeyRange) -> Result<Box<dyn Cursor>, String> {
    stage.engine().scan(range).map_err(|e| format!("scan failed: {e}"))
}

fn keys(stage: &Stage<'_>, range: KeyRange, direction: Direction) -> Result<Vec<Vec<u8>>, String> {
    let entries = Entries::new(scan(stage, range)?, direction);
    entries.map(|entry| entry.map(|(key, _)| key.to_vec()).map_err(|e| e.to_string())).collect()
}

/// The cursor must stand on `wanted` after the move.
fn stands(
    cursor: &mut dyn Cursor,
    step: fn(&mut dyn Cursor) -> kv::Result<bool>,
    wanted: Option<&[u8]>,
) -> Told {
    let moved = step(cursor).map_err(|e| format!("a move failed: {e}"))?;
    let found = moved.then(|| cursor.key());
    let show =
        |key: Option<&[u8]>| key.map_or("no entry".into(), |key| key.escape_ascii().to_string());
    ensure!(found == wanted, "the cursor is on {} instead of {}", show(found), show(wanted));
    Ok(())
}

/// The value under the cursor must be `wanted`.
fn stands_at_value(cursor: &mut dyn Cursor, wanted: &[u8], otherwise: &str) -> Told {
    let value = cursor.value().map_err(|e| format!("a value failed: {e}"))?;
    ensure!(value == wanted, "{otherwise}");
    Ok(())
}

fn next(cursor: &mut dyn Cursor) -> kv::Result<bool> {
    cursor.next()
}

fn prev(cursor: &mut dyn Cursor) -> kv::Result<bool> {
    cursor.prev()
}

fn put_all(stage: &Stage<'_>, keys: &[&[u8]]) -> Told {
    keys.iter().try_for_each(|key| stage.put(key, b"v"))
}

fn a_scan_is_in_byte_order(stage: &mut Stage<'_>) -> Told {
    let number = |n: u32| (n.wrapping_mul(2_654_435_761)).to_be_bytes();
    let mut wanted: Vec<Vec<u8>> = (0..600).map(|n| number(n).to_vec()).collect();
    for n in 0..600 {
        stage.put(&number(n), &[n as u8; 20])?;
    }
    wanted.sort_unstable();
    ensure!(keys(stage, KeyRange::all(), Direction::Forward)? == wanted, "forwards out of order");
    let gone: Vec<_> = wanted.iter().step_by(2).cloned().collect();
    for key in &gone {
        done("delete", stage.engine().delete(key, Durability::Buffered))?;
    }
    wanted.retain(|key| gone.binary_search(key).is_err());
    if stage.is_persistent() {
        stage.reopen()?;
    }
    ensure!(keys(stage, KeyRange::all(), Direction::Forward)? == wanted, "deleted keys are back");
    wanted.reverse();
    ensure!(keys(stage, KeyRange::all(), Direction::Backward)? == wanted, "backwards out of order");
    Ok(())
}

fn a_cursor_turns_around_in_the_gaps(stage: &mut Stage<'_>) -> Told {
    put_all(stage, &[b"a", b"b"])?;
    let mut cursor = scan(stage, KeyRange::all())?;
    let cursor = &mut *cursor;
    for wanted in [Some(&b"a"[..]), Some(b"b"), None, None] {
        stands(cursor, next, wanted)?;
    }
    for wanted in [Some(&b"b"[..]), Some(b"a"), None, None] {
        stands(cursor, prev, wanted)?;
    }
    stands(cursor, next, Some(b"a"))?;
    stands(cursor, next, Some(b"b"))?;
    stands(cursor, prev, Some(b"a"))
}

fn a_fresh_cursor_starts_at_either_end(stage: &mut Stage<'_>) -> Told {
    put_all(stage, &[b"a", b"b", b"c"])?;
    stands(&mut *scan(stage, KeyRange::new(&b"a\0"[..]..))?, next, Some(b"b"))?;
    stands(&mut *scan(stage, KeyRange::new(..&b"c"[..]))?, prev, Some(b"b"))
}

fn seeks_stay_inside_the_bounds(stage: &mut Stage<'_>) -> Told {
    put_all(stage, &[b"a", b"b", b"c", b"d"])?;
    let mut cursor = scan(stage, KeyRange::new(&b"b"[..]..&b"d"[..]))?;
    let cursor = &mut *cursor;
    stands(cursor, |c| c.seek_ge(b"a"), Some(b"b"))?;
    stands(cursor, |c| c.seek_ge(b"bb"), Some(b"c"))?;
    stands(cursor, |c| c.seek_ge(b"d"), None)?;
    stands(cursor, prev, Some(b"c"))?;
    stands(cursor, |c| c.seek_lt(b"z"), Some(b"c"))?;
    stands(cursor, |c| c.seek_lt(b"c"), Some(b"b"))?;
    stands(cursor, |c| c.seek_lt(b"b"), None)?;
    stands(cursor, next, Some(b"b"))?;
    stands(cursor, |c| c.seek_ge(b""), Some(b"b"))?;
    stands(cursor, |c| c.seek_lt(b""), None)
}

fn all_kinds_of_bounds(stage: &mut Stage<'_>) -> Told {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let all: [&[u8]; 7] = [b"", b"a", b"a\0", b"b", b"b\xff", b"c", b"\xff"];
    put_all(stage, &all)?;
    for low in [Unbounded, Included(&b"a"[..]), Excluded(b"a"), Included(b"aa"), Excluded(b"")] {
        for high in [Unbounded, Included(&b"b\xff"[..]), Excluded(b"b\xff"), Excluded(b"bz")] {
            let range = KeyRange::new((low, high));
            let mut wanted: Vec<Vec<u8>> =
                all.iter().filter(|key| range.contains(key)).map(|key| key.to_vec()).collect();
            let forward = keys(stage, range.clone(), Direction::Forward)?;
            ensure!(forward == wanted, "{range:?} forwards gave {} keys", forward.len());
            wanted.reverse();
            let backward = keys(stage, range.clone(), Direction::Backward)?;
            ensure!(backward == wanted, "{range:?} backwards gave {} keys", backward.len());
        }
    }
    let prefixed = keys(stage, KeyRange::prefix(b"b"), Direction::Forward)?;
    ensure!(prefixed == [&b"b"[..], b"b\xff"], "the prefix b gave {} keys", prefixed.len());
    Ok(())
}

fn an_empty_range_is_empty(stage: &mut Stage<'_>) -> Told {
    put_all(stage, &[b"a", b"b", b"c"])?;
    let mut cursor = scan(stage, KeyRange::new(&b"b"[..]..&b"b"[..]))?;
    let cursor = &mut *cursor;
    stands(cursor, next, None)?;
    stands(cursor, prev, None)?;
    stands(cursor, |c| c.seek_ge(b"b"), None)?;
    stands(cursor, |c| c.seek_lt(b"c"), None)?;
    let between = scan(stage, KeyRange::new(&b"bb"[..]..&b"bc"[..]))?;
    ensure!(Entries::new(between, Direction::Forward).next().is_none(), "a gap has an entry");
    Ok(())
}

fn a_scan_does_not_see_later_writes(stage: &mut Stage<'_>) -> Told {
    put_all(stage, &[b"a", b"b", b"c"])?;
    let mut cursor = scan(stage, KeyRange::all())?;
    let cursor = &mut *cursor;
    stands(cursor, next, Some(b"a"))?;
    done("delete", stage.engine().delete(b"b", Durability::Buffered))?;
    stage.put(b"bb", b"new")?;
    stage.put(b"c", b"new")?;
    for round in 0..80_u8 {
        // Enough to make engines with tiny limits move their files about under the cursor.
        stage.put(&[b'x', round], &[round; 100])?;
    }
    done("maintain", stage.opened().maintain())?;
    stands(cursor, next, Some(b"b"))?;
    stands(cursor, next, Some(b"c"))?;
    stands_at_value(cursor, b"v", "the scan shows a later value")?;
    stands(cursor, next, None)?;
    stands(cursor, prev, Some(b"c"))
}

fn a_snapshot_does_not_move(stage: &mut Stage<'_>) -> Told {
    let last = stage.engine().put(b"a", b"old", Durability::Buffered).map_err(|e| e.to_string())?;
    let Some(snapshots) = stage.opened().snapshots() else { return Ok(()) };
    let snapshot = snapshots.snapshot().map_err(|e| format!("snapshot failed: {e}"))?;
    ensure!(snapshot.sequence() == last, "it contains writes up to {}", snapshot.sequence());
    stage.put(b"a", b"new")?;
    stage.put(b"b", b"new")?;
    let found = snapshot.get(b"a").map_err(|e| format!("get failed: {e}"))?;
    ensure!(found.as_deref() == Some(&b"old"[..]), "a get on it shows a later value");
    let cursor = snapshot.scan(KeyRange::all()).map_err(|e| format!("scan failed: {e}"))?;
    let entries = Entries::new(cursor, Direction::Forward).count();
    ensure!(entries == 1, "a scan on it shows {entries} entries instead of 1");
    Ok(())
}

fn a_cursor_outlives_a_close(stage: &mut Stage<'_>) -> Told {
    put_all(stage, &[b"a", b"b", b"c"])?;
    let mut cursor = scan(stage, KeyRange::all())?;
    stands(&mut *cursor, next, Some(b"a"))?;
    done("close", stage.engine().close())?;
    stands(&mut *cursor, next, Some(b"b"))?;
    stands(&mut *cursor, |c| c.seek_lt(b"zzz"), Some(b"c"))?;
    stands_at_value(&mut *cursor, b"v", "the value is lost after a close")
}

fn a_value_is_of_the_entry_under_the_cursor(stage: &mut Stage<'_>) -> Told {
    let value = |number: u8| vec![number; 1 + usize::from(number) * 7];
    for number in 0..40 {
        stage.put(&[number], &value(number))?;
    }
    if stage.is_persistent() {
        stage.reopen()?;
    }
    let mut cursor = scan(stage, KeyRange::all())?;
    let cursor = &mut *cursor;
    for number in 0..40 {
        stands(cursor, next, Some(&[number]))?;
        // Key-only moves in between must not leave the value of an earlier entry behind.
        if number % 3 == 0 {
            stands_at_value(cursor, &value(number), "a value of another entry, forwards")?;
            stands_at_value(cursor, &value(number), "another value when asked again")?;
        }
    }
    for number in (10..39).rev() {
        stands(cursor, prev, Some(&[number]))?;
    }
    stands_at_value(cursor, &value(10), "a value of another entry, backwards")?;
    stands(cursor, |c| c.seek_ge(&[20]), Some(&[20]))?;
    stands(cursor, |c| c.seek_lt(&[20]), Some(&[19]))?;
    stands_at_value(cursor, &value(19), "a value of another entry, after two seeks")?;
    let (key, found) = cursor.entry().map_err(|e| format!("an entry failed: {e}"))?;
    ensure!((key, found) == (&[19][..], &value(19)[..]), "the entry is not the key and the value");
    Ok(())
}
