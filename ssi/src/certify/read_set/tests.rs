//! Read sets against the definition.

use super::*;

fn all_bounds() -> Vec<Bound<Vec<u8>>> {
    let keys = (0..5).map(|key| vec![b'a' + key]);
    let both = |key: Vec<u8>| [Bound::Included(key.clone()), Bound::Excluded(key)];
    keys.flat_map(both).chain([Bound::Unbounded]).collect()
}

fn all_ranges() -> Vec<KeyRange> {
    let bounds = all_bounds();
    let borrowed = |at: usize| bounds[at].as_ref().map(|key| &key[..]);
    let pairs = (0..bounds.len()).flat_map(|start| (0..bounds.len()).map(move |end| (start, end)));
    let ranges = pairs.map(|(start, end)| KeyRange::new((borrowed(start), borrowed(end))));
    ranges.filter(|range| range.check().is_ok()).collect()
}

/// The keys of the ranges, and one key behind each.
fn probes() -> Vec<Vec<u8>> {
    (0..5).flat_map(|key| [vec![b'a' + key], vec![b'a' + key, 0]]).collect()
}

#[test]
fn a_range_covers_its_keys_and_no_others() {
    let mut reads = ReadSet::default();
    reads.add(Target::from(b"x"));
    reads.add_key(b"y");
    reads.add(Target::from(KeyRange::new(&b"b"[..]..&b"d"[..])));
    let covered = [&b"a"[..], b"b", b"c", b"d", b"x", b"xx", b"y"].map(|key| reads.covers(key));
    assert_eq!(covered, [false, true, true, false, true, false, true]);
}

#[test]
fn ranges_that_touch_become_one_and_cover_the_same_keys() {
    let (ranges, probes) = (all_ranges(), probes());
    for (at, one) in ranges.iter().enumerate() {
        for other in &ranges {
            let third = &ranges[(at * 7 + 3) % ranges.len()];
            let mut reads = ReadSet::default();
            for range in [one, other, third] {
                reads.add(Target::Range(range.clone()));
            }
            for probe in &probes {
                let expected = [one, other, third].iter().any(|range| range.contains(probe));
                assert_eq!(reads.covers(probe), expected, "{one:?} {other:?} {third:?}");
            }
            let later = reads.ranges.keys().skip(1);
            assert!(reads.ranges.values().zip(later).all(|(end, next)| end < next));
        }
    }
}

/// Scans with every two seeks, and with a step or to the end of everything in both directions, before and after they end.
#[test]
fn a_scan_covers_the_keys_between_its_seeks_and_the_places_that_it_came_to() {
    let (ranges, probes) = (all_ranges(), probes());
    for first in &ranges {
        for second in ranges.iter().filter(|range| range.contains(b"b")) {
            for (direction, stops) in [
                (Direction::Forward, true),
                (Direction::Forward, false),
                (Direction::Backward, true),
                (Direction::Backward, false),
            ] {
                let mut reads = ReadSet::default();
                let scan = reads.begin_scan();
                reads.seek(scan, Extent::of(first));
                reads.seek(scan, Extent::of(second));
                let walked = match (direction, stops) {
                    (Direction::Forward, true) => KeyRange::new(&b"b"[..]..=&b"c"[..]),
                    (Direction::Forward, false) => KeyRange::new(&b"b"[..]..),
                    (Direction::Backward, true) => KeyRange::new(&b"a"[..]..=&b"b"[..]),
                    (Direction::Backward, false) => KeyRange::new(..=&b"b"[..]),
                };
                match (direction, stops) {
                    (Direction::Forward, true) => reads.reach(scan, b"c", direction),
                    (Direction::Backward, true) => reads.reach(scan, b"a", direction),
                    (Direction::Forward, false) => reads.reach_end(scan, Edge::End, direction),
                    (Direction::Backward, false) => {
                        reads.reach_end(scan, Edge::start(Bound::Unbounded), direction);
                    }
                }
                for _ in 0..2 {
                    for probe in &probes {
                        let read = [first, second, &walked];
                        let is_read = read.iter().any(|range| range.contains(probe));
                        assert_eq!(reads.covers(probe), is_read, "{read:?} {probe:?}");
                    }
                    reads.end_scan(scan);
                }
            }
        }
    }
}

#[test]
fn the_range_of_an_explanation_is_the_one_that_was_read() {
    let mut reads = ReadSet::default();
    for range in all_ranges().into_iter().filter(|range| range.contains(b"c")) {
        let mut reads = reads.clone();
        reads.add(Target::Range(range.clone()));
        let access = reads.access(7, &Bytes::from_static(b"c"));
        let Target::Range(told) = &access.target else { panic!("a range was read") };
        assert!(probes().iter().all(|probe| told.contains(probe) == range.contains(probe)));
    }
    reads.add_key(b"c");
    assert_eq!(reads.access(7, &Bytes::from_static(b"c")).operation, Operation::Get);
}
