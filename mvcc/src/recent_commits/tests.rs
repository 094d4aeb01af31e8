#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use super::*;
use crate::write_set::Pending;

fn marking(keys: &[&[u8]]) -> WriteSet {
    let mut writes = WriteSet::new(1 << 20);
    for key in keys {
        writes.set(key, Pending::Mark).unwrap();
    }
    writes
}

/// Enters a commit of transaction `transaction` that only marks `keys`.
fn mark(
    recent: &Arc<RecentCommits>,
    writer: &BegunWriter,
    transaction: u64,
    keys: &[&[u8]],
) -> Result<EnteredCommit, MarkConflict> {
    enter(recent, writer, transaction, None, &marking(keys))
}

fn enter(
    recent: &Arc<RecentCommits>,
    writer: &BegunWriter,
    transaction: u64,
    sequence: Option<u64>,
    writes: &WriteSet,
) -> Result<EnteredCommit, MarkConflict> {
    recent.enter(Candidate {
        transaction,
        watermark: writer.watermark(),
        snapshot: SequenceNumber::ZERO,
        sequence: sequence.map(SequenceNumber),
        writes,
    })
}

#[test]
fn a_transaction_that_begins_while_a_commit_is_in_flight_is_concurrent_to_it() {
    let recent = RecentCommits::new();
    let (first, second) = (recent.begin(), recent.begin());
    let entered = mark(&recent, &first, 1, &[b"k"]).unwrap();
    let during = recent.begin();
    drop(entered);
    let after = recent.begin();
    let conflict = MarkConflict::Known(Bytes::from_static(b"k"), 1);
    assert_eq!(mark(&recent, &second, 2, &[b"k"]).unwrap_err(), conflict);
    assert_eq!(mark(&recent, &during, 3, &[b"a", b"k"]).unwrap_err(), conflict);
    assert!(mark(&recent, &second, 2, &[b"other"]).is_ok());
    assert!(mark(&recent, &after, 4, &[b"k"]).is_ok());
}

#[test]
fn a_watermark_waits_for_the_oldest_commit_in_flight() {
    let recent = RecentCommits::new();
    let writers = [recent.begin(), recent.begin()];
    let slow = mark(&recent, &writers[0], 1, &[b"slow"]).unwrap();
    drop(mark(&recent, &writers[1], 2, &[b"fast"]).unwrap());
    let between = recent.begin();
    assert_eq!(between.watermark(), 0);
    drop(slow);
    assert_eq!(recent.begin().watermark(), 2);
    assert!(mark(&recent, &between, 3, &[b"fast"]).is_err(), "perhaps it does not contain it");
}

#[test]
fn a_mark_of_a_commit_that_the_snapshot_contains_is_no_conflict() {
    let recent = RecentCommits::new();
    let (writer, other) = (recent.begin(), recent.begin());
    let mut writes = marking(&[b"guard"]);
    writes.set(b"k", Pending::Delete).unwrap();
    drop(enter(&recent, &writer, 1, Some(7), &writes).unwrap());
    assert_eq!(recent.transaction_of(SequenceNumber(7)), 1);
    assert_eq!(recent.transaction_of(SequenceNumber(6)), 0);
    let own = marking(&[b"guard"]);
    let mut candidate = Candidate {
        transaction: 2,
        watermark: other.watermark(),
        snapshot: SequenceNumber(6),
        sequence: None,
        writes: &own,
    };
    assert!(recent.enter(candidate).is_err());
    candidate.snapshot = SequenceNumber(7);
    assert!(recent.enter(candidate).is_ok());
}

#[test]
fn entries_are_dropped_once_no_transaction_can_need_them() {
    let recent = RecentCommits::new();
    let old = recent.begin();
    for sequence in 1..=50 {
        let writer = recent.begin();
        let mut writes = marking(&[b"guard", &[sequence as u8]]);
        writes.set(b"k", Pending::Delete).unwrap();
        drop(enter(&recent, &writer, sequence, Some(sequence), &writes).unwrap());
    }
    let sizes = || {
        let state = recent.state.lock();
        (state.names.len(), state.marks.len(), state.mark_order.len())
    };
    assert_eq!(sizes(), (50, 51, 100));
    drop(old);
    drop(mark(&recent, &recent.begin(), 99, &[b"last"]).unwrap());
    assert_eq!(sizes(), (0, 1, 1));
}

#[test]
fn beyond_the_limits_names_and_marks_are_forgotten_and_old_transactions_fail() {
    let recent = RecentCommits::with_limits(3, 4);
    let (old, older) = (recent.begin(), recent.begin());
    for sequence in 1..=10 {
        let mut writes = marking(&[&[sequence as u8]]);
        writes.set(b"k", Pending::Delete).unwrap();
        drop(enter(&recent, &recent.begin(), sequence, Some(sequence), &writes).unwrap());
    }
    assert_eq!(recent.transaction_of(SequenceNumber(7)), 0);
    assert_eq!(recent.transaction_of(SequenceNumber(8)), 8);
    assert_eq!(mark(&recent, &old, 20, &[b"x"]).unwrap_err(), MarkConflict::Forgotten);
    assert_eq!(mark(&recent, &older, 21, &[b"y"]).unwrap_err(), MarkConflict::Forgotten);
    assert!(mark(&recent, &recent.begin(), 22, &[b"x"]).is_ok(), "a new one goes on");
}

#[test]
fn a_later_mark_on_a_key_outlives_the_one_that_it_replaced() {
    let recent = RecentCommits::new();
    let old = recent.begin();
    drop(mark(&recent, &recent.begin(), 1, &[b"k"]).unwrap());
    let (reader, writer) = (recent.begin(), recent.begin());
    drop(mark(&recent, &writer, 2, &[b"k"]).unwrap());
    drop(old);
    // Drops the first mark, which is in every snapshot by now.
    drop(mark(&recent, &writer, 3, &[b"other"]).unwrap());
    assert_eq!(recent.state.lock().mark_order.len(), 2);
    let conflict = MarkConflict::Known(Bytes::from_static(b"k"), 2);
    assert_eq!(mark(&recent, &reader, 4, &[b"k"]).unwrap_err(), conflict);
}
