//! How a plan is divided among threads: single cases, by hand.

use lsm::compaction::{Action, Anchor, OutputCutter, Part, Plan, Tree};

use crate::checks;
use crate::plans::{file, first_of, plan};
use crate::random::Random;

fn wide() -> Plan<u64> {
    plan(vec![(first_of(1), vec![file(1, 0, 999)])], first_of(2))
}

/// The first keys of the parts.
fn starts(anchors: &[(u64, u64)], most: usize, least_bytes: u64) -> Vec<u64> {
    let anchors = anchors.iter().map(|(key, bytes)| Anchor { key: *key, bytes: *bytes });
    let parts = wide().parts(anchors.collect(), most, least_bytes);
    assert_eq!(checks::parts_of(&wide(), &parts), Ok(()));
    parts.into_iter().map(|part| part.from).collect()
}

/// Blocks of ten bytes at the keys 0, 10, 20 and so on.
fn even(count: u64) -> Vec<(u64, u64)> {
    (0..count).map(|at| (at * 10, 10)).collect()
}

#[test]
fn parts_have_even_shares_of_the_bytes() {
    assert_eq!(starts(&even(100), 4, 1), [0, 250, 500, 750]);
    // Two inputs; the second one has its bytes at the end.
    let inputs = [even(100), (0..100).map(|at| (500 + at * 5, 30)).collect()].concat();
    assert_eq!(starts(&inputs, 2, 1), [0, 715]);
}

#[test]
fn there_are_no_parts_below_the_least_size() {
    assert_eq!(starts(&even(100), 4, 500), [0, 500]);
    assert_eq!(starts(&even(100), 4, 501), [0]);
    assert_eq!(starts(&[], 4, 1), [0]);
}

#[test]
fn a_large_piece_makes_fewer_parts() {
    assert_eq!(starts(&[(0, 10), (100, 700), (200, 10), (300, 280)], 4, 1), [0, 200]);
    assert_eq!(starts(&[(0, 1_000)], 4, 1), [0]);
    assert_eq!(starts(&[(0, 10), (10, 10), (20, 0)], 2, 1), [0, 10], "no part without bytes");
}

#[test]
fn pieces_of_one_key_stay_together() {
    let blocks: Vec<(u64, u64)> = (0..8).map(|at| (at / 4 * 100, 10)).collect();
    assert_eq!(starts(&blocks, 8, 1), [0, 100]);
}

#[test]
fn a_plan_that_rewrites_nothing_has_one_part() {
    let anchors: Vec<Anchor<u64>> =
        even(100).into_iter().map(|(key, bytes)| Anchor { key, bytes }).collect();
    for action in [Action::Move, Action::Drop] {
        let plan = Plan { action, ..wide() };
        assert_eq!(plan.parts(anchors.clone(), 4, 1), [Part { from: 0, to: None }]);
    }
}

#[test]
fn no_part_has_more_than_an_even_share_and_the_pieces_of_one_key() {
    let mut random = Random::new(5);
    for _ in 0..2_000 {
        let count = 1 + random.below(60);
        let blocks: Vec<(u64, u64)> =
            (0..count).map(|_| (random.below(300), 1 + random.below(1_000))).collect();
        let most = 1 + random.below(9);
        let anchors: Vec<Anchor<u64>> =
            blocks.iter().map(|(key, bytes)| Anchor { key: *key, bytes: *bytes }).collect();
        let parts = wide().parts(anchors, most as usize, 1);
        assert_eq!(checks::parts_of(&wide(), &parts), Ok(()));
        let bytes = |part: &Part<u64>| -> u64 {
            blocks.iter().filter(|(key, _)| part.contains(key)).map(|(_, bytes)| bytes).sum()
        };
        let of_key = |key: u64| -> u64 {
            blocks.iter().filter(|(other, _)| *other == key).map(|(_, bytes)| bytes).sum()
        };
        let total: u64 = blocks.iter().map(|(_, bytes)| bytes).sum();
        let largest = blocks.iter().map(|(key, _)| of_key(*key)).max().unwrap();
        let shares = most.min(total);
        assert_eq!(parts.iter().map(bytes).sum::<u64>(), total);
        for part in &parts {
            let bound = total.div_ceil(shares) + largest;
            assert!(bytes(part) <= bound, "{part:?} of {parts:?}: {blocks:?}");
        }
    }
}

#[test]
fn the_cutter_of_a_part_counts_no_overlap_before_the_part() {
    let mut tree = Tree::new(4);
    tree.load(2, (0..6).map(|at| file(at, at * 2, at * 2 + 1)).collect());
    let new = tree.flush(vec![file(99, 0, 11)]);
    let plan = plan(vec![(new, vec![file(99, 0, 11)])], first_of(1));
    let part = Part { from: 5, to: None };
    // An output file may overlap two files of the next level: 4 to 5 and 6 to 7, then 8 to 11.
    let mut cutter = OutputCutter::new(&plan, &tree, 1_000, 200).for_part(&part);
    let cuts: Vec<u64> = (5..12)
        .filter(|key| {
            let cuts = cutter.cuts_before(key);
            cutter.add(10);
            cuts
        })
        .collect();
    assert_eq!(cuts, [8]);
}

#[test]
fn p12_finds_parts_with_a_gap_or_a_missing_end() {
    let part = |from, to| Part { from, to };
    let wrong = [
        vec![],
        vec![part(1, None)],
        vec![part(0, Some(500))],
        vec![part(0, Some(400)), part(500, None)],
        vec![part(0, Some(600)), part(500, None)],
        vec![part(0, Some(0)), part(0, None)],
        vec![part(0, Some(1_000)), part(1_000, None)],
    ];
    for parts in wrong {
        assert!(
            checks::parts_of(&wide(), &parts).is_err_and(|text| text.contains("P12")),
            "{parts:?}"
        );
    }
}
