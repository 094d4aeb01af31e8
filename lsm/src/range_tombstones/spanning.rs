//! The widest range tombstones of a table, for those who pick compactions.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::deleted_range::DeletedRange;
use super::fragments::Fragments;
use crate::boundary::Boundary;
use crate::compaction::RangeTombstone;

/// At most so many range tombstones of a table are shown to those who pick: they look at all of them each time.
const MOST_SPANNING: usize = 16;

/// The widest range tombstones of `fragments`. Each is as wide as it is in all of them together.
pub(crate) fn spanning(fragments: &Fragments) -> Vec<RangeTombstone<Boundary>> {
    let mut whole = whole(fragments);
    if whole.len() > MOST_SPANNING {
        let shared = shared_len(fragments);
        whole.sort_by_key(|(range, _)| Reverse(width(range, shared)));
        whole.truncate(MOST_SPANNING);
    }
    let tombstone = |(range, sequence): (DeletedRange, u64)| RangeTombstone {
        smallest: range.first().to_owned(),
        largest: range.last().to_owned(),
        sequence,
    };
    whole.into_iter().map(tombstone).collect()
}

/// The range tombstones of which `fragments` are the pieces.
fn whole(fragments: &Fragments) -> Vec<(DeletedRange, u64)> {
    let mut whole = Vec::new();
    // Where the range tombstones begin that have not ended, by their numbers; and where the last fragment ends.
    let mut begun: BTreeMap<u64, &[u8]> = BTreeMap::new();
    let mut last: Option<&DeletedRange> = None;
    let mut finish = |(number, start): (u64, &[u8]), last: Option<&DeletedRange>| {
        let end = last.and_then(|last| last.end.clone());
        whole.push((DeletedRange { start: start.to_vec(), end }, number));
    };
    for fragment in fragments.iter() {
        let range = &fragment.range;
        let is_next = last.is_some_and(|last| last.end.as_ref() == Some(&range.start));
        let goes_on = |number: &u64| is_next && fragment.numbers().contains(number);
        let ended = begun.extract_if(.., |number, _| !goes_on(number));
        ended.for_each(|begun| finish(begun, last));
        for &number in fragment.numbers() {
            begun.entry(number).or_insert(&range.start);
        }
        last = Some(range);
    }
    for begun in begun {
        finish(begun, last);
    }
    whole
}

/// How many bytes at least all keys of `fragments` have in common.
fn shared_len(fragments: &Fragments) -> usize {
    let hull = fragments.hull();
    let ends = hull.as_ref().and_then(|hull| hull.end.as_ref().map(|end| (&hull.start, end)));
    ends.map_or(0, |(start, end)| {
        start.iter().zip(end).take_while(|(one, other)| one == other).count()
    })
}

/// The distance of the ends of `range` in their 8 bytes behind the first `shared` ones.
fn width(range: &DeletedRange, shared: usize) -> u64 {
    let place = |key: &[u8]| {
        let mut bytes = [0; 8];
        let rest = key.get(shared..).unwrap_or_default();
        bytes.iter_mut().zip(rest).for_each(|(byte, of_key)| *byte = *of_key);
        u64::from_be_bytes(bytes)
    };
    let end = range.end.as_ref().map_or(u64::MAX, |end| place(end));
    end.saturating_sub(place(&range.start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: &str, end: Option<&str>) -> DeletedRange {
        DeletedRange { start: start.into(), end: end.map(Into::into) }
    }

    fn shown(fragments: &Fragments) -> Vec<(Boundary, Boundary, u64)> {
        let mut all: Vec<_> = spanning(fragments)
            .into_iter()
            .map(|range| (range.smallest, range.largest, range.sequence))
            .collect();
        all.sort();
        all
    }

    #[test]
    fn pieces_of_a_range_tombstone_are_put_together() {
        let wide = Fragments::of(vec![range("a", None)], 5);
        let narrow = Fragments::of(vec![range("b", Some("c")), range("e", Some("f"))], 9);
        let at = |key: &str| Boundary::at(key.as_bytes().to_vec());
        let before = |key: &str| Boundary::before(Some(key.as_bytes().to_vec()));
        let expected =
            [(at("a"), Boundary::End, 5), (at("b"), before("c"), 9), (at("e"), before("f"), 9)];
        assert_eq!(shown(&wide.union(&narrow)), expected);
    }

    #[test]
    fn the_widest_of_many_are_shown() {
        let end = |number: u32| format!("user{:04}", number * 100 + number);
        let ranges =
            (0..60).map(|number| range(&format!("user{:04}", number * 100), Some(&end(number))));
        let shown = shown(&Fragments::of(ranges.collect(), 5));
        assert_eq!(shown.len(), MOST_SPANNING);
        let first = Boundary::at(b"user4400".to_vec());
        assert!(shown.iter().all(|(smallest, ..)| *smallest >= first), "{shown:?}");
    }
}
