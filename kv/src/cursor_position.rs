//! The position of a cursor, so that each engine need not spell out the rules of a fresh cursor and of the gaps again.

use crate::Direction;

/// Where a cursor stands: the table in the documentation of [`Cursor`](crate::Cursor) as a type.
///
/// `E` is the engine's own name of an entry: an index into a list, a key, a handle. A cursor asks [`Self::step`] where to
/// search, searches, and reports the result to [`Self::land`].
///
/// ```
/// use kv::{CursorPosition, Direction};
/// let entries = ["a", "b"];
/// let mut position = CursorPosition::default();
/// let mut prev = |position: &mut CursorPosition<usize>| {
///     let Some(found) = position.step_in(entries.len(), Direction::Backward) else { return false };
///     position.land(found, Direction::Backward)
/// };
/// assert!(prev(&mut position)); // fresh: `prev` leads to the last entry
/// assert_eq!(*position.entry(), 1);
/// assert!(prev(&mut position) && !prev(&mut position));
/// assert_eq!(position, CursorPosition::BeforeFirst);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CursorPosition<E> {
    /// No move has been made yet.
    #[default]
    Fresh,
    /// In the gap before the first entry.
    BeforeFirst,
    /// On this entry.
    On(E),
    /// In the gap after the last entry.
    AfterLast,
}

/// Where the search for the next entry of a walk starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepFrom<E> {
    /// At the end of the range that the walk comes from: search for the first entry of the range when walking forward,
    /// for the last one when walking backward.
    Edge,
    /// Behind this entry, in the direction of the walk.
    Entry(E),
}

impl<E> CursorPosition<E> {
    /// Where a step in `direction` starts to search. `None`: it finds nothing, and the cursor stays in its gap.
    pub fn step(&self, direction: Direction) -> Option<StepFrom<&E>> {
        match (self, direction) {
            // A step out of a gap, away from the entries.
            (Self::AfterLast, Direction::Forward) | (Self::BeforeFirst, Direction::Backward) => {
                None
            }
            (Self::On(entry), _) => Some(StepFrom::Entry(entry)),
            // A fresh cursor, or a step out of a gap towards the entries.
            (Self::Fresh, _)
            | (Self::BeforeFirst, Direction::Forward)
            | (Self::AfterLast, Direction::Backward) => Some(StepFrom::Edge),
        }
    }

    /// Ends a move in `direction` that found `found`, and returns whether the cursor stands on an entry. `seek_ge` counts
    /// as a move forward and `seek_lt` as a move backward.
    pub fn land(&mut self, found: Option<E>, direction: Direction) -> bool {
        *self = match (found, direction) {
            (Some(entry), _) => Self::On(entry),
            (None, Direction::Forward) => Self::AfterLast,
            (None, Direction::Backward) => Self::BeforeFirst,
        };
        debug_assert!(!matches!(self, Self::Fresh), "a move was made");
        matches!(self, Self::On(_))
    }

    /// The entry under the cursor.
    ///
    /// # Panics
    /// When the cursor stands on none: the caller asked for a key or a value after a move that did not return `Ok(true)`.
    #[track_caller]
    pub fn entry(&self) -> &E {
        match self {
            Self::On(entry) => entry,
            _ => panic!("the cursor stands on no entry"),
        }
    }
}

impl CursorPosition<usize> {
    /// The index that a step in `direction` leads to in a list of `len` entries in key order. The outer `None`: the cursor
    /// stays in its gap. The inner `None`: it moves into the gap at the end of the list.
    pub fn step_in(&self, len: usize, direction: Direction) -> Option<Option<usize>> {
        let from = self.step(direction)?;
        debug_assert!(!matches!(from, StepFrom::Entry(&at) if at >= len), "an entry of the list");
        let index = match (from, direction) {
            (StepFrom::Edge, Direction::Forward) => Some(0),
            (StepFrom::Edge, Direction::Backward) => len.checked_sub(1),
            (StepFrom::Entry(at), Direction::Forward) => Some(at + 1),
            (StepFrom::Entry(at), Direction::Backward) => at.checked_sub(1),
        };
        Some(index.filter(|&index| index < len))
    }
}

#[cfg(test)]
mod tests {
    use super::CursorPosition::{AfterLast, BeforeFirst, Fresh, On};
    use super::*;

    #[test]
    fn steps_follow_the_table_of_the_contract() {
        let table = [
            (Fresh, Some(StepFrom::Edge), Some(StepFrom::Edge)),
            (BeforeFirst, Some(StepFrom::Edge), None),
            (On(7), Some(StepFrom::Entry(&7)), Some(StepFrom::Entry(&7))),
            (AfterLast, None, Some(StepFrom::Edge)),
        ];
        for (position, next, prev) in table {
            assert_eq!(position.step(Direction::Forward), next, "{position:?}");
            assert_eq!(position.step(Direction::Backward), prev, "{position:?}");
        }
    }

    #[test]
    fn a_move_that_finds_nothing_lands_in_the_gap_at_its_end() {
        let mut position = On(3);
        assert!(!position.land(None, Direction::Forward));
        assert_eq!(position, AfterLast);
        assert!(!position.land(None, Direction::Backward));
        assert_eq!(position, BeforeFirst);
        assert!(position.land(Some(1), Direction::Backward));
        assert_eq!(*position.entry(), 1);
    }

    #[test]
    fn steps_over_a_list_end_at_its_ends() {
        for len in 0..4 {
            let mut position = Fresh;
            let mut seen = Vec::new();
            while let Some(found) = position.step_in(len, Direction::Forward) {
                seen.extend(found);
                position.land(found, Direction::Forward);
            }
            while let Some(found) = position.step_in(len, Direction::Backward) {
                seen.extend(found);
                position.land(found, Direction::Backward);
            }
            let expected: Vec<usize> = (0..len).chain((0..len).rev()).collect();
            assert_eq!((seen, position), (expected, BeforeFirst));
        }
    }
}
