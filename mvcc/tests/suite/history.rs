//! Reading the past, and the window in which it stays readable.

use std::sync::Arc;
use std::time::Duration;

use durable::ManualClock;
use kv::{Error, SequenceNumber, TransactionOptions};
use mvcc::{HistoryWindow, Mvcc, Options};

use crate::{catch_up, collect_garbage, commit, engine, engine_and_store, get};

fn value_at(engine: &Mvcc, sequence: u64) -> kv::Result<Option<String>> {
    let options = TransactionOptions::default().as_of(SequenceNumber(sequence));
    engine.begin(options).map(|transaction| get(&transaction, "k"))
}

#[test]
fn the_past_is_readable_inside_the_window_and_too_old_below() {
    let (engine, store) = engine_and_store(Options::new().history(HistoryWindow::commits(3)));
    for round in 1..=20_u64 {
        commit(&engine, &[("k", &round.to_string())]);
        catch_up(&store);
        for sequence in 0..=round {
            let value = value_at(&engine, sequence);
            if sequence + 3 >= round {
                let expected = (sequence > 0).then(|| sequence.to_string());
                assert_eq!(value.unwrap(), expected, "{sequence} after {round}");
            } else {
                assert!(matches!(value, Err(Error::SnapshotTooOld)), "{sequence} after {round}");
            }
        }
    }
    collect_garbage(&store);
    assert_eq!(engine.statistics().history.versions, 3);
}

#[test]
fn the_future_is_refused() {
    let engine = engine();
    commit(&engine, &[("k", "1")]);
    assert_eq!(value_at(&engine, 1).unwrap().unwrap(), "1");
    assert!(matches!(value_at(&engine, 2), Err(Error::InvalidArgument(_))));
}

#[test]
fn a_snapshot_in_flight_does_not_make_its_past_readable_for_others() {
    let engine = engine();
    commit(&engine, &[("k", "1")]);
    let old = engine.begin(TransactionOptions::default()).unwrap();
    commit(&engine, &[("k", "2")]);
    assert!(matches!(value_at(&engine, 1), Err(Error::SnapshotTooOld)));
    assert_eq!(get(&old, "k").unwrap(), "1");
}

#[test]
fn a_window_of_time_keeps_the_states_of_that_time() {
    let clock = Arc::new(ManualClock::new());
    let window = HistoryWindow::age(Duration::from_secs(64));
    let (engine, _) = engine_and_store(Options::new().history(window).clock(clock.clone()));
    // Commit n comes n seconds after the start.
    for round in 1..=200_u64 {
        clock.advance(Duration::from_secs(1));
        commit(&engine, &[("k", &round.to_string())]);
    }
    for sequence in 136..=200 {
        assert_eq!(value_at(&engine, sequence).unwrap().unwrap(), sequence.to_string());
    }
    assert!(matches!(value_at(&engine, 133), Err(Error::SnapshotTooOld)));
}
