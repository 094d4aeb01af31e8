//! Fragments side by side.

use std::iter::Peekable;
use std::slice;
use std::sync::Arc;

use super::deleted_range::DeletedRange;
use super::fragment::Fragment;
use crate::boundary::Boundary;

/// Fragments in the order of their keys. None overlaps another. Immutable, apart from [`Fragment::note_entry`].
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fragments {
    all: Vec<Arc<Fragment>>,
    /// How many numbers they have.
    numbers: usize,
}

/// What is at a key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Surroundings<'f> {
    /// A fragment has the key.
    Covered(&'f Arc<Fragment>),
    /// The key lies in a gap: from the end of a fragment up to the beginning of the next one.
    Gap { from: Option<&'f [u8]>, to: Option<&'f [u8]> },
}

impl Fragments {
    /// The fragments of range tombstones with one number. `ranges` are in any order, and may overlap or be empty.
    pub(crate) fn of(mut ranges: Vec<DeletedRange>, number: u64) -> Self {
        ranges.retain(|range| !range.is_empty());
        ranges.sort_unstable_by(|one, other| one.start.cmp(&other.start));
        let mut joined: Vec<DeletedRange> = Vec::new();
        for range in ranges {
            match joined.last_mut() {
                Some(last) if last.end.as_ref().is_none_or(|end| *end >= range.start) => {
                    if last.last() < range.last() {
                        last.end = range.end;
                    }
                }
                _ => joined.push(range),
            }
        }
        let fragment = |range| Arc::new(Fragment::new(range, vec![number], 0));
        Self::in_order(joined.into_iter().map(fragment).collect())
    }

    /// The fragments `all`.
    ///
    /// # Panics
    /// When they are not in order.
    pub(crate) fn in_order(all: Vec<Arc<Fragment>>) -> Self {
        let is_in_order =
            |one: &Arc<Fragment>, next: &Arc<Fragment>| one.range.ends_before(&next.range.start);
        assert!(all.is_sorted_by(is_in_order), "fragments lie side by side");
        let numbers = all.iter().map(|fragment| fragment.numbers().len()).sum();
        Self { all, numbers }
    }

    /// The fragments of the range tombstones of both. One that is cut by nothing is shared.
    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut all = Vec::with_capacity(self.all.len() + other.all.len());
        let (mut one, mut other) = (Heads::of(&self.all), Heads::of(&other.all));
        loop {
            let (start, next) = match (one.start(), other.start()) {
                (None, None) => break,
                (Some(start), None) | (None, Some(start)) => (start, None),
                (Some(left), Some(right)) => (left.min(right), Some(left.max(right))),
            };
            // The piece ends where one of them ends, or the later one begins.
            let begins_later = next.filter(|next| *next > start);
            let ends = [one.end_from(start), other.end_from(start)].into_iter().flatten();
            let end = ends.chain(begins_later.map(|next| Boundary::before(Some(next)))).min();
            let end = end.expect("one of them has begun");
            let pieces = (one.take(start, end), other.take(start, end));
            all.push(joined(pieces, start, end));
        }
        Self::in_order(all)
    }

    /// The same for those of their keys that lie in `range`. A fragment that is not cut is shared.
    pub(crate) fn clipped(&self, range: &DeletedRange) -> Self {
        let first = self.all.partition_point(|fragment| fragment.range.ends_before(&range.start));
        let overlapping = self.all[first..].iter();
        let overlapping = overlapping.take_while(|fragment| fragment.range.first() < range.last());
        Self::in_order(overlapping.filter_map(|fragment| clipped(fragment, range)).collect())
    }

    /// Takes out those of its keys that are less than `user`.
    pub(crate) fn split_off_before(&mut self, user: &[u8]) -> Self {
        let is_before = |fragment: &Arc<Fragment>| *fragment.range.start < *user;
        let count = self.all.partition_point(is_before);
        let mut before: Vec<Arc<Fragment>> = self.all.drain(..count).collect();
        if before.last().is_some_and(|last| !last.range.ends_before(user)) {
            let cut = before.pop().expect("there is one");
            let range = |start: &[u8], end| DeletedRange { start: start.to_vec(), end };
            before.extend(clipped(&cut, &range(&[], Some(user.to_vec()))));
            let rest = clipped(&cut, &range(user, None));
            self.all.splice(..0, rest);
        }
        let before = Self::in_order(before);
        self.numbers = self.all.iter().map(|fragment| fragment.numbers().len()).sum();
        debug_assert!(self.all.first().is_none_or(|first| *first.range.start >= *user), "split");
        before
    }

    /// The fragments with those of their numbers that `keep` keeps. A fragment without numbers goes, and neighbors with the
    /// same numbers become one. No entry lies beside them yet.
    pub(crate) fn retained(&self, mut keep: impl FnMut(&Fragment) -> Vec<u64>) -> Self {
        let mut all: Vec<Arc<Fragment>> = Vec::new();
        for fragment in &self.all {
            let numbers = keep(fragment);
            if numbers.is_empty() {
                continue;
            }
            let mut range = fragment.range.clone();
            let is_continued = |last: &Arc<Fragment>| {
                last.numbers() == numbers && last.range.end.as_ref() == Some(&range.start)
            };
            if all.last().is_some_and(is_continued) {
                let last = all.pop().expect("there is one");
                range.start.clone_from(&last.range.start);
            }
            all.push(Arc::new(Fragment::new(range, numbers, 0)));
        }
        Self::in_order(all)
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The fragments, in order.
    pub(crate) fn iter(&self) -> slice::Iter<'_, Arc<Fragment>> {
        self.all.iter()
    }

    /// How many fragments there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// How many numbers they have.
    pub(crate) fn numbers(&self) -> usize {
        self.numbers
    }

    /// How many numbers a fragment has at most.
    pub(crate) fn depth(&self) -> usize {
        self.all.iter().map(|fragment| fragment.numbers().len()).max().unwrap_or(0)
    }

    /// From the first key to the last one. `None`: there is no fragment.
    pub(crate) fn hull(&self) -> Option<DeletedRange> {
        let (first, last) = (self.all.first()?, self.all.last()?);
        Some(DeletedRange { start: first.range.start.clone(), end: last.range.end.clone() })
    }

    /// The fragment that has `user`.
    pub(crate) fn at(&self, user: &[u8]) -> Option<&Arc<Fragment>> {
        let at = self.all.partition_point(|fragment| fragment.range.ends_before(user));
        self.all.get(at).filter(|fragment| *fragment.range.start <= *user)
    }

    /// The newest range tombstone that covers `user` and that a reader at `sequence` sees.
    pub(crate) fn covering(&self, user: &[u8], sequence: u64) -> Option<u64> {
        self.at(user)?.newest_up_to(sequence)
    }

    /// What is at `user`.
    pub(crate) fn around(&self, user: &[u8]) -> Surroundings<'_> {
        let at = self.all.partition_point(|fragment| fragment.range.ends_before(user));
        let next = self.all.get(at);
        if let Some(fragment) = next.filter(|fragment| *fragment.range.start <= *user) {
            return Surroundings::Covered(fragment);
        }
        let before = at.checked_sub(1).map(|before| &self.all[before]);
        Surroundings::Gap {
            from: before.and_then(|before| before.range.end.as_deref()),
            to: next.map(|next| &next.range.start[..]),
        }
    }
}

/// A walk over fragments, piece by piece.
struct Heads<'f> {
    rest: Peekable<slice::Iter<'f, Arc<Fragment>>>,
    /// Where the rest of the first fragment begins, if a part of it was taken.
    from: Option<&'f [u8]>,
}

impl<'f> Heads<'f> {
    fn of(all: &'f [Arc<Fragment>]) -> Self {
        Self { rest: all.iter().peekable(), from: None }
    }

    fn start(&mut self) -> Option<&'f [u8]> {
        let first: &&'f Arc<Fragment> = self.rest.peek()?;
        Some(self.from.unwrap_or(&first.range.start))
    }

    /// The end of the first fragment, if its rest begins at `start`.
    fn end_from(&mut self, start: &[u8]) -> Option<Boundary<&'f [u8]>> {
        self.start().filter(|own| *own == start)?;
        self.rest.peek().map(|first| first.range.last())
    }

    /// Takes the piece from `start` to `end`, if the rest begins there.
    fn take(&mut self, start: &[u8], end: Boundary<&'f [u8]>) -> Option<&'f Arc<Fragment>> {
        self.start().filter(|own| *own == start)?;
        let first: &'f Arc<Fragment> = self.rest.peek()?;
        debug_assert!(end <= first.range.last(), "a piece ends with its fragment at the latest");
        self.from = match end {
            Boundary::Finite { key, .. } if end < first.range.last() => Some(key),
            _ => {
                self.rest.next();
                None
            }
        };
        Some(first)
    }
}

/// The part of `fragment` in `range`.
fn clipped(fragment: &Arc<Fragment>, range: &DeletedRange) -> Option<Arc<Fragment>> {
    if fragment.range.start >= range.start && fragment.range.last() <= range.last() {
        return Some(Arc::clone(fragment));
    }
    fragment.clipped(range).map(Arc::new)
}

/// The fragment from `start` to `end` of what both have there.
fn joined(
    pieces: (Option<&Arc<Fragment>>, Option<&Arc<Fragment>>),
    start: &[u8],
    end: Boundary<&[u8]>,
) -> Arc<Fragment> {
    let (one, other) = match pieces {
        (Some(one), None) | (None, Some(one)) => {
            if one.range.first() == Boundary::at(start) && one.range.last() == end {
                return Arc::clone(one);
            }
            (one, None)
        }
        (Some(one), other) => (one, other),
        (None, None) => unreachable!("a piece is of one of them"),
    };
    let end = match end {
        Boundary::Finite { key, .. } => Some(key.to_vec()),
        Boundary::End => None,
    };
    let mut numbers = one.numbers().to_vec();
    numbers.extend(other.into_iter().flat_map(|other| other.numbers()));
    numbers.sort_unstable_by(|one, other| other.cmp(one));
    numbers.dedup();
    let newest_entry = one.newest_entry().max(other.map_or(0, |other| other.newest_entry()));
    Arc::new(Fragment::new(DeletedRange { start: start.to_vec(), end }, numbers, newest_entry))
}

#[cfg(test)]
mod tests;
