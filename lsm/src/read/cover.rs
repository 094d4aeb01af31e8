//! Which entries of a source are covered by range tombstones.
//!
//! A range tombstone in a newer source covers all entries of its keys: it is newer than all of them. One in the same source
//! covers those with lower numbers. If no entry beside a fragment has a higher number, it covers all of them, too.

use std::sync::Arc;

use kv::Result;

use crate::boundary::Boundary;
use crate::range_tombstones::{Fragment, Fragments, Surroundings};
use crate::table_file::TableRun;

/// The range tombstones of a source.
#[derive(Clone, Debug)]
pub(crate) enum Ranges {
    Memtable(Arc<Fragments>),
    Run(TableRun),
}

/// Keys between two places.
#[derive(Debug)]
struct Gap {
    /// The first key.
    from: Vec<u8>,
    /// The key behind the gap. `None`: it ends behind all keys.
    to: Option<Vec<u8>>,
}

/// The range tombstones that cover entries of one source, for a reader at one number.
#[derive(Debug)]
pub(super) struct Cover {
    /// Those of all sources, the newest first.
    newest_first: Arc<[Option<Ranges>]>,
    /// The number of the source in that list.
    source: usize,
    sequence: u64,
    /// No range tombstone that counts is in this gap, which was looked at last.
    gap: Option<Gap>,
}

/// What covers an entry.
#[derive(Debug)]
pub(super) enum Covered {
    /// Nothing: the entry is shown.
    No,
    /// The entry is covered. Others of the same fragment may not be.
    Alone,
    /// All entries of the source in the fragment are covered.
    With(Arc<Fragment>),
}

impl Ranges {
    /// Calls `see` with what is at `user`.
    ///
    /// # Errors
    /// `Corruption` of a table; `Io`.
    pub(crate) fn around<T>(
        &self,
        user: &[u8],
        see: impl FnOnce(Surroundings<'_>) -> T,
    ) -> Result<T> {
        let run = match self {
            Self::Memtable(fragments) => return Ok(see(fragments.around(user))),
            Self::Run(run) => run.tables_with_ranges(),
        };
        // Where the range tombstones of a table begin and end.
        let hull = |table: usize| run.get(table)?.facts.ranges.as_ref().map(|ranges| &ranges.hull);
        let at = run.partition_point(|table| {
            table.facts.ranges.as_ref().is_some_and(|ranges| ranges.hull.ends_before(user))
        });
        if hull(at).is_some_and(|hull| *hull.start <= *user)
            && let Some(fragments) = run[at].fragments()?
        {
            return Ok(see(fragments.around(user)));
        }
        let before = at.checked_sub(1).and_then(hull);
        Ok(see(Surroundings::Gap {
            from: before.and_then(|before| before.end.as_deref()),
            to: hull(at).map(|next| &next.start[..]),
        }))
    }
}

impl Gap {
    /// All keys.
    fn all() -> Self {
        Self { from: Vec::new(), to: None }
    }

    fn contains(&self, user: &[u8]) -> bool {
        *self.from <= *user && self.to.as_ref().is_none_or(|to| *user < **to)
    }

    /// Leaves out what does not lie between the two keys.
    fn narrow(&mut self, from: &[u8], to: Boundary<&[u8]>) {
        if *self.from < *from {
            self.from = from.to_vec();
        }
        if let Boundary::Finite { key, .. } = to
            && self.to.as_ref().is_none_or(|to| *key < **to)
        {
            self.to = Some(key.to_vec());
        }
    }
}

impl Cover {
    /// What covers entries of source number `source` of those whose range tombstones are `newest_first`, for a reader at
    /// `sequence`. `None`: nothing can.
    pub(super) fn of(
        newest_first: &Arc<[Option<Ranges>]>,
        source: usize,
        sequence: u64,
    ) -> Option<Self> {
        let counts = newest_first[..=source].iter().any(Option::is_some);
        let newest_first = Arc::clone(newest_first);
        counts.then_some(Self { newest_first, source, sequence, gap: None })
    }

    /// What covers version `number` of `user`.
    ///
    /// # Errors
    /// As [`Ranges::around`].
    #[inline]
    pub(super) fn covers(&mut self, user: &[u8], number: u64) -> Result<Covered> {
        if self.gap.as_ref().is_some_and(|gap| gap.contains(user)) {
            return Ok(Covered::No);
        }
        self.look(user, number)
    }

    #[cold]
    fn look(&mut self, user: &[u8], number: u64) -> Result<Covered> {
        let mut gap = Some(Gap::all());
        for (source, ranges) in self.newest_first[..=self.source].iter().enumerate() {
            let Some(ranges) = ranges else { continue };
            let is_own = source == self.source;
            let covered = ranges.around(user, |at| self.judge(at, number, is_own, &mut gap))?;
            if !matches!(covered, Covered::No) {
                return Ok(covered);
            }
        }
        debug_assert!(gap.as_ref().is_none_or(|gap| gap.contains(user)), "the gap has the key");
        self.gap = gap;
        Ok(Covered::No)
    }

    /// What the range tombstones at the key do to an entry with this number. Narrows the gap to where they do nothing; `None`:
    /// they do something to other entries.
    fn judge(
        &self,
        at: Surroundings<'_>,
        number: u64,
        is_own: bool,
        gap: &mut Option<Gap>,
    ) -> Covered {
        let mut narrow = |from: &[u8], to| gap.as_mut().map_or((), |gap| gap.narrow(from, to));
        let fragment = match at {
            Surroundings::Gap { from, to } => {
                narrow(from.unwrap_or_default(), Boundary::before(to));
                return Covered::No;
            }
            Surroundings::Covered(fragment) => fragment,
        };
        let Some(covering) = fragment.newest_up_to(self.sequence) else {
            narrow(&fragment.range.start, fragment.range.last());
            return Covered::No;
        };
        if !is_own || fragment.newest_entry() < covering {
            return Covered::With(Arc::clone(fragment));
        }
        if number < covering {
            return Covered::Alone;
        }
        *gap = None;
        Covered::No
    }
}
