//! The walk over a view: one entry for each key, no tombstones, no expired entries, no version that the view does not see.

use kv::{Cursor, CursorPosition, Direction, Error, KeyRange, Result, StepFrom};
use sstable::MergingCursor;

use super::newer_keys::NewerKeys;
use super::source::{Source, Sources};
use crate::expiring::{self, END_BYTES};
use crate::internal_key::{self, Kind, LAYOUT, Trailer, encode, encoded};
use crate::version::View;

/// After so many versions that are not shown, a seek is cheaper than the next step.
const VERSIONS_BEFORE_A_SEEK: usize = 8;

/// A walk over the entries of a view, in both directions, as [`kv::Cursor`] describes it. It keeps the view's memtables and
/// tables.
///
/// Walking forward, the merged cursor stands on the entry that is shown. Walking backward, it meets the oldest version of a
/// key first. So the cursor copies versions until it has passed the key, and shows the copy of the newest one. A change of
/// direction is a seek of each source. A value that cannot be read fails a move backward, and only the look at the value
/// after a move forward.
pub(crate) struct ViewCursor {
    merged: MergingCursor<Source>,
    /// Whether the merged cursor stands on an entry.
    is_on_entry: bool,
    /// How many of the merged cursors are over memtables. The others are over the runs of the view.
    memtables: usize,
    view: View,
    position: CursorPosition<()>,
    /// The direction of the last move that ended on an entry.
    direction: Direction,
    /// Walking forward: the key that was shown last or is deleted, of which no version is shown any more. Walking backward:
    /// the key that is shown.
    user: Vec<u8>,
    /// Walking backward: the value that is shown.
    value: Vec<u8>,
    /// How many bytes of the entry under the merged cursor are in front of its value.
    before_value: usize,
    /// A key to search for; kept for its memory.
    sought: Vec<u8>,
    /// Who is told of keys with versions that the view does not see.
    newer: Option<NewerKeys>,
    /// Why an earlier move failed.
    failure: Option<Error>,
}

impl ViewCursor {
    /// A cursor over the entries of `view` in `range`. Moves name keys that have a version that the view does not see to
    /// `newer`.
    ///
    /// # Errors
    /// `InvalidArgument` for an inverted range.
    pub(crate) fn new(view: View, range: &KeyRange, newer: Option<NewerKeys>) -> Result<Self> {
        range.check()?;
        let sources = Sources::of(&view.super_version, range)?;
        let sources = sources.uncovered(view.sequence, &view.super_version.steps);
        let memtables = sources.len() - view.super_version.version.runs.len();
        Ok(Self {
            merged: MergingCursor::new(LAYOUT, sources),
            is_on_entry: false,
            memtables,
            view,
            position: CursorPosition::default(),
            direction: Direction::Forward,
            user: Vec::new(),
            value: Vec::new(),
            before_value: 0,
            sought: Vec::new(),
            newer,
            failure: None,
        })
    }

    /// Runs a move. A failure ends the walk: damage is never skipped.
    #[inline]
    fn moving(
        &mut self,
        direction: Direction,
        walk: impl FnOnce(&mut Self) -> Result<bool>,
    ) -> Result<bool> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if let Some(newer) = &mut self.newer {
            newer.begin_move();
        }
        match walk(self) {
            Ok(found) => {
                self.direction = direction;
                Ok(self.position.land(found.then_some(()), direction))
            }
            Err(error) => {
                self.position = CursorPosition::Fresh;
                self.failure = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Stands on the first entry to show from where the merged cursor is. `skip`: versions of `user` are not shown.
    #[inline]
    fn settle_forward(&mut self, mut skip: bool) -> Result<bool> {
        let mut passed = 0;
        while self.is_on_entry {
            let (user, trailer) = self.parts()?;
            let is_decided = skip && user == self.user;
            if !is_decided && trailer.sequence() <= self.view.sequence {
                if self.has_value(trailer)? {
                    return Ok(true);
                }
                // All older versions of the key are deleted.
                self.remember_user();
                (skip, passed) = (true, 0);
            }
            self.name_newer();
            passed += 1;
            if passed < VERSIONS_BEFORE_A_SEEK {
                self.is_on_entry = self.merged.next()?;
            } else {
                passed = 0;
                self.seek_past_hidden_versions(is_decided)?;
            }
        }
        Ok(false)
    }

    /// Names the key under the merged cursor, if the view does not see the version there. That is the newest version of the key
    /// when the first call for the key comes. Later calls name nothing.
    #[inline]
    fn name_newer(&mut self) {
        let Some(newer) = &mut self.newer else { return };
        if let Some((user, trailer)) = internal_key::split(self.merged.key())
            && trailer.sequence() > self.view.sequence
        {
            newer.name(user, trailer.sequence());
        }
    }

    /// Seeks from a version that is not shown to the first one that may be. `is_decided`: no version of the key may be.
    #[cold]
    fn seek_past_hidden_versions(&mut self, is_decided: bool) -> Result<()> {
        let past = if is_decided { Trailer::OLDEST } else { Trailer::seen_at(self.view.sequence) };
        let (user, _) = self.parts()?;
        let past = encoded(user, past);
        self.is_on_entry = self.merged.seek_ge(&past)?;
        Ok(())
    }

    /// Copies the entry to show that comes next before the place where the merged cursor is, and passes its key.
    fn settle_backward(&mut self) -> Result<bool> {
        while self.is_on_entry {
            self.remember_user();
            if self.pass_key_backward()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Passes the versions of `user`, the oldest first. Returns whether the newest visible one is a put, whose value is copied.
    fn pass_key_backward(&mut self) -> Result<bool> {
        let (mut is_shown, mut passed, mut newest) = (false, 0, 0);
        while self.is_on_entry && passed < VERSIONS_BEFORE_A_SEEK {
            let (user, trailer) = self.parts()?;
            if user != self.user {
                self.name_passed(newest);
                return Ok(is_shown);
            }
            newest = trailer.sequence();
            if trailer.sequence() <= self.view.sequence {
                // A newer version than the one before, if there was one.
                is_shown = self.copy_value(trailer)?;
            }
            self.is_on_entry = self.merged.prev()?;
            passed += 1;
        }
        if self.is_on_entry {
            is_shown = self.jump_over_key()?;
        } else {
            self.name_passed(newest);
        }
        Ok(is_shown)
    }

    /// Names `user`, all versions of which were passed, the one with number `newest` last, if the view does not see that one.
    #[inline]
    fn name_passed(&mut self, newest: u64) {
        if let Some(newer) = &mut self.newer
            && newest > self.view.sequence
        {
            newer.name(&self.user, newest);
        }
    }

    /// Looks for the newest visible version of `user`, and passes all others. Returns whether it is a put, whose value is
    /// copied.
    #[cold]
    fn jump_over_key(&mut self) -> Result<bool> {
        if self.newer.is_some() {
            // The newest version is the first one.
            encode(&self.user, Trailer::NEWEST, &mut self.sought);
            if self.merged.seek_ge(&self.sought)? && self.parts()?.0 == self.user {
                self.name_newer();
            }
        }
        encode(&self.user, Trailer::seen_at(self.view.sequence), &mut self.sought);
        self.is_on_entry = self.merged.seek_ge(&self.sought)?;
        let mut is_shown = false;
        if self.is_on_entry {
            let (user, trailer) = self.parts()?;
            is_shown = user == self.user && self.copy_value(trailer)?;
        }
        encode(&self.user, Trailer::NEWEST, &mut self.sought);
        self.is_on_entry = self.merged.seek_lt(&self.sought)?;
        Ok(is_shown)
    }

    fn next_from_entry(&mut self) -> Result<bool> {
        if self.direction == Direction::Forward {
            self.remember_user();
            self.is_on_entry = self.merged.next()?;
            return self.settle_forward(true);
        }
        encode(&self.user, Trailer::OLDEST, &mut self.sought);
        self.is_on_entry = self.merged.seek_ge(&self.sought)?;
        self.settle_forward(false)
    }

    fn prev_from_entry(&mut self) -> Result<bool> {
        if self.direction == Direction::Forward {
            let (user, _) = self.parts()?;
            let before_all_versions = encoded(user, Trailer::NEWEST);
            self.is_on_entry = self.merged.seek_lt(&before_all_versions)?;
        }
        self.settle_backward()
    }

    /// The parts of the internal key under the merged cursor.
    #[inline]
    fn parts(&self) -> Result<(&[u8], Trailer)> {
        let split = internal_key::split(self.merged.key());
        split.ok_or_else(|| self.corruption("a key shorter than its suffix"))
    }

    #[inline]
    fn kind(&self, trailer: Trailer) -> Result<Kind> {
        trailer.kind().ok_or_else(|| self.corruption("an entry of an unknown kind"))
    }

    #[cold]
    fn corruption(&self, what: &str) -> Error {
        let runs = &self.view.super_version.version.runs;
        let run = self.merged.source().checked_sub(self.memtables).and_then(|run| runs.get(run));
        let path = run.and_then(|run| run.tables().first()).map(|table| table.path());
        Error::corruption(path.unwrap_or_else(|| "memtable".as_ref()), 0, what)
    }

    fn remember_user(&mut self) {
        let key = self.merged.key();
        let user = internal_key::split(key).map_or(key, |(user, _)| user);
        self.user.clear();
        self.user.extend_from_slice(user);
    }

    /// Copies the value of the version under the merged cursor, if it has one. Returns whether it has.
    fn copy_value(&mut self, trailer: Trailer) -> Result<bool> {
        if !self.has_value(trailer)? {
            return Ok(false);
        }
        let (_, value) = self.merged.entry()?;
        self.value.clear();
        self.value.extend_from_slice(&value[self.before_value..]);
        Ok(true)
    }

    /// Whether the version under the merged cursor is a put that has not expired.
    #[inline]
    fn has_value(&mut self, trailer: Trailer) -> Result<bool> {
        self.before_value = 0;
        match self.kind(trailer)? {
            Kind::Put => Ok(true),
            Kind::Tombstone => Ok(false),
            Kind::Expiring => self.is_before_its_end(),
        }
    }

    #[cold]
    fn is_before_its_end(&mut self) -> Result<bool> {
        self.before_value = END_BYTES;
        let now = self.view.now;
        let (_, bytes) = self.merged.entry()?;
        let end = expiring::split(bytes).map(|(end, _)| end);
        end.map(|end| end > now).ok_or_else(|| self.corruption("an entry too short for its end"))
    }
}

impl Cursor for ViewCursor {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        self.moving(Direction::Forward, |cursor| {
            encode(key, Trailer::NEWEST, &mut cursor.sought);
            cursor.is_on_entry = cursor.merged.seek_ge(&cursor.sought)?;
            cursor.settle_forward(false)
        })
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        self.moving(Direction::Backward, |cursor| {
            encode(key, Trailer::NEWEST, &mut cursor.sought);
            cursor.is_on_entry = cursor.merged.seek_lt(&cursor.sought)?;
            cursor.settle_backward()
        })
    }

    #[inline]
    fn next(&mut self) -> Result<bool> {
        let from =
            self.position.step(Direction::Forward).map(|from| matches!(from, StepFrom::Edge));
        self.moving(Direction::Forward, |cursor| match from {
            // The cursor stays in the gap at the end of the walk.
            None => Ok(false),
            // The merged cursor is fresh, or in the gap before its first entry.
            Some(true) => {
                cursor.is_on_entry = cursor.merged.next()?;
                cursor.settle_forward(false)
            }
            Some(false) => cursor.next_from_entry(),
        })
    }

    #[inline]
    fn prev(&mut self) -> Result<bool> {
        let from =
            self.position.step(Direction::Backward).map(|from| matches!(from, StepFrom::Edge));
        self.moving(Direction::Backward, |cursor| match from {
            // The cursor stays in the gap at the end of the walk.
            None => Ok(false),
            // The merged cursor is fresh, or in the gap behind its last entry.
            Some(true) => {
                cursor.is_on_entry = cursor.merged.prev()?;
                cursor.settle_backward()
            }
            Some(false) => cursor.prev_from_entry(),
        })
    }

    #[inline]
    fn key(&self) -> &[u8] {
        let () = self.position.entry();
        if self.direction == Direction::Backward {
            return &self.user;
        }
        let key = self.merged.key();
        internal_key::split(key).map_or(key, |(user, _)| user)
    }

    #[inline]
    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        let () = self.position.entry();
        if self.direction == Direction::Backward {
            return Ok((&self.user, &self.value));
        }
        let (key, value) = self.merged.entry()?;
        let value = &value[self.before_value..];
        Ok((internal_key::split(key).map_or(key, |(user, _)| user), value))
    }
}
