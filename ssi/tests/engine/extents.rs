//! Scans depend on the part of their range that they have read: no less, and no more.

use kv::{Cursor, KeyRange, Transaction as _};

use crate::{RULES, begin, commit, engine, engine_on_lsm, is_conflict};

/// How far a scan goes: a name, and its moves.
type Walk = (&'static str, fn(&mut dyn Cursor) -> kv::Result<bool>);

/// Entries at `b`, `d`, `f`, `h`. Each walk has read the keys between its two names, both included.
const WALKS: [(Walk, &str, &str); 8] = [
    (("the first entry", |cursor| cursor.next()), "", "b"),
    (("two entries", |cursor| Ok(cursor.next()? && cursor.next()?)), "", "d"),
    (("the last entry", |cursor| cursor.prev()), "h", "z"),
    (("from a key on", |cursor| cursor.seek_ge(b"c")), "c", "d"),
    (("before a key", |cursor| cursor.seek_lt(b"g")), "f", "fz"),
    (("a seek and a step", |cursor| Ok(cursor.seek_ge(b"c")? && cursor.next()?)), "c", "f"),
    (("a seek and a step back", |cursor| Ok(cursor.seek_ge(b"e")? && cursor.prev()?)), "d", "f"),
    (("behind the last entry", |cursor| cursor.seek_ge(b"hh")), "hh", "z"),
];

/// Whether a scan with this walk loses against a put at `key`: the other half of the write skew reads the key `own`.
fn loses(rule: &str, engine: &ssi::Ssi, walk: Walk, key: &str) -> bool {
    let (mut scanner, mut other) = (begin(engine), begin(engine));
    {
        let range = KeyRange::new(&b""[..]..&b"zz"[..]);
        let mut cursor = scanner.scan(range).unwrap();
        (walk.1)(&mut *cursor).unwrap();
    }
    scanner.put(b"zzz own", b"1").unwrap();
    other.get(b"zzz own").unwrap();
    other.put(key.as_bytes(), b"1").unwrap();
    other.commit().unwrap_or_else(|error| panic!("{rule}: {error}"));
    is_conflict(&scanner.commit())
}

#[test]
fn a_scan_conflicts_with_writes_in_the_part_that_it_has_read_and_with_no_others() {
    for rule in RULES {
        for new_engine in [engine, engine_on_lsm] {
            for (walk, first, last) in WALKS {
                for key in ["a", "b", "bb", "c", "d", "e", "f", "ff", "h", "hh", "i"] {
                    let engine = new_engine(rule);
                    commit(&engine, &[("b", "1"), ("d", "1"), ("f", "1"), ("h", "1")]);
                    let is_read = first <= key && key <= last;
                    let what = format!("{rule}, {}, a put at {key}", walk.0);
                    assert_eq!(loses(rule, &engine, walk, key), is_read, "{what}");
                }
            }
        }
    }
}

#[test]
fn an_empty_range_and_an_absent_key_are_read_as_well() {
    for rule in RULES {
        let engine = engine(rule);
        for round in 0..2 {
            let (mut one, mut other) = (begin(&engine), begin(&engine));
            if round == 0 {
                assert!(!one.scan(KeyRange::prefix(b"p/")).unwrap().next().unwrap());
            } else {
                assert!(one.get(b"p/absent").unwrap().is_none());
            }
            assert!(other.get(b"q").unwrap().is_none() || round > 0);
            one.put(b"q", b"1").unwrap();
            other.put(b"p/absent", b"1").unwrap();
            other.delete(b"p/gone").unwrap();
            other.commit().unwrap();
            assert!(is_conflict(&one.commit()), "{rule}, round {round}");
            let mut tidy = begin(&engine);
            tidy.delete(b"p/absent").unwrap();
            tidy.commit().unwrap();
        }
    }
}

#[test]
fn a_rollback_to_a_savepoint_undoes_writes_and_no_reads() {
    for rule in RULES {
        let engine = engine(rule);
        commit(&engine, &[("x", "1"), ("y", "1")]);
        let (mut one, mut other) = (begin(&engine), begin(&engine));
        let savepoint = one.savepoint().unwrap();
        one.get(b"x").unwrap();
        one.put(b"z", b"1").unwrap();
        one.rollback_to(savepoint).unwrap();
        other.get(b"y").unwrap();
        other.put(b"x", b"2").unwrap();
        one.put(b"y", b"2").unwrap();
        other.commit().unwrap();
        assert!(is_conflict(&one.commit()), "{rule}: it goes on depending on its reads");
    }
}
