//! Sessions and real time.

use ssi::history::{AnomalyKind, IsolationLevel, TimeOrder};

use crate::story::{has_none, judge};

#[test]
fn a_stale_read_breaks_the_levels_that_know_time() {
    let report = judge(
        "1 begins
         1 commits 1: w x 1
         2 begins
         2 commits: r x -",
    );
    let expected = [(AnomalyKind::GSingle, Some(TimeOrder::RealTime))];
    assert_eq!(report.counts.keys().copied().collect::<Vec<_>>(), expected, "{report}");
    let kept = [
        IsolationLevel::ReadCommitted,
        IsolationLevel::SnapshotIsolation,
        IsolationLevel::Serializable,
    ];
    assert_eq!(report.levels(), kept);
    let story = report.anomalies[0].to_string();
    assert!(
        story.contains("transaction 1 ended (event 2) before transaction 2 began (event 3)"),
        "{story}"
    );
}

#[test]
fn an_old_read_of_a_transaction_that_overlaps_the_write_is_not_stale() {
    has_none(
        "1 begins
         2 begins
         1 commits 1: w x 1
         2 commits: r x -",
    );
}

#[test]
fn real_time_reaches_over_many_transactions() {
    use std::fmt::Write;
    let mut story = "1 begins\n1 commits 1: w x 1\n".to_string();
    for between in 2..100 {
        writeln!(story, "{between} begins\n{between} commits {between}: w y{between} 1").unwrap();
    }
    story.push_str("100 begins\n100 commits: r x -");
    let report = judge(&story);
    assert_eq!(report.count(AnomalyKind::GSingle), 1, "{report}");
    let mut transactions: Vec<u64> =
        report.anomalies[0].transactions().iter().map(|transaction| transaction.number).collect();
    transactions.sort_unstable();
    assert_eq!(transactions, [1, 100], "the dependency is one of real time");
}

#[test]
fn a_transaction_that_nobody_knows_the_end_of_has_no_end_in_real_time() {
    // Transaction 1 may have committed after transaction 2 had read.
    has_none(
        "1 begins
         1 vanishes: w x 1
         2 begins
         2 commits: r x -
         3 begins
         3 commits: r x 1",
    );
}

#[test]
fn serializable_is_not_strict() {
    // Transaction 3 ends before transaction 1 begins, and must come after it.
    let report = judge(
        "2 begins
         3 begins
         3 commits 1: r y -, w z 3
         1 begins
         1 commits 2: w x 1, r z -
         2 commits 3: r x 1, w y 2",
    );
    assert!(report.holds(IsolationLevel::Serializable), "{report}");
    assert!(!report.holds(IsolationLevel::StrictSerializable), "{report}");
}
