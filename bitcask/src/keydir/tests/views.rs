//! Views: what they see, and what closing one costs.

use super::*;

fn at(keydir: &Keydir, view: u64) -> BTreeMap<Vec<u8>, u64> {
    keys_of(&keydir.collect(&KeyRange::all(), view))
}

#[test]
fn a_view_sees_what_was_there_when_it_was_opened() {
    let keydir = keydir();
    for sequence in 1..=100 {
        keydir.put(&[sequence as u8], version(sequence));
    }
    keydir.open_view(100);
    let frozen = at(&keydir, 100);
    for sequence in 101..=160 {
        keydir.put(&[sequence as u8 - 100], version(sequence));
        keydir.put(&[sequence as u8], version(sequence));
    }
    for sequence in 161..=190 {
        keydir.remove(&[sequence as u8 - 160], sequence);
    }
    assert_eq!(at(&keydir, 100), frozen);
    keydir.close_view(100);
    keydir.release_all();
    assert_eq!(keydir.undo_bytes(), 0);
    keydir.check_invariants();
}

/// A short snapshot beside an old one went through everything that the old one needed, and held writers up meanwhile.
#[test]
fn closing_a_view_looks_at_what_it_held_and_at_nothing_else() {
    let keydir = keydir();
    let key = |number: u64| number.to_be_bytes();
    for sequence in 1..=5_000 {
        keydir.put(&key(sequence), version(sequence));
    }
    keydir.open_view(5_000);
    for sequence in 5_001..=10_000 {
        keydir.put(&key(sequence - 5_000), version(sequence));
    }
    // Nothing is overwritten beside the second view, then three keys, of which the old view sees one.
    keydir.open_view(10_000);
    keydir.close_view(10_000);
    assert_eq!(keydir.release_all(), 0);
    keydir.put(&key(6_000), version(10_001));
    keydir.put(&key(6_001), version(10_002));
    keydir.open_view(10_002);
    keydir.put(&key(6_000), version(10_003));
    keydir.remove(&key(6_001), 10_004);
    keydir.put(&key(4_000), version(10_005));
    let held = keydir.undo_bytes();
    keydir.close_view(10_002);
    assert_eq!(keydir.release_all(), 3);
    assert!(keydir.undo_bytes() < held);
    assert_eq!(at(&keydir, 5_000).len(), 5_000);
    keydir.check_invariants();
    keydir.close_view(5_000);
    assert_eq!(keydir.release_all(), 5_000);
    keydir.check_invariants();
}

#[test]
fn a_step_of_releasing_is_small_and_leaves_other_views_whole() {
    let keydir = keydir();
    for sequence in 1..=2_000_u64 {
        keydir.put(&sequence.to_be_bytes(), version(sequence));
    }
    keydir.open_view(2_000);
    for sequence in 2_001..=4_000_u64 {
        keydir.put(&(sequence - 2_000).to_be_bytes(), version(sequence));
    }
    let whole = keydir.undo_bytes();
    keydir.close_view(2_000);
    let mut steps = 0;
    while keydir.has_closed_views() {
        let before = keydir.undo_bytes();
        keydir.release(1);
        assert!(before - keydir.undo_bytes() <= whole / 100, "a step releases a little");
        keydir.check_invariants();
        steps += 1;
        if steps == 5 {
            keydir.open_view(4_000);
            keydir.put(&1_u64.to_be_bytes(), version(4_001));
        }
    }
    assert_eq!(at(&keydir, 4_000)[&1_u64.to_be_bytes()[..]], 2_001);
    keydir.close_view(4_000);
    keydir.release_all();
    keydir.check_invariants();
}

#[test]
fn views_at_one_sequence_number_keep_what_they_see_until_the_last_is_closed() {
    let keydir = keydir();
    keydir.put(b"a", version(1));
    keydir.open_view(1);
    keydir.open_view(1);
    keydir.put(b"a", version(2));
    keydir.close_view(1);
    assert_eq!(keydir.release_all(), 0);
    assert_eq!(keydir.get_at(b"a", 1), Some(version(1)));
    // Opened again between closing and releasing.
    keydir.close_view(1);
    keydir.open_view(1);
    keydir.release_all();
    assert_eq!(keydir.get_at(b"a", 1), Some(version(1)));
    keydir.close_view(1);
    assert_eq!(keydir.release_all(), 1);
    assert_eq!(keydir.get_at(b"a", 1), None);
    keydir.check_invariants();
}

/// Writes, removals, and views that come and go in any order. Each view is compared with a copy of the entries that it must
/// see.
#[test]
fn views_see_their_copies_through_random_histories() {
    for seed in 0..40 {
        let mut random = Random(seed);
        let keydir = keydir();
        let mut model: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        let mut views: Vec<(u64, BTreeMap<Vec<u8>, u64>)> = Vec::new();
        let mut sequence = 0;
        for _ in 0..600 {
            let key = random.below(30).to_string().into_bytes();
            match random.below(20) {
                0..9 => {
                    sequence += 1;
                    let replaced = keydir.put(&key, version(sequence));
                    assert_eq!(replaced.map(|old| old.sequence), model.insert(key, sequence));
                }
                9..13 => {
                    sequence += 1;
                    let removed = keydir.remove(&key, sequence);
                    assert_eq!(removed.map(|old| old.sequence), model.remove(&key));
                }
                13..16 if views.len() < 8 => {
                    keydir.open_view(sequence);
                    views.push((sequence, model.clone()));
                }
                16..18 if !views.is_empty() => {
                    let (view, _) = views.swap_remove(random.below(views.len() as u64) as usize);
                    keydir.close_view(view);
                    if random.below(2) == 0 {
                        keydir.release_all();
                    }
                }
                18 => keydir.release(random.below(20) as usize),
                _ => {
                    for (view, copy) in &views {
                        let seen = keydir.get_at(&key, *view).map(|version| version.sequence);
                        assert_eq!(seen, copy.get(&key).copied(), "seed {seed}");
                        assert_eq!(&at(&keydir, *view), copy, "seed {seed}");
                    }
                }
            }
        }
        keydir.check_invariants();
        for (view, copy) in views {
            assert_eq!(at(&keydir, view), copy, "seed {seed}");
            keydir.close_view(view);
        }
        keydir.release_all();
        keydir.check_invariants();
        assert_eq!((keydir.undo_bytes(), newest(&keydir)), (0, model));
    }
}
