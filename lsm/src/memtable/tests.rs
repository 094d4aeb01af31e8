use std::sync::Arc;

use kv::Cursor as _;

use super::*;

fn put(sequence: u64) -> Trailer {
    Trailer::new(sequence, Kind::Put)
}

/// `a` at 1 and 4, `b` deleted at 3, `c` at 2.
fn some() -> Arc<Memtable> {
    let memtable = Memtable::default();
    memtable.insert(b"a", put(1), b"one");
    memtable.insert(b"c", put(2), b"two");
    memtable.insert(b"b", Trailer::new(3, Kind::Tombstone), b"");
    memtable.insert(b"a", put(4), b"four");
    Arc::new(memtable)
}

fn get(memtable: &Memtable, user: &[u8], sequence: u64) -> Option<(u64, Vec<u8>)> {
    let mut value = Vec::new();
    let trailer = memtable.get(user, sequence, &mut |bytes| value = bytes.to_vec())?;
    Some((trailer.sequence(), value))
}

#[test]
fn a_reader_sees_the_newest_version_up_to_its_number() {
    let memtable = some();
    assert_eq!(get(&memtable, b"a", 9), Some((4, b"four".to_vec())));
    assert_eq!(get(&memtable, b"a", 3), Some((1, b"one".to_vec())));
    assert_eq!(get(&memtable, b"a", 0), None);
    assert_eq!(get(&memtable, b"b", 3), Some((3, Vec::new())), "a tombstone is a version");
    assert_eq!(get(&memtable, b"b", 2), None);
    assert_eq!(get(&memtable, b"aa", 9), None);
    assert_eq!(memtable.entries(), 4);
}

#[test]
fn a_range_tombstone_covers_what_is_older() {
    let memtable = some();
    let range =
        |start: &[u8], end: &[u8]| DeletedRange { start: start.to_vec(), end: Some(end.to_vec()) };
    memtable.insert_ranges(vec![range(b"a", b"b"), range(b"c", b"x")], 6);
    memtable.insert(b"c", put(6), b"beside");
    assert_eq!(get(&memtable, b"a", 9), Some((6, Vec::new())));
    assert_eq!(get(&memtable, b"a", 5), Some((4, b"four".to_vec())), "an older reader");
    assert_eq!(get(&memtable, b"c", 9), Some((6, b"beside".to_vec())), "the same batch");
    assert_eq!(get(&memtable, b"d", 9), Some((6, Vec::new())), "never put");
    assert_eq!(get(&memtable, b"x", 9), None);
    let ranges = memtable.ranges().unwrap();
    let newest = |key: &[u8]| ranges.at(key).unwrap().newest_entry();
    assert_eq!((newest(b"a"), newest(b"c")), (0, 6), "entries that are put later are noted");
}

#[test]
fn a_memtable_with_nothing_but_an_empty_range_has_a_batch() {
    let memtable = Memtable::default();
    assert!(memtable.is_empty());
    memtable.insert_ranges(vec![DeletedRange { start: vec![1], end: Some(vec![1]) }], 6);
    assert!(!memtable.is_empty() && memtable.ranges().is_none());
}

/// The user keys and numbers of a walk to the end.
fn walk(
    cursor: &mut MemtableCursor,
    step: impl Fn(&mut MemtableCursor) -> Result<bool>,
) -> Vec<(u8, u64)> {
    let mut seen = Vec::new();
    while step(cursor).unwrap() {
        let (user, trailer) = internal_key::split(cursor.key()).unwrap();
        seen.push((user[0], trailer.sequence()));
    }
    seen
}

#[test]
fn a_walk_shows_every_version_in_both_directions() {
    let all = [(b'a', 4), (b'a', 1), (b'b', 3), (b'c', 2)];
    let mut cursor = MemtableCursor::new(some(), (Bound::Unbounded, Bound::Unbounded));
    assert_eq!(walk(&mut cursor, MemtableCursor::next), all);
    let reverse: Vec<_> = all.into_iter().rev().collect();
    assert_eq!(walk(&mut cursor, MemtableCursor::prev), reverse);
    assert!(cursor.seek_ge(&internal_key::encoded(b"b", Trailer::NEWEST)).unwrap());
    assert_eq!(cursor.entry().unwrap().1, b"");
    assert!(cursor.seek_lt(&internal_key::encoded(b"b", Trailer::NEWEST)).unwrap());
    assert_eq!(cursor.entry().unwrap().1, b"one");
}

#[test]
fn bounds_hold_for_every_move() {
    let key = |user: &[u8], trailer| internal_key::encoded(user, trailer);
    let (start, end) = (key(b"a", Trailer::OLDEST), key(b"c", Trailer::NEWEST));
    let bounds = (Bound::Excluded(&start[..]), Bound::Excluded(&end[..]));
    let mut cursor = MemtableCursor::new(some(), bounds);
    assert_eq!(walk(&mut cursor, MemtableCursor::next), [(b'b', 3)]);
    assert_eq!(walk(&mut cursor, MemtableCursor::prev), [(b'b', 3)]);
    assert!(cursor.seek_ge(&key(b"a", Trailer::NEWEST)).unwrap());
    assert_eq!(internal_key::split(cursor.key()).unwrap().0, b"b");
    assert!(cursor.seek_lt(&key(b"z", Trailer::NEWEST)).unwrap());
    assert_eq!(internal_key::split(cursor.key()).unwrap().0, b"b");
    assert!(!cursor.seek_ge(&key(b"c", Trailer::NEWEST)).unwrap());
    assert!(!cursor.seek_lt(&key(b"b", Trailer::NEWEST)).unwrap());
}
