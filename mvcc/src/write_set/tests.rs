use std::collections::BTreeMap;

use durable::{Entropy as _, SeededEntropy};

use super::*;

const LIMIT: usize = 1 << 20;

/// The same set as a plain map, cloned for each savepoint.
#[derive(Default)]
struct Model {
    entries: BTreeMap<Vec<u8>, Pending>,
    savepoints: Vec<(u64, BTreeMap<Vec<u8>, Pending>)>,
}

impl Model {
    fn set(&mut self, key: &[u8], pending: Pending) {
        if pending != Pending::Mark || !self.entries.contains_key(key) {
            self.entries.insert(key.to_vec(), pending);
        }
    }

    fn find(&self, number: u64) -> Option<usize> {
        self.savepoints.iter().position(|(own, _)| *own == number)
    }
}

fn content(set: &WriteSet) -> BTreeMap<Vec<u8>, Pending> {
    set.keys().map(|(key, pending)| (key.to_vec(), pending.clone())).collect()
}

/// The sums that the set keeps, counted anew.
fn check_sums(set: &WriteSet) {
    let entries: usize = set.entries.iter().map(|(key, entry)| cost(key, Some(entry))).sum();
    let undo: usize = set.undo.iter().map(|undo| cost(&undo.key, undo.before.as_ref())).sum();
    assert_eq!(set.bytes, entries + undo);
    let is_mark = |pending: &&Pending| **pending == Pending::Mark;
    let marks = set.keys().map(|(_, pending)| pending).filter(is_mark).count();
    assert_eq!((set.marks, set.marked().count()), (marks, marks));
    assert_eq!(set.to_batch().len(), set.writes());
}

#[test]
fn random_changes_and_savepoints_end_in_the_state_of_a_plain_map() {
    for seed in 0..500 {
        let random = SeededEntropy::new(seed);
        let below = |end: u64| random.next_u64() % end;
        let (mut set, mut model) = (WriteSet::new(LIMIT), Model::default());
        for _ in 0..60 {
            let key = [below(5) as u8];
            match below(10) {
                0..=3 => {
                    let pending = Pending::Put(Bytes::from(vec![7; below(9) as usize]));
                    set.set(&key, pending.clone()).unwrap();
                    model.set(&key, pending);
                }
                4 => {
                    set.set(&key, Pending::Delete).unwrap();
                    model.set(&key, Pending::Delete);
                }
                5 => {
                    set.set(&key, Pending::Mark).unwrap();
                    model.set(&key, Pending::Mark);
                }
                6 => {
                    let number = set.set_savepoint();
                    model.savepoints.push((number, model.entries.clone()));
                }
                choice => {
                    let number = below(set.last_savepoint + 2);
                    let found = model.find(number);
                    if choice < 9 {
                        assert_eq!(set.rollback_to(number).is_ok(), found.is_some(), "seed {seed}");
                        if let Some(at) = found {
                            model.entries = model.savepoints[at].1.clone();
                            model.savepoints.truncate(at + 1);
                        }
                    } else {
                        assert_eq!(set.release(number).is_ok(), found.is_some(), "seed {seed}");
                        found.inspect(|&at| model.savepoints.truncate(at));
                    }
                }
            }
            assert_eq!(content(&set), model.entries, "seed {seed}");
            check_sums(&set);
        }
    }
}

#[test]
fn a_key_that_is_written_often_after_a_savepoint_is_logged_once() {
    let mut set = WriteSet::new(LIMIT);
    set.set(b"k", Pending::Put(Bytes::from_static(b"old"))).unwrap();
    let first = set.set_savepoint();
    for _ in 0..1_000 {
        set.set(b"k", Pending::Put(Bytes::from_static(b"new"))).unwrap();
    }
    let second = set.set_savepoint();
    for _ in 0..1_000 {
        set.set(b"k", Pending::Delete).unwrap();
    }
    assert_eq!(set.undo.len(), 2);
    set.rollback_to(second).unwrap();
    assert_eq!(set.get(b"k"), Some(&Pending::Put(Bytes::from_static(b"new"))));
    set.rollback_to(first).unwrap();
    assert_eq!(set.get(b"k"), Some(&Pending::Put(Bytes::from_static(b"old"))));
    assert!(set.rollback_to(second).is_err(), "it was set after the first one");
    set.release(first).unwrap();
    assert!(set.undo.is_empty());
}

#[test]
fn a_change_beyond_the_limit_is_refused_and_changes_nothing() {
    let mut set = WriteSet::new(1_000);
    set.set(b"k", Pending::Put(Bytes::from(vec![1; 500]))).unwrap();
    let before = content(&set);
    let refused = set.set(b"l", Pending::Put(Bytes::from(vec![1; 400])));
    assert!(matches!(refused, Err(Error::InvalidArgument(_))));
    assert_eq!(content(&set), before);
    check_sums(&set);
    set.set(b"l", Pending::Delete).unwrap();
}
