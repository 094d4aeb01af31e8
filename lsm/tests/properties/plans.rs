//! What a plan must not do, and where its outputs are cut: single cases, by hand.

use lsm::compaction::{Action, Busy, File, Input, OutputCutter, Place, Plan, Rank, Reason, Tree};

pub(crate) fn file(id: u64, smallest: u64, largest: u64) -> File<u64> {
    File { newest: id, ..File::new(id, (smallest, largest), 10, 100) }
}

pub(crate) fn plan(inputs: Vec<(Place, Vec<File<u64>>)>, output: Place) -> Plan<u64> {
    let files = || inputs.iter().flat_map(|(_, files)| files);
    let smallest = files().map(|file| file.smallest).min().unwrap();
    let largest = files().map(|file| file.largest).max().unwrap();
    let inputs = inputs.into_iter().map(|(place, files)| Input { place, files }).collect();
    let (reason, action) = (Reason::Size, Action::Rewrite);
    Plan { reason, inputs, output, smallest, largest, action, unseen_from: 0 }
}

pub(crate) fn first_of(level: usize) -> Place {
    Place { level, rank: Rank(0) }
}

#[test]
fn an_input_may_not_pass_an_older_file_of_its_keys() {
    let mut tree = Tree::new(4);
    let old = tree.load(1, vec![file(1, 10, 20)]);
    let new = tree.flush(vec![file(2, 0, 15), file(3, 30, 40)]);
    let passes = plan(vec![(new, vec![file(2, 0, 15)])], first_of(2));
    assert!(passes.check(&tree).unwrap_err().contains("passes file 1"));
    // The other file of the same run has no key of file 1, and may go.
    assert_eq!(plan(vec![(new, vec![file(3, 30, 40)])], first_of(2)).check(&tree), Ok(()));
    let both = plan(vec![(new, vec![file(2, 0, 15)]), (old, vec![file(1, 10, 20)])], first_of(2));
    assert_eq!(both.check(&tree), Ok(()));
}

#[test]
fn an_output_may_not_lie_above_an_input_or_overlap_a_file_of_its_run() {
    let mut tree = Tree::new(4);
    let old = tree.load(2, vec![file(1, 10, 20), file(4, 21, 22), file(5, 30, 50)]);
    let new = tree.flush(vec![file(2, 0, 15), file(3, 30, 40)]);
    let up = plan(vec![(old, vec![file(1, 10, 20)])], new);
    assert!(up.check(&tree).unwrap_err().contains("older than the output"));
    // File 4 has no key of an input, but it lies between them, where an output file can.
    let around = vec![
        (new, vec![file(2, 0, 15), file(3, 30, 40)]),
        (old, vec![file(1, 10, 20), file(5, 30, 50)]),
    ];
    assert!(plan(around, old).check(&tree).unwrap_err().contains("overlap file 4"));
}

#[test]
fn two_plans_may_not_write_the_same_range_of_a_run() {
    let mut busy = Busy::default();
    let (newer, older) = (Place { level: 0, rank: Rank(2) }, Place { level: 0, rank: Rank(1) });
    let first = plan(vec![(newer, vec![file(1, 10, 20)])], first_of(1));
    let second = plan(vec![(older, vec![file(2, 15, 30)])], first_of(1));
    assert!(busy.allows(&first));
    busy.begin(&first);
    assert!(!busy.allows(&second), "both write to level 1 between 15 and 20");
    let elsewhere = plan(vec![(older, vec![file(2, 15, 30)])], first_of(2));
    assert!(busy.allows(&elsewhere));
    let newer_run = Place { level: 1, rank: Rank(3) };
    assert!(busy.allows(&plan(vec![(older, vec![file(2, 15, 30)])], newer_run)));
    // One common key is enough, at either end.
    for (id, smallest, largest, is_allowed) in
        [(3, 20, 30, false), (4, 0, 10, false), (5, 21, 30, true), (6, 0, 9, true)]
    {
        let beside = plan(vec![(older, vec![file(id, smallest, largest)])], first_of(1));
        assert_eq!(busy.allows(&beside), is_allowed, "{smallest} to {largest}");
    }
    busy.end(&first);
    assert!(busy.is_idle() && busy.allows(&second));
}

/// The lengths of the output files for keys `0..count` of ten bytes each, above files of level 2 that begin at `edges`.
fn cut(count: u64, edges: &[u64], target: u64, max_overlap: u64) -> Vec<u64> {
    let mut tree = Tree::new(4);
    if let Some(first) = edges.first() {
        assert_eq!(*first, 0, "the first file begins with the first key");
        let ends = edges[1..].iter().chain([&count]);
        let below = edges.iter().zip(ends).enumerate();
        let below = below.map(|(id, (from, to))| file(id as u64 + 1, *from, to - 1));
        tree.load(2, below.collect());
    }
    let new = tree.flush(vec![file(99, 0, count - 1)]);
    let plan = plan(vec![(new, vec![file(99, 0, count - 1)])], first_of(1));
    let mut cutter = OutputCutter::new(&plan, &tree, target, max_overlap);
    let mut lengths = vec![0];
    for key in 0..count {
        if cutter.cuts_before(&key) {
            lengths.push(0);
        }
        cutter.add(10);
        *lengths.last_mut().unwrap() += 10;
    }
    lengths
}

#[test]
fn files_without_anything_below_have_the_target_length() {
    assert_eq!(cut(35, &[], 100, u64::MAX), [100, 100, 100, 50]);
}

#[test]
fn a_file_ends_at_the_edge_below_that_is_closest_to_the_target() {
    // Edges after 80, 160, 240 bytes: the first is closer to 100 than the second.
    assert_eq!(cut(32, &[0, 8, 16, 24], 100, u64::MAX), [80, 80, 80, 80]);
    // Edges every 30 bytes: 90 is closest.
    assert_eq!(cut(30, &[0, 3, 6, 9, 12, 15, 18, 21, 24, 27], 100, u64::MAX), [90, 90, 90, 30]);
}

#[test]
fn a_file_ends_at_twice_the_target_if_no_edge_comes() {
    // The edge after 440 bytes comes when the file has less than half the target.
    assert_eq!(cut(45, &[0, 44], 100, u64::MAX), [200, 200, 50]);
}

#[test]
fn a_file_ends_before_it_overlaps_too_much_below() {
    // Each file below has 100 bytes: two of them are the limit.
    assert_eq!(cut(12, &[0, 2, 4, 6, 8, 10], 1_000, 200), [40, 40, 40]);
}
