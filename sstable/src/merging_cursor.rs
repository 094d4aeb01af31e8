//! A cursor over the entries of several cursors.

use std::cmp::Ordering;

use kv::{Cursor, CursorPosition, Direction, Error, Result, StepFrom};

use crate::heads::padded;
use crate::key_layout::{KeyLayout, common_prefix_len};
use crate::loser_tree::{Contest, LoserTree, Match};

/// How many bytes of a word the first two keys have in common, if they have so many. The more, the longer the words last;
/// the fewer, the more bytes tell keys apart.
const SHARED_BYTES_OF_A_WORD: usize = 4;

/// A walk over the entries of several sources in the order of their keys, in both directions, as [`kv::Cursor`] describes
/// it. It takes memory for its sources alone, whatever they hold.
///
/// The sources have ranks: the first one is the newest. If several sources have a key, the cursor shows it once, with the
/// value of the first of them. A store with versions encodes the version into the key, so no version is hidden.
///
/// A seek costs a seek of each source and one comparison a source. A step costs a step of one source and, for `n` sources,
/// `log2 n` comparisons, most of them of two numbers. A change of direction costs a step of each source.
///
/// # Failures
/// A move of a source that fails ends the walk. It need not be the source with the next entry: without its answer, nobody
/// knows which entry comes next.
#[derive(Debug)]
pub struct MergingCursor<C> {
    sources: Sources<C>,
    tree: LoserTree,
    position: CursorPosition<()>,
    /// Why an earlier move failed.
    failure: Option<Error>,
}

/// The sources, and where they stand.
///
/// While the cursor is on a key, the direction says where the sources stand. Forward, each stands on its first key that is not
/// less, or after its last one. Backward, each stands on its last key that is not greater, or before its first one. So a step
/// of every source turns the walk around.
///
/// The word of a source is made of the 8 bytes of its stem that follow `prefix`. Backward, the word is inverted. The prefix
/// is the beginning of a stem that was under the cursor, and no source stands before that. So a stem that does not begin
/// with the prefix comes after all that do, and its word is the largest number. So is the word of a source at its end. Two
/// words that differ are in the order of their keys. If they are equal, the keys decide.
#[derive(Debug)]
struct Sources<C> {
    layout: KeyLayout,
    direction: Direction,
    prefix: Vec<u8>,
    all: Vec<Source<C>>,
}

#[derive(Debug)]
struct Source<C> {
    cursor: C,
    /// Whether the cursor stands on an entry.
    is_on_entry: bool,
}

impl<C: Cursor> MergingCursor<C> {
    /// A cursor over the entries of `sources`, whose keys have the given layout. The sources are fresh. Each of them keeps
    /// its own bounds.
    ///
    /// A key of a source that is shorter than a suffix is a mistake of the source; a move may panic then.
    pub fn new(layout: KeyLayout, sources: Vec<C>) -> Self {
        let all: Vec<Source<C>> =
            sources.into_iter().map(|cursor| Source { cursor, is_on_entry: false }).collect();
        Self {
            tree: LoserTree::new(all.len()),
            sources: Sources { layout, direction: Direction::Forward, prefix: Vec::new(), all },
            position: CursorPosition::default(),
            failure: None,
        }
    }

    /// The number of the source that has the entry under the cursor, counted from 0.
    ///
    /// # Panics
    /// When the last move did not return `Ok(true)`.
    #[inline]
    pub fn source(&self) -> usize {
        assert!(matches!(self.position, CursorPosition::On(())), "the cursor is on no entry");
        self.tree.winner().expect("an entry has a source")
    }

    /// Moves every source in `direction`, and finds the entry that comes first.
    fn move_all(
        &mut self,
        direction: Direction,
        walk: impl FnMut(&mut C) -> Result<bool>,
    ) -> Result<bool> {
        if let Err(error) = self.sources.move_all(direction, walk) {
            return self.fail(error);
        }
        self.sources.prefix.clear();
        self.tree.play_all(&self.sources);
        self.choose_words();
        Ok(self.arrive())
    }

    /// Chooses a prefix so that words tell the sources apart which come next.
    fn choose_words(&mut self) {
        let Some(winner) = self.tree.winner().filter(|winner| self.sources.has_key(*winner)) else {
            return;
        };
        let stem = self.sources.stem(winner);
        let rivals = self.tree.runners_up().filter(|rival| self.sources.has_key(*rival));
        let shared = rivals.map(|rival| common_prefix_len(stem, self.sources.stem(rival))).max();
        let len = shared.unwrap_or(0).saturating_sub(SHARED_BYTES_OF_A_WORD);
        debug_assert!(len <= stem.len(), "the winner begins with the prefix");
        let mut prefix = std::mem::take(&mut self.sources.prefix);
        prefix.clear();
        prefix.extend_from_slice(&self.sources.stem(winner)[..len]);
        self.sources.prefix = prefix;
        self.tree.take_words(&self.sources);
    }

    #[inline]
    fn step(&mut self, direction: Direction) -> Result<bool> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        match self.position.step(direction) {
            // The cursor stays in the gap at the end of the walk.
            None => Ok(false),
            Some(StepFrom::Entry(())) if self.sources.direction == direction => {
                if let Err(error) = self.tree.advance(&mut self.sources) {
                    return self.fail(error);
                }
                if self.tree.wants_words() {
                    self.choose_words();
                }
                Ok(self.arrive())
            }
            // The walk begins, turns around on an entry, or comes back from a gap. In each of these cases one step leads
            // each source to its next entry.
            Some(_) => match direction {
                Direction::Forward => self.move_all(direction, C::next),
                Direction::Backward => self.move_all(direction, C::prev),
            },
        }
    }

    /// Takes the position of the source that comes first.
    #[inline]
    fn arrive(&mut self) -> bool {
        let winner = self.tree.winner();
        let is_on_entry = winner.is_some_and(|winner| self.sources.all[winner].is_on_entry);
        self.position.land(is_on_entry.then_some(()), self.sources.direction)
    }

    /// Ends the walk.
    #[cold]
    fn fail(&mut self, error: Error) -> Result<bool> {
        debug_assert!(self.failure.is_none(), "a walk fails once");
        self.position = CursorPosition::Fresh;
        self.failure = Some(error.clone());
        Err(error)
    }

    fn seek(
        &mut self,
        key: &[u8],
        direction: Direction,
        walk: impl Fn(&mut C, &[u8]) -> Result<bool>,
    ) -> Result<bool> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if self.sources.layout.split(key).is_none() {
            return Err(Error::InvalidArgument("a key shorter than its suffix".into()));
        }
        self.move_all(direction, |cursor| walk(cursor, key))
    }
}

impl<C: Cursor> Sources<C> {
    fn move_all(
        &mut self,
        direction: Direction,
        mut walk: impl FnMut(&mut C) -> Result<bool>,
    ) -> Result<()> {
        self.direction = direction;
        for source in &mut self.all {
            source.is_on_entry = walk(&mut source.cursor)?;
        }
        Ok(())
    }

    fn has_key(&self, source: usize) -> bool {
        self.all[source].is_on_entry
    }

    /// The stem of the key of `source`, which has one.
    #[inline]
    fn stem(&self, source: usize) -> &[u8] {
        debug_assert!(self.has_key(source), "a source on an entry");
        let key = self.all[source].cursor.key();
        &key[..key.len().saturating_sub(self.layout.suffix_len())]
    }
}

impl<C: Cursor> Contest for Sources<C> {
    #[inline]
    fn step(&mut self, source: usize) -> Result<u64> {
        let moved = &mut self.all[source];
        debug_assert!(moved.is_on_entry, "only a source with an entry moves on");
        moved.is_on_entry = match self.direction {
            Direction::Forward => moved.cursor.next()?,
            Direction::Backward => moved.cursor.prev()?,
        };
        Ok(self.word(source))
    }

    #[expect(
        clippy::inline_always,
        reason = "a step of a merge is short, and calls are a third of it"
    )]
    #[inline(always)]
    fn word(&self, source: usize) -> u64 {
        if !self.all[source].is_on_entry {
            return u64::MAX;
        }
        let stem = self.stem(source);
        // The last bytes of a stem were stored a moment ago. A wide load of `memcmp` would wait for them, words do not.
        if common_prefix_len(stem, &self.prefix) < self.prefix.len() {
            return u64::MAX;
        }
        let word = u64::from_be_bytes(padded(&stem[self.prefix.len()..]));
        if self.direction == Direction::Forward { word } else { !word }
    }

    #[inline]
    fn play(&self, one: usize, other: usize) -> Match {
        let (left, right) = (&self.all[one], &self.all[other]);
        let order = match (left.is_on_entry, right.is_on_entry) {
            (true, true) => {
                let order = self.layout.compare(left.cursor.key(), right.cursor.key());
                if self.direction == Direction::Forward { order } else { order.reverse() }
            }
            // A source that is at its end comes last. Two of them have no key that could be tied.
            (true, false) => Ordering::Less,
            (false, _) => Ordering::Greater,
        };
        let is_tie = order == Ordering::Equal;
        let (winner, loser) =
            if order.then(one.cmp(&other)).is_lt() { (one, other) } else { (other, one) };
        Match { winner, loser, is_tie }
    }
}

impl<C: Cursor> Cursor for MergingCursor<C> {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        self.seek(key, Direction::Forward, C::seek_ge)
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        self.seek(key, Direction::Backward, C::seek_lt)
    }

    #[inline]
    fn next(&mut self) -> Result<bool> {
        self.step(Direction::Forward)
    }

    #[inline]
    fn prev(&mut self) -> Result<bool> {
        self.step(Direction::Backward)
    }

    #[inline]
    fn key(&self) -> &[u8] {
        self.sources.all[self.source()].cursor.key()
    }

    #[inline]
    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        let source = self.source();
        self.sources.all[source].cursor.entry()
    }
}
