//! Long readers: seen in the statistics, cheap, and ended by force beyond the limits.

use std::sync::Arc;
use std::time::Duration;

use durable::ManualClock;
use kv::{Error, KeyRange, Transaction as _, TransactionOptions, Transactional};
use mvcc::{Options, ReaderLimits};

use crate::{begin, catch_up, collect_garbage, commit, engine_and_store, get};

fn read_only() -> TransactionOptions {
    TransactionOptions::default().read_only()
}

#[test]
fn the_oldest_reader_is_named_with_its_age_and_its_label() {
    let clock = Arc::new(ManualClock::new());
    let (engine, store) = engine_and_store(Options::new().clock(clock.clone()));
    commit(&engine, &[("k", "1")]);
    let report = engine.begin_labelled(read_only(), "report").unwrap();
    clock.advance(Duration::from_secs(5));
    commit(&engine, &[("k", "2")]);
    let _young = begin(&engine);
    clock.advance(Duration::from_secs(2));
    catch_up(&store);
    let stats = engine.statistics();
    let oldest = stats.oldest_reader.unwrap();
    assert_eq!((oldest.transaction, oldest.label.as_deref()), (report.id(), Some("report")));
    assert_eq!((oldest.snapshot.0, oldest.age), (1, Duration::from_secs(7)));
    assert!(oldest.is_read_only);
    assert_eq!((stats.in_flight, stats.history.versions), (2, 1));
    assert_eq!(engine.stats().get("oldest_reader"), Some(7_000_000_000));
    drop(report);
    assert_eq!(engine.statistics().oldest_reader.unwrap().age, Duration::from_secs(2));
}

#[test]
fn a_long_reader_costs_one_version_of_each_key_that_changed() {
    let (engine, store) = engine_and_store(Options::new());
    let keys: Vec<String> = (0..20).map(|key| format!("k{key}")).collect();
    let write_all = |value: &str| {
        let entries: Vec<_> = keys.iter().map(|key| (key.as_str(), value)).collect();
        commit(&engine, &entries);
    };
    write_all("old");
    let long = engine.begin(read_only()).unwrap();
    for round in 0..200 {
        write_all(&round.to_string());
        catch_up(&store);
        let retained = engine.statistics().history.versions;
        assert!(retained <= 40, "{retained} versions: the pinned ones, and those just replaced");
    }
    for key in &keys {
        assert_eq!(get(&long, key).unwrap(), "old");
    }
}

#[test]
fn a_transaction_beyond_the_greatest_age_is_ended() {
    let clock = Arc::new(ManualClock::new());
    let limits = ReaderLimits::default().max_age(Duration::from_mins(1));
    let options = Options::new().clock(clock.clone()).reader_limits(limits);
    let (engine, store) = engine_and_store(options);
    commit(&engine, &[("k", "1")]);
    let (reader, mut writer) = (engine.begin(read_only()).unwrap(), begin(&engine));
    writer.put(b"other", b"1").unwrap();
    let mut cursor = reader.scan(KeyRange::all()).unwrap();
    clock.advance(Duration::from_mins(1));
    commit(&engine, &[("k", "2")]);
    assert_eq!(get(&reader, "k").unwrap(), "1", "not beyond it");
    clock.advance(Duration::from_secs(1));
    let young = begin(&engine);
    let too_old = |error| matches!(error, Error::SnapshotTooOld);
    assert!(too_old(reader.get(b"k").unwrap_err()) && too_old(cursor.next().unwrap_err()));
    assert!(too_old(writer.commit().unwrap_err()));
    assert_eq!(get(&young, "k").unwrap(), "2");
    let stats = engine.statistics();
    assert_eq!((stats.ended_by_age, stats.too_old), (2, 1));
    drop(cursor);
    drop(reader);
    drop(young);
    collect_garbage(&store);
    assert_eq!(engine.statistics().history.versions, 0);
}

/// A revoked transaction may have missed the delete of a key of which nothing is left, so it must not commit.
#[test]
fn a_transaction_that_was_ended_cannot_overwrite_what_it_has_not_seen() {
    let clock = Arc::new(ManualClock::new());
    let limits = ReaderLimits::default().max_age(Duration::from_secs(1));
    let options = Options::new().clock(clock.clone()).reader_limits(limits);
    let (engine, store) = engine_and_store(options);
    let mut old = begin(&engine);
    old.put(b"k", b"mine").unwrap();
    clock.advance(Duration::from_secs(2));
    commit(&engine, &[("k", "theirs")]);
    let mut delete = begin(&engine);
    delete.delete(b"k").unwrap();
    delete.commit().unwrap();
    collect_garbage(&store);
    assert!(matches!(old.commit(), Err(Error::SnapshotTooOld)));
    assert_eq!(get(&begin(&engine), "k"), None);
}
