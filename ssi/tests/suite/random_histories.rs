//! The checker agrees with brute force on random small histories.

use std::collections::BTreeMap;

use ssi::history::{IsolationLevel, check};

use crate::oracle::{Key, Op, Rules, Txn, is_serializable, is_snapshot_isolated, recorded};

/// `SplitMix64`.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

const KEYS: [Key; 3] = ['a', 'b', 'c'];

/// A store that keeps some isolation level, or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Store {
    /// A transaction reads the state at its begin instead of the newest one.
    pub(crate) snapshots: bool,
    /// A read is wrong once in so many.
    pub(crate) wrong: usize,
    pub(crate) deletes: bool,
    pub(crate) scans: bool,
}

struct Running {
    begin: u64,
    snapshot: BTreeMap<Key, i64>,
    own: BTreeMap<Key, Option<i64>>,
    ops: Vec<Op>,
    left: usize,
}

/// Runs a few transactions on `store`, step by step in a random order, at most four at the same time.
pub(crate) fn run(random: &mut Random, store: Store, count: usize) -> Vec<Txn> {
    let mut state: BTreeMap<Key, i64> = BTreeMap::new();
    let mut ever: Vec<(Key, i64)> = Vec::new();
    let mut running: Vec<Option<Running>> = (0..count).map(|_| None).collect();
    let mut done: Vec<Option<Txn>> = vec![None; count];
    let (mut event, mut value, mut commit) = (0, 0, 0);
    while done.iter().any(Option::is_none) {
        let waiting = done.iter().enumerate().filter(|(_, done)| done.is_none());
        let next: Vec<usize> = waiting.map(|(index, _)| index).take(4).collect();
        let index = next[random.below(next.len())];
        event += 1;
        let Some(txn) = &mut running[index] else {
            let (own, left) = (BTreeMap::new(), 1 + random.below(4));
            let snapshot = state.clone();
            running[index] = Some(Running { begin: event, snapshot, own, ops: Vec::new(), left });
            continue;
        };
        if txn.left > 0 {
            txn.left -= 1;
            let op = operation(random, store, txn, &state, &ever, &mut value);
            txn.ops.push(op);
            continue;
        }
        commit += 1;
        for (key, new) in &txn.own {
            ever.extend(new.map(|new| (*key, new)));
            match new {
                Some(new) => state.insert(*key, *new),
                None => state.remove(key),
            };
        }
        done[index] = Some(Txn { begin: txn.begin, end: event, commit, ops: txn.ops.clone() });
    }
    done.into_iter().flatten().collect()
}

fn operation(
    random: &mut Random,
    store: Store,
    txn: &mut Running,
    state: &BTreeMap<Key, i64>,
    ever: &[(Key, i64)],
    value: &mut i64,
) -> Op {
    let key = KEYS[random.below(KEYS.len())];
    let base = if store.snapshots { &txn.snapshot } else { state };
    let see = |key: &Key| txn.own.get(key).copied().unwrap_or(base.get(key).copied());
    match random.below(if store.scans { 5 } else { 4 }) {
        0 | 1 => {
            *value += 1;
            let new = (!store.deletes || random.below(3) > 0).then_some(*value);
            txn.own.insert(key, new);
            Op::Write(key, new)
        }
        2 | 3 => {
            let old: Vec<i64> =
                ever.iter().filter(|(of, _)| *of == key).map(|(_, old)| *old).collect();
            if store.wrong > 0 && random.below(store.wrong) == 0 {
                let choice = random.below(old.len() + 1);
                return Op::Read(key, old.get(choice).copied());
            }
            Op::Read(key, see(&key))
        }
        _ => {
            let bounds = [('a', 'c'), ('b', 'd'), ('a', 'd'), ('b', 'c')][random.below(4)];
            let keys = KEYS.iter().filter(|key| (bounds.0..bounds.1).contains(key));
            let missing = if store.wrong > 0 { random.below(store.wrong) } else { 1 };
            let keys = keys.filter(|key| missing != 0 || **key != 'b');
            let found = keys.filter_map(|key| see(key).map(|found| (*key, found))).collect();
            Op::Scan(bounds.0, bounds.1, found)
        }
    }
}

/// The judgement of brute force on each level that the checker judges, but read committed.
fn brute_force(txns: &[Txn], versions: bool) -> [(IsolationLevel, bool); 4] {
    let lax = Rules { real_time: false, versions };
    let strict = Rules { real_time: true, versions };
    [
        (IsolationLevel::SnapshotIsolation, is_snapshot_isolated(txns, lax)),
        (IsolationLevel::StrongSnapshotIsolation, is_snapshot_isolated(txns, strict)),
        (IsolationLevel::Serializable, is_serializable(txns, lax)),
        (IsolationLevel::StrictSerializable, is_serializable(txns, strict)),
    ]
}

const STORES: [(bool, usize); 4] = [(false, 0), (true, 0), (false, 4), (true, 6)];

#[test]
fn the_checker_agrees_with_brute_force_where_the_order_of_versions_is_known() {
    let mut random = Random(1);
    let mut seen: BTreeMap<(IsolationLevel, bool), usize> = BTreeMap::new();
    for round in 0..6_000 {
        let (snapshots, wrong) = STORES[round % 4];
        let store = Store { snapshots, wrong, deletes: false, scans: round % 8 >= 4 };
        let count = 2 + random.below(3);
        let txns = run(&mut random, store, count);
        let report = check(&recorded(&txns, true)).unwrap();
        assert!(report.is_proof(), "every write has a commit number");
        for (level, expected) in brute_force(&txns, true) {
            assert_eq!(
                report.holds(level),
                expected,
                "round {round}, {level}\n{txns:#?}\n{report}"
            );
            *seen.entry((level, expected)).or_default() += 1;
        }
    }
    assert_eq!(seen.len(), 8, "both answers occur for each level: {seen:?}");
    assert!(seen.values().all(|&count| count > 100), "{seen:?}");
}

#[test]
fn the_checker_accuses_nobody_that_brute_force_acquits() {
    let mut random = Random(2);
    let mut accused = 0;
    for round in 0..6_000 {
        let (snapshots, wrong) = STORES[round % 4];
        let store = Store { snapshots, wrong, deletes: true, scans: round % 8 >= 4 };
        let count = 2 + random.below(3);
        let txns = run(&mut random, store, count);
        for commits in [true, false] {
            let report = check(&recorded(&txns, commits)).unwrap();
            for (level, innocent) in brute_force(&txns, commits) {
                let holds = report.holds(level);
                assert!(holds || !innocent, "round {round}, {level}\n{txns:#?}\n{report}");
                accused += usize::from(!holds);
            }
        }
    }
    assert!(accused > 1_000, "the checker accuses {accused} times");
}
