//! Each anomaly is found, with its evidence; a history that almost has it is not accused.

use ssi::history::{AnomalyKind, IsolationLevel};

use crate::story::{anomalies, has_none, has_one, judge};

#[test]
fn a_dirty_write_is_found() {
    let sentences = has_one(
        "1 commits: a x 1, a y 1
         2 commits: a x 2, a y 2
         3 commits: l x 1 2, l y 2 1",
        AnomalyKind::G0,
        IsolationLevel::ReadCommitted,
    );
    assert_eq!(
        sentences,
        [
            r#"transaction 1 wrote "x" = 1 before transaction 2 wrote "x" = 2"#,
            r#"transaction 2 wrote "y" = 2 before transaction 1 wrote "y" = 1"#,
        ]
    );
}

#[test]
fn writes_in_one_order_are_no_dirty_write() {
    has_none(
        "1 commits: a x 1, a y 1
         2 commits: a x 2, a y 2
         3 commits: l x 1 2, l y 1 2",
    );
}

#[test]
fn a_read_of_an_aborted_write_is_found() {
    let sentences = has_one(
        "1 aborts: w x 101
         2 commits: r x 101",
        AnomalyKind::G1a,
        IsolationLevel::ReadCommitted,
    );
    assert_eq!(sentences, [r#"transaction 2 read "x" = 101; compare transaction 1"#]);
}

#[test]
fn an_aborted_element_inside_a_list_is_found() {
    let story = "1 aborts: a x 1
         2 commits: a x 2
         3 commits: l x 1 2";
    assert_eq!(anomalies(story), [AnomalyKind::G1a]);
}

#[test]
fn a_read_of_a_write_with_an_unknown_outcome_proves_the_commit() {
    has_none(
        "1 vanishes: w x 101
         2 commits: r x 101",
    );
}

#[test]
fn a_transaction_with_an_unknown_outcome_counts_whole_once_it_was_seen() {
    // Transaction 2 saw a part of transaction 1 and missed a part.
    let story = "1 vanishes: w x 101, w y 102
         2 commits: r x 101, r y -";
    assert_eq!(anomalies(story), [AnomalyKind::GSingle]);
    has_none(
        "1 vanishes: w x 101, w y 102
         2 commits: r x -, r y -",
    );
}

#[test]
fn an_intermediate_read_is_found() {
    has_one(
        "1 commits 1: w x 101, w x 11
         2 commits: r x 101",
        AnomalyKind::G1b,
        IsolationLevel::ReadCommitted,
    );
    has_none(
        "1 commits 1: w x 101, w x 11
         2 commits: r x 11",
    );
}

#[test]
fn a_value_that_was_written_twice_is_no_intermediate_read() {
    has_none(
        "1 commits 1: w x 5, w x 6, w x 5
         2 commits: r x 5",
    );
}

#[test]
fn circular_information_flow_is_found() {
    let sentences = has_one(
        "1 commits 1: w x 11, r y 22
         2 commits 2: w y 22, r x 11",
        AnomalyKind::G1c,
        IsolationLevel::ReadCommitted,
    );
    assert_eq!(
        sentences,
        [
            r#"transaction 1 wrote "x" = 11, and transaction 2 read it"#,
            r#"transaction 2 wrote "y" = 22, and transaction 1 read it"#,
        ]
    );
    has_none(
        "1 commits 1: w x 11, r y -
         2 commits 2: w y 22, r x 11",
    );
}

#[test]
fn a_transaction_that_misses_its_own_write_is_found() {
    let sentences =
        has_one("1 commits 1: w x 1, r x -", AnomalyKind::Internal, IsolationLevel::ReadCommitted);
    assert_eq!(sentences, [r#"transaction 1 read no "x" after it had written 1"#]);
    has_one("1 commits 1: r x 1, w x 1", AnomalyKind::Internal, IsolationLevel::ReadCommitted);
    has_one("1 commits 1: w b 1, s a..c", AnomalyKind::Internal, IsolationLevel::ReadCommitted);
    has_one("1 commits: a x 1, l x", AnomalyKind::Internal, IsolationLevel::ReadCommitted);
    has_none("1 commits 1: w x 1, r x 1, w x 2, s .. x=2, d x, s .., r x -");
    has_none("1 commits: a x 1, l x 1, a x 2, l x 1 2");
}

#[test]
fn a_value_that_nobody_wrote_is_found() {
    has_one("1 commits 1: r x 7", AnomalyKind::UnwrittenRead, IsolationLevel::ReadCommitted);
}

#[test]
fn lists_in_two_orders_are_found() {
    let story = "1 commits: a x 1
         2 commits: a x 2
         3 commits: l x 1 2
         4 commits: l x 2 1";
    assert!(anomalies(story).contains(&AnomalyKind::IncompatibleOrder));
    has_none(
        "1 commits: a x 1
         2 commits: a x 2
         3 commits: l x 1 2
         4 commits: l x 1",
    );
}

#[test]
fn a_lost_update_is_found() {
    let story = "0 commits 1: w x 10
         1 commits 2: r x 10, w x 11
         2 commits 3: r x 10, w x 12";
    let sentences = has_one(story, AnomalyKind::LostUpdate, IsolationLevel::SnapshotIsolation);
    assert_eq!(
        sentences,
        [
            r#"transaction 2 read "x" = 10 before transaction 1 wrote "x" = 11"#,
            r#"transaction 1 wrote "x" = 11 before transaction 2 wrote "x" = 12"#,
        ]
    );
    has_none(
        "0 commits 1: w x 10
         1 commits 2: r x 10, w x 11
         2 commits 3: r x 11, w x 12",
    );
}

#[test]
fn every_lost_update_of_a_key_counts() {
    let report = judge(
        "0 commits 1: w x 10
         1 commits 2: r x 10, w x 11
         2 commits 3: r x 10, w x 12
         3 commits 4: r x 10, w x 13",
    );
    assert_eq!(report.count(AnomalyKind::LostUpdate), 2, "{report}");
}

#[test]
fn a_snapshot_tells_which_of_several_deletes_a_read_saw() {
    let story = |numbers: &str| {
        format!(
            "1 commits 1: w x 1
             2 commits 2: d x, w y 5
             3 commits {numbers}: r x -, r y -"
        )
    };
    // The newest version of `x` in snapshot 2 is the delete of transaction 2, whose other write was missed.
    assert_eq!(anomalies(&story("3@2")), [AnomalyKind::GSingle]);
    has_none(&story("3@0"));
    // Without a snapshot, the key may have been read before all.
    has_none(&story("3"));
}

#[test]
fn a_read_of_no_value_proves_no_delete() {
    let report = judge(
        "1 vanishes: d x
         2 commits: r x -",
    );
    assert_eq!((report.transactions, report.installed), (2, 1));
}

#[test]
fn a_lost_update_needs_no_known_order_of_versions() {
    let story = "0 commits: w x 10
         1 commits: r x 10, w x 11
         2 commits: r x 10, w x 12";
    has_one(story, AnomalyKind::LostUpdate, IsolationLevel::SnapshotIsolation);
    has_none(
        "0 commits: w x 10
         1 commits: r x 10, w x 11
         2 commits: r x 11, w x 12",
    );
}

#[test]
fn a_blind_write_between_a_read_and_a_write_is_a_lost_update() {
    has_one(
        "1 commits 2: r x -, w x 11
         2 commits 1: w x 12",
        AnomalyKind::LostUpdate,
        IsolationLevel::SnapshotIsolation,
    );
    has_none(
        "1 commits 1: r x -, w x 11
         2 commits 2: w x 12",
    );
}

#[test]
fn read_skew_is_found() {
    let sentences = has_one(
        "0 commits 1: w x 10, w y 20
         1 commits 3: r x 10, r y 18
         2 commits 2: w x 12, w y 18",
        AnomalyKind::GSingle,
        IsolationLevel::SnapshotIsolation,
    );
    assert_eq!(
        sentences,
        [
            r#"transaction 1 read "x" = 10 before transaction 2 wrote "x" = 12"#,
            r#"transaction 2 wrote "y" = 18, and transaction 1 read it"#,
        ]
    );
    has_none(
        "0 commits 1: w x 10, w y 20
         1 commits 3: r x 12, r y 18
         2 commits 2: w x 12, w y 18",
    );
}

#[test]
fn a_read_that_does_not_repeat_is_found() {
    has_one(
        "0 commits 1: w x 10
         1 commits: r x 10, r x 11
         2 commits 2: w x 11",
        AnomalyKind::GSingle,
        IsolationLevel::SnapshotIsolation,
    );
    has_none(
        "0 commits 1: w x 10
         1 commits: r x 10, r x 10
         2 commits 2: w x 11",
    );
}

#[test]
fn a_scan_that_sees_a_part_of_a_transaction_is_found() {
    let sentences = has_one(
        "1 commits: s k..l k1=1
         2 commits 1: w k1 1, w k2 2",
        AnomalyKind::GSingle,
        IsolationLevel::SnapshotIsolation,
    );
    assert_eq!(
        sentences,
        [
            r#"transaction 1 scanned ["k", "l") without "k2" before transaction 2 wrote "k2" = 2"#,
            r#"transaction 2 wrote "k1" = 1, and transaction 1 read it"#,
        ]
    );
    has_none(
        "1 commits: s k..k2 k1=1
         2 commits 1: w k1 1, w k2 2",
    );
}

#[test]
fn a_long_fork_is_found() {
    let sentences = has_one(
        "1 commits 1: w x 1
         2 commits 2: w y 1
         3 commits: r x 1, r y -
         4 commits: r x -, r y 1",
        AnomalyKind::LongFork,
        IsolationLevel::SnapshotIsolation,
    );
    assert_eq!(sentences.len(), 4);
    has_none(
        "1 commits 1: w x 1
         2 commits 2: w y 1
         3 commits: r x 1, r y -
         4 commits: r x 1, r y 1",
    );
}

#[test]
fn a_longer_cycle_of_separate_anti_dependencies_is_found() {
    has_one(
        "1 commits 1: w x 1
         2 commits 2: w y 1
         3 commits: r x 1, r y -
         4 commits 3: r y 1, w z 1
         5 commits: r z 1, r x -",
        AnomalyKind::GNonadjacent,
        IsolationLevel::SnapshotIsolation,
    );
}

#[test]
fn write_skew_is_found() {
    let sentences = has_one(
        "0 commits 1: w x 10, w y 20
         1 commits 2: r x 10, r y 20, w x 11
         2 commits 3: r x 10, r y 20, w y 21",
        AnomalyKind::G2Item,
        IsolationLevel::Serializable,
    );
    assert_eq!(
        sentences,
        [
            r#"transaction 1 read "y" = 20 before transaction 2 wrote "y" = 21"#,
            r#"transaction 2 read "x" = 10 before transaction 1 wrote "x" = 11"#,
        ]
    );
    has_none(
        "0 commits 1: w x 10, w y 20
         1 commits 2: r x 10, w x 11
         2 commits 3: r x 10, r y 20, w y 21",
    );
}

#[test]
fn write_skew_among_three_transactions_is_found() {
    let sentences = has_one(
        "1 commits 1: r x -, w y 1
         2 commits 2: r y -, w z 1
         3 commits 3: r z -, w x 1",
        AnomalyKind::G2Item,
        IsolationLevel::Serializable,
    );
    assert_eq!(sentences.len(), 3);
    has_none(
        "1 commits 1: r x -, w y 1
         2 commits 2: r y -, w z 1
         3 commits 3: r z 1, w x 1",
    );
}

#[test]
fn the_read_only_anomaly_is_found() {
    let with_reader = "1 commits 2: r x -, r y -, w x 11
         2 commits 1: r y -, w y 20
         3 commits: r x -, r y 20";
    let sentences = has_one(with_reader, AnomalyKind::G2Item, IsolationLevel::Serializable);
    assert_eq!(sentences.len(), 3);
    has_none(
        "1 commits 2: r x -, r y -, w x 11
         2 commits 1: r y -, w y 20",
    );
}

#[test]
fn write_skew_through_phantoms_is_found() {
    let sentences = has_one(
        "0 commits 1: w k1 10, w k2 20
         1 commits 2: s k..l k1=10 k2=20, w k3 30
         2 commits 3: s k..l k1=10 k2=20, w k4 42",
        AnomalyKind::G2,
        IsolationLevel::Serializable,
    );
    assert_eq!(
        sentences,
        [
            r#"transaction 1 scanned ["k", "l") without "k4" before transaction 2 wrote "k4" = 42"#,
            r#"transaction 2 scanned ["k", "l") without "k3" before transaction 1 wrote "k3" = 30"#,
        ]
    );
    // Each inserts outside the range of the other.
    has_none(
        "0 commits 1: w k1 10, w k2 20
         1 commits 2: s k..k3 k1=10 k2=20, w k3 30
         2 commits 3: s k..k3 k1=10 k2=20, w k4 42",
    );
}

#[test]
fn a_scan_that_missed_a_deleted_key_comes_after_the_delete() {
    // Transaction 3 scans after the delete of transaction 2 and misses the older insert of `other`: no serial order.
    let story = "1 commits 1: w k1 1
         2 commits 3: d k1, r other -
         3 commits 4: s .. other=5
         4 commits 2: w other 5";
    assert_eq!(anomalies(story), []);
    let sees_half = "1 commits 1: w k1 1
         2 commits 2: d k1, w k2 2
         3 commits 3: s k..l k1=1 k2=2";
    assert_eq!(anomalies(sees_half), [AnomalyKind::GSingle]);
}

#[test]
fn a_scan_does_not_conflict_with_an_insert_of_its_own_transaction() {
    has_none(
        "1 commits 1: s k..l, w k1 1, s k..l k1=1
         2 commits 2: s k..l k1=1, w k2 2",
    );
}

#[test]
fn an_insert_over_a_key_that_a_scan_missed_is_a_lost_update() {
    has_one(
        "1 commits 2: s k..l, w k1 1
         2 commits 1: w k1 2",
        AnomalyKind::LostUpdate,
        IsolationLevel::SnapshotIsolation,
    );
}

#[test]
fn a_report_without_an_order_of_versions_claims_no_proof() {
    let open = judge(
        "1 commits: w x 1
         2 commits: w x 2",
    );
    assert!(!open.is_proof() && open.to_string().contains("no anomaly found"), "{open}");
    let known = judge(
        "1 commits 1: w x 1
         2 commits 2: w x 2",
    );
    assert!(known.is_proof() && known.to_string().contains("holds"), "{known}");
}

#[test]
fn each_anomaly_is_counted_and_ten_are_explained() {
    use std::fmt::Write;
    let mut story = String::new();
    for pair in 0..50 {
        let (one, two) = (2 * pair, 2 * pair + 1);
        writeln!(story, "{one} commits {}: r x{pair} -, w y{pair} 1", one + 1).unwrap();
        writeln!(story, "{two} commits {}: r y{pair} -, w x{pair} 1", two + 1).unwrap();
    }
    let report = judge(&story);
    assert_eq!(report.count(AnomalyKind::G2Item), 50);
    assert_eq!(report.anomalies.len(), 10);
}
