//! Read-only transactions that wait for a safe snapshot.

use std::sync::mpsc;
use std::time::Duration;

use kv::{Error, Transaction as _, TransactionOptions};

use crate::{RULES, begin, commit, engine, get};

fn deferrable() -> TransactionOptions {
    TransactionOptions::default().deferrable()
}

#[test]
fn without_writers_a_deferrable_reader_does_not_wait() {
    for rule in RULES {
        let engine = engine(rule);
        commit(&engine, &[("x", "1")]);
        let declared = engine.begin(TransactionOptions::default().read_only()).unwrap();
        let reader = engine.begin(deferrable()).unwrap();
        assert!(reader.is_safe(), "{rule}");
        assert_eq!(declared.is_safe(), rule == "rsv");
        assert_eq!(get(&reader, "x").unwrap(), "1");
        commit(&engine, &[("x", "2")]);
        assert_eq!(get(&reader, "x").unwrap(), "1");
        reader.commit().unwrap();
    }
}

/// The read-only anomaly: the report would see the second clerk without the first. The reader waits for the first one, and takes
/// another snapshot.
#[test]
fn a_deferrable_reader_waits_and_takes_another_snapshot_if_the_first_one_was_not_safe() {
    for rule in ["ssi", "pssi-rt"] {
        let engine = engine(rule);
        commit(&engine, &[("x", "0"), ("y", "0")]);
        let mut first = begin(&engine);
        assert_eq!(
            (get(&first, "x").unwrap(), get(&first, "y").unwrap()),
            ("0".into(), "0".into())
        );
        let mut second = begin(&engine);
        get(&second, "y");
        second.put(b"y", b"20").unwrap();
        second.commit().unwrap();
        std::thread::scope(|scope| {
            let (began, has_begun) = mpsc::channel();
            let engine = &engine;
            let reader = scope.spawn(move || {
                let reader = engine.begin(deferrable()).unwrap();
                began.send(()).unwrap();
                let seen = (get(&reader, "x").unwrap(), get(&reader, "y").unwrap());
                reader.commit().unwrap();
                seen
            });
            let waits = has_begun.recv_timeout(Duration::from_millis(30));
            assert!(waits.is_err(), "{rule}: the first clerk still runs");
            first.put(b"x", b"-11").unwrap();
            first.commit().unwrap();
            assert_eq!(reader.join().unwrap(), ("-11".into(), "20".into()), "{rule}");
        });
    }
}

#[test]
fn a_writer_that_is_rolled_back_lets_the_reader_begin() {
    let engine = engine("ssi");
    commit(&engine, &[("x", "0")]);
    let writer = begin(&engine);
    commit(&engine, &[("y", "1")]);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| engine.begin(deferrable()).unwrap().snapshot());
        drop(writer);
        assert_eq!(reader.join().unwrap().0, 2);
    });
}

#[test]
fn a_writer_with_a_snapshot_that_is_not_older_is_not_waited_for() {
    let engine = engine("ssi");
    commit(&engine, &[("x", "0")]);
    let mut writer = begin(&engine);
    writer.put(b"x", b"1").unwrap();
    let reader = engine.begin(deferrable()).unwrap();
    writer.commit().unwrap();
    assert_eq!(get(&reader, "x").unwrap(), "0");
    reader.commit().unwrap();
}

#[test]
fn the_past_is_read_under_certifiers_that_spare_readers_only() {
    for rule in RULES {
        let engine = engine(rule);
        let first = commit(&engine, &[("x", "1")]);
        let past = engine.begin(TransactionOptions::default().as_of(first));
        match rule {
            "rsv" => assert_eq!(get(&past.unwrap(), "x").unwrap(), "1"),
            _ => assert!(matches!(past, Err(Error::Unsupported(_)))),
        }
    }
}
