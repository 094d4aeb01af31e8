//! Histories in a few words.
//!
//! A line is an event: `1 begins`, `1 commits 5: OPERATIONS` (with its commit number, or without; `5@3` states
//! the snapshot as well), `1 aborts: OPERATIONS`, `1 vanishes: OPERATIONS`. Number and session of a transaction are the same. A transaction without a line `begins` begins
//! before the first line, with all others like it.
//!
//! Operations, separated by `, `: `r x 10` and `r x -` (absent), `w x 11`, `d x`, `a x 1` (append), `l x 1 2` (a list),
//! `s a..c b=1 bb=2` (a scan; `s ..` for all keys).

use std::collections::BTreeSet;

use ssi::history::{
    AnomalyKind, Completion, History, HistoryBuilder, IsolationLevel, Operation, Outcome, Report,
    Scalar, check,
};

/// The history that `story` tells.
pub(crate) fn history(story: &str) -> History {
    let lines: Vec<&str> = story.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let actor = |line: &str| line.split(' ').next().unwrap().parse::<u64>().unwrap();
    let begun: BTreeSet<u64> =
        lines.iter().filter(|line| line.ends_with(" begins")).map(|line| actor(line)).collect();
    let all: BTreeSet<u64> = lines.iter().map(|line| actor(line)).collect();
    let mut builder = HistoryBuilder::new();
    for &transaction in all.difference(&begun) {
        builder.invoke(transaction).unwrap();
    }
    for line in lines {
        let transaction = actor(line);
        if line.ends_with(" begins") {
            builder.invoke(transaction).unwrap();
            continue;
        }
        let (head, operations) = line.split_once(':').unwrap();
        let operations = operations.split(", ").map(|words| operation(words.trim())).collect();
        let mut words = head.split(' ').skip(1);
        let outcome = match words.next().unwrap() {
            "commits" => Outcome::Committed,
            "aborts" => Outcome::Aborted,
            "vanishes" => Outcome::Unknown,
            other => panic!("{other} is no event"),
        };
        let mut completion = Completion::new(outcome, operations).number(transaction);
        if let Some(numbers) = words.next() {
            let (commit, snapshot) = numbers.split_once('@').unwrap_or((numbers, ""));
            completion = completion.commit(commit.parse().unwrap());
            if !snapshot.is_empty() {
                completion = completion.snapshot(snapshot.parse().unwrap());
            }
        }
        builder.complete(transaction, completion).unwrap();
    }
    builder.finish()
}

fn operation(words: &str) -> Operation {
    let words: Vec<&str> = words.split(' ').collect();
    let key = || Scalar::from(words[1]);
    let value = |word: &str| (word != "-").then(|| Scalar::Integer(word.parse().unwrap()));
    match words[0] {
        "r" => Operation::Read(key(), value(words[2])),
        "w" => Operation::Write(key(), value(words[2])),
        "d" => Operation::Write(key(), None),
        "a" => Operation::Append(key(), value(words[2]).unwrap()),
        "l" => {
            Operation::ReadList(key(), words[2..].iter().map(|word| value(word).unwrap()).collect())
        }
        "s" => {
            let (from, to) = words[1].split_once("..").unwrap();
            let bound = |bound: &str| (!bound.is_empty()).then(|| bound.to_string());
            let entry = |entry: &&str| {
                let (key, found) = entry.split_once('=').unwrap();
                (Scalar::from(key), value(found).unwrap())
            };
            Operation::Scan(bound(from), bound(to), words[2..].iter().map(entry).collect())
        }
        other => panic!("{other} is no operation"),
    }
}

/// The report on a story.
pub(crate) fn judge(story: &str) -> Report {
    check(&history(story)).unwrap()
}

/// The names of all anomalies of a story.
pub(crate) fn anomalies(story: &str) -> Vec<AnomalyKind> {
    let report = judge(story);
    let mut kinds: Vec<AnomalyKind> = report.counts.keys().map(|(kind, _)| *kind).collect();
    kinds.dedup();
    kinds
}

/// Checks that a story has this anomaly and no other, that it breaks the levels from `weakest` on, and that its evidence is in
/// order. Returns the sentences of its first report.
pub(crate) fn has_one(story: &str, kind: AnomalyKind, weakest: IsolationLevel) -> Vec<String> {
    let report = judge(story);
    let found: Vec<AnomalyKind> = report.counts.keys().map(|(kind, _)| *kind).collect();
    assert_eq!(found, [kind], "{report}");
    for level in IsolationLevel::ALL {
        assert_eq!(report.holds(level), level < weakest, "{level}\n{report}");
    }
    let anomaly = &report.anomalies[0];
    let dot = anomaly.dot();
    for transaction in anomaly.transactions() {
        assert!(dot.contains(&format!("t{} [label", transaction.number)), "{dot}");
    }
    anomaly.to_string().lines().skip(1).map(|line| line.trim().to_string()).collect()
}

/// Checks that a story has no anomaly at all.
pub(crate) fn has_none(story: &str) {
    let report = judge(story);
    assert!(report.counts.is_empty(), "{report}");
    assert_eq!(report.levels(), IsolationLevel::ALL);
}
