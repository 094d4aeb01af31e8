use std::collections::BTreeSet;

use super::*;

/// A sequence of numbers that looks random.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    /// A range of keys of one byte below 24, perhaps an empty one or one without an end.
    fn range(&mut self) -> DeletedRange {
        let (start, len) = (self.below(20) as u8, self.below(9) as u8);
        let end = (self.below(8) > 0).then(|| vec![start + len]);
        DeletedRange { start: vec![start], end }
    }
}

/// The numbers of the range tombstones that cover each key.
type Model = Vec<BTreeSet<u64>>;

fn model() -> Model {
    vec![BTreeSet::new(); 32]
}

fn add(model: &mut Model, ranges: &[DeletedRange], number: u64) {
    for (key, numbers) in model.iter_mut().enumerate() {
        if ranges.iter().any(|range| range.contains(&[key as u8])) {
            numbers.insert(number);
        }
    }
}

fn assert_agrees(fragments: &Fragments, model: &Model) {
    for (key, expected) in model.iter().enumerate() {
        let found = fragments.at(&[key as u8]).map_or(&[][..], |fragment| fragment.numbers());
        assert!(found.iter().rev().eq(expected), "{key}: {found:?}, not {expected:?}");
        let seen = fragments.covering(&[key as u8], 7);
        assert_eq!(seen, expected.range(..=7).next_back().copied());
        match fragments.around(&[key as u8]) {
            Surroundings::Covered(fragment) => assert_eq!(fragment.numbers(), found),
            Surroundings::Gap { from, to } => {
                assert!(found.is_empty());
                assert!(from.is_none_or(|from| *from <= [key as u8][..]));
                assert!(to.is_none_or(|to| *to > [key as u8][..]));
            }
        }
    }
    let numbers = fragments.iter().map(|fragment| fragment.numbers().len()).sum::<usize>();
    assert_eq!(fragments.numbers(), numbers);
}

/// The fragments of a few batches with random ranges, and what they have to be.
fn random(numbers: &mut Numbers) -> (Fragments, Model) {
    let (mut fragments, mut model) = (Fragments::default(), model());
    for number in 1..=1 + numbers.below(12) {
        let ranges: Vec<_> = (0..numbers.below(4)).map(|_| numbers.range()).collect();
        add(&mut model, &ranges, number);
        fragments = fragments.union(&Fragments::of(ranges, number));
    }
    (fragments, model)
}

#[test]
fn a_key_has_the_numbers_of_all_ranges_that_contain_it() {
    let mut numbers = Numbers(1);
    for _ in 0..300 {
        let (fragments, model) = random(&mut numbers);
        assert_agrees(&fragments, &model);
    }
}

#[test]
fn a_union_has_the_numbers_of_both() {
    let mut numbers = Numbers(2);
    for _ in 0..200 {
        let ((one, mut of_one), (other, of_other)) = (random(&mut numbers), random(&mut numbers));
        of_one.iter_mut().zip(&of_other).for_each(|(one, other)| one.extend(other));
        assert_agrees(&one.union(&other), &of_one);
        assert_agrees(&other.union(&one), &of_one);
    }
}

#[test]
fn a_part_has_the_keys_of_its_range_alone() {
    let mut numbers = Numbers(3);
    for _ in 0..300 {
        let (fragments, mut model) = random(&mut numbers);
        let range = numbers.range();
        let is_outside = |key: usize| !range.contains(&[key as u8]);
        let outside = model.iter_mut().enumerate().filter(|(key, _)| is_outside(*key));
        outside.for_each(|(_, numbers)| numbers.clear());
        if range.is_empty() {
            continue;
        }
        assert_agrees(&fragments.clipped(&range), &model);
    }
}

#[test]
fn a_split_divides_the_keys() {
    let mut numbers = Numbers(4);
    for _ in 0..300 {
        let (mut rest, model) = random(&mut numbers);
        let at = numbers.below(26) as usize;
        let before = rest.split_off_before(&[at as u8]);
        let none = || vec![BTreeSet::new(); 32];
        assert_agrees(&before, &[&model[..at], &none()[at..]].concat());
        assert_agrees(&rest, &[&none()[..at], &model[at..]].concat());
    }
}

#[test]
fn what_is_retained_keeps_its_keys_and_neighbors_become_one() {
    let mut numbers = Numbers(5);
    for _ in 0..200 {
        let (fragments, mut model) = random(&mut numbers);
        let is_kept = |number: &u64| number.is_multiple_of(3);
        for numbers in &mut model {
            numbers.retain(is_kept);
        }
        let kept = |fragment: &Fragment| -> Vec<u64> {
            fragment.numbers().iter().copied().filter(is_kept).collect()
        };
        let retained = fragments.retained(kept);
        assert_agrees(&retained, &model);
        let all: Vec<_> = retained.iter().collect();
        let are_apart = |pair: &[&Arc<Fragment>]| {
            pair[0].range.end.as_ref() != Some(&pair[1].range.start)
                || pair[0].numbers() != pair[1].numbers()
        };
        assert!(all.windows(2).all(are_apart), "{retained:?}");
    }
}

#[test]
fn the_number_of_the_newest_entry_stays_when_a_fragment_is_cut() {
    let range = |start: u8, end: u8| DeletedRange { start: vec![start], end: Some(vec![end]) };
    let fragments = Fragments::of(vec![range(1, 9)], 5);
    fragments.at(&[4]).unwrap().note_entry(7);
    let cut = fragments.union(&Fragments::of(vec![range(3, 6)], 8));
    assert_eq!(cut.len(), 3);
    assert!(cut.iter().all(|fragment| fragment.newest_entry() == 7));
    cut.at(&[4]).unwrap().note_entry(9);
    let newest: Vec<u64> = cut.iter().map(|fragment| fragment.newest_entry()).collect();
    assert_eq!(newest, [7, 9, 7]);
}
