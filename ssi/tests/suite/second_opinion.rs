//! The crate `adya`, another checker, judges the same histories.

use std::collections::{BTreeMap, HashMap};

use adya::{Opts, Valid, Workload};
use ssi::history::{History, IsolationLevel, check, write_json_lines};

use crate::oracle::{Txn, recorded};
use crate::random_histories::{Random, Store, run};
use crate::story;

const MODELS: [(IsolationLevel, &str); 4] = [
    (IsolationLevel::SnapshotIsolation, "snapshot-isolation"),
    (IsolationLevel::StrongSnapshotIsolation, "strong-snapshot-isolation"),
    (IsolationLevel::Serializable, "serializable"),
    (IsolationLevel::StrictSerializable, "strict-serializable"),
];

/// The events of a history in the format that `adya` reads: without the line that names the format.
fn events(history: &History) -> String {
    let mut lines = Vec::new();
    write_json_lines(history, &mut lines).unwrap();
    let lines = String::from_utf8(lines).unwrap();
    lines.lines().skip(1).collect::<Vec<_>>().join("\n")
}

/// Whether `adya` finds that a history keeps a model. `None` if it cannot tell.
fn opinion(
    events: &str,
    workload: Workload,
    model: &str,
    order: &HashMap<u64, i64>,
) -> Option<bool> {
    let options = Opts {
        models: vec![model.to_string()],
        transaction_order: Some(order.clone()),
        ..Opts::default()
    };
    let report = adya::check(&adya::History::from_json(events).unwrap(), workload, &options);
    match report.valid {
        Valid::True => Some(true),
        Valid::False => Some(false),
        Valid::Unknown => None,
    }
}

/// The commit number of each transaction, by the place of its last event.
fn commit_order(txns: &[Txn]) -> HashMap<u64, i64> {
    let mut events: Vec<(u64, Option<u64>)> = Vec::new();
    for txn in txns {
        events.extend([(txn.begin, None), (txn.end, Some(txn.commit))]);
    }
    events.sort_unstable();
    let commits = (0..)
        .zip(&events)
        .filter_map(|(index, (_, commit))| Some((index, (*commit)?.cast_signed())));
    commits.collect()
}

#[test]
fn another_checker_agrees_on_random_histories() {
    let mut random = Random(3);
    let mut seen: BTreeMap<(IsolationLevel, bool), usize> = BTreeMap::new();
    for round in 0..600 {
        let (snapshots, wrong) = [(false, 0), (true, 0), (true, 20), (false, 30)][round % 4];
        let store = Store { snapshots, wrong, deletes: false, scans: false };
        let count = 3 + random.below(20);
        let txns = run(&mut random, store, count);
        let history = recorded(&txns, true);
        let report = check(&history).unwrap();
        let (events, order) = (events(&history), commit_order(&txns));
        for (level, model) in MODELS {
            let ours = report.holds(level);
            match opinion(&events, Workload::RwRegister, model, &order) {
                Some(theirs) => {
                    assert_eq!(theirs, ours, "round {round}, {level}\n{events}\n{report}");
                }
                None => assert_eq!(report.dependencies, 0, "it judges every graph with an edge"),
            }
            *seen.entry((level, ours)).or_default() += 1;
        }
    }
    assert_eq!(seen.len(), 8, "both answers occur for each level: {seen:?}");
}

/// Known histories calibrate the other checker: it has to find what is wrong with them, and nothing else.
#[test]
fn another_checker_agrees_on_lists_with_a_known_anomaly() {
    let stories = [
        (
            "1 commits: a x 1, l y
          2 commits: a y 2, l x",
            [true, true, false, false],
        ),
        (
            "1 commits: a x 1
          2 commits: a y 1
          3 commits: l x 1, l y
          4 commits: l x, l y 1",
            [false; 4],
        ),
        (
            "1 commits: a x 1, a y 1
          2 commits: l x 1, l y",
            [false; 4],
        ),
        (
            "1 begins
          1 commits: a x 1
          2 begins
          2 commits: l x
          3 begins
          3 commits: l x 1",
            [true, false, true, false],
        ),
        (
            "1 commits: a x 1
          2 commits: l x 1, a x 2
          3 commits: l x 1 2",
            [true; 4],
        ),
    ];
    for (text, expected) in stories {
        let history = story::history(text);
        let report = check(&history).unwrap();
        for ((level, model), expected) in MODELS.into_iter().zip(expected) {
            assert_eq!(report.holds(level), expected, "{level}\n{report}");
            let theirs = opinion(&events(&history), Workload::ListAppend, model, &HashMap::new());
            assert_eq!(theirs, Some(expected), "{model}\n{text}");
        }
    }
}
