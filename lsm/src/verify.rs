//! Checking a whole store, deeper than any read does.

use kv::{Cursor as _, Error, KeyRange, Result};
use sstable::MergingCursor;

use crate::expiring;
use crate::internal_key::{self, Kind, LAYOUT, Trailer};
use crate::range_tombstones::Surroundings;
use crate::read::{Ranges, Sources, ViewCursor};
use crate::state::TableFacts;
use crate::table_file::TableFile;
use crate::table_writer::with_end;
use crate::version::View;

/// The numbers of things that were checked and found right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// Tables whose length, checksums, order and facts are those that the manifest states.
    pub tables: u64,
    /// Entries in those tables, tombstones included.
    pub entries: u64,
    /// Fragments of range tombstones in those tables.
    pub range_fragments: u64,
    /// Versions in memtables and tables, of which each newer one was found in a newer place.
    pub versions: u64,
    /// Keys that have a value, whose value was read.
    pub keys: u64,
}

/// Checks everything that `view` sees. Writers and background work go on meanwhile.
///
/// # Errors
/// The first `Corruption` found; `Io`.
pub(crate) fn verify(view: &View) -> Result<Verification> {
    let mut verification = Verification::default();
    for table in view.super_version.version.tables() {
        verify_table(table)?;
        verification.tables += 1;
        verification.entries += table.facts.entries;
        verification.range_fragments += table.facts.range_fragments();
    }
    verification.versions = verify_ages(view)?;
    let mut cursor = ViewCursor::new(view.clone(), &KeyRange::all(), None)?;
    while cursor.next()? {
        cursor.entry()?;
        verification.keys += 1;
    }
    debug_assert!(verification.entries <= verification.versions, "each entry is a version");
    debug_assert!(verification.keys <= verification.versions, "a value is that of a version");
    Ok(verification)
}

/// Checks one table against the manifest and in itself.
fn verify_table(file: &TableFile) -> Result<()> {
    file.check_sum()?;
    let table = file.table()?;
    table.verify()?;
    let fragments = file.fragments()?;
    let mut found =
        TableFacts { entries: 0, tombstones: 0, newest: 0, hidden: 0, ..file.facts.clone() };
    found.oldest = u64::MAX;
    for number in fragments.iter().flat_map(|all| all.iter()).flat_map(|all| all.numbers()) {
        found.oldest = found.oldest.min(*number);
        found.newest = found.newest.max(*number);
    }
    found.expiry = None;
    let mut cursor = table.scan((std::ops::Bound::Unbounded, std::ops::Bound::Unbounded))?;
    while cursor.next()? {
        if found.entries == 0 {
            found.smallest = cursor.key().to_vec();
        }
        let kind = internal_key::split(cursor.key()).map(|(_, trailer)| (trailer, trailer.kind()));
        let Some((trailer, Some(kind))) = kind else {
            return Err(Error::corruption(file.path(), 0, "an entry of an unknown kind"));
        };
        let beside = fragments.and_then(|all| all.at(user_of(cursor.key())?));
        if beside.is_some_and(|fragment| fragment.newest_entry() < trailer.sequence()) {
            let what = "an entry that is newer than a range tombstone beside it says";
            return Err(Error::corruption(file.path(), 0, what));
        }
        let is_hidden = found.entries > 0 && user_of(cursor.key()) == user_of(&found.largest);
        found.hidden += u64::from(is_hidden);
        found.entries += 1;
        found.tombstones += u64::from(kind == Kind::Tombstone);
        if kind == Kind::Expiring {
            let (_, value) = cursor.entry()?;
            let end = expiring::split(value).map(|(end, _)| end);
            let short = || Error::corruption(file.path(), 0, "an entry too short for its end");
            found.expiry = Some(with_end(found.expiry, end.ok_or_else(short)?));
        }
        found.oldest = found.oldest.min(trailer.sequence());
        found.newest = found.newest.max(trailer.sequence());
        found.largest.clear();
        found.largest.extend_from_slice(cursor.key());
    }
    if are_stated(found, &file.facts) {
        return Ok(());
    }
    Err(Error::corruption(file.path(), 0, "other entries than the manifest says"))
}

/// Whether the manifest states the facts that were found. Format 1 of the state did not count hidden entries: a 0 there says
/// nothing.
fn are_stated(mut found: TableFacts, stated: &TableFacts) -> bool {
    if stated.hidden == 0 {
        found.hidden = 0;
    }
    found == *stated
}

fn user_of(key: &[u8]) -> Option<&[u8]> {
    internal_key::split(key).map(|(user, _)| user)
}

/// Checks that of each key every newer version is in a newer memtable or run, or in the same one, and that the range tombstones
/// in newer ones are newer. Returns the number of versions.
fn verify_ages(view: &View) -> Result<u64> {
    let sources = Sources::of(&view.super_version, &KeyRange::all())?;
    let mut merged = MergingCursor::new(LAYOUT, sources.cursors);
    let mut versions = 0;
    let mut before: Option<(Vec<u8>, Trailer, usize)> = None;
    let wrong = |newer: u64, older: u64| {
        let what = format!("batch {newer} lies in an older run than batch {older} of its key");
        let run = view.super_version.version.tables().next();
        let path = run.map_or_else(|| "memtable".as_ref(), |table| table.path());
        Error::corruption(path, 0, what)
    };
    while merged.next()? {
        versions += 1;
        let (user, trailer) = internal_key::split(merged.key()).unwrap_or((&[], Trailer::OLDEST));
        let source = merged.source();
        if let Some((same, newer, newer_source)) = &before
            && same == user
            && (*newer <= trailer || *newer_source > source)
        {
            return Err(wrong(newer.sequence(), trailer.sequence()));
        }
        if let Some(range) = range_out_of_age(&sources.ranges, user, trailer.sequence(), source)? {
            return Err(wrong(range.max(trailer.sequence()), range.min(trailer.sequence())));
        }
        before = Some((user.to_vec(), trailer, source));
    }
    Ok(versions)
}

/// A range tombstone in a newer source than `source` that is not newer than version `number` of `user`, or one in an older
/// source that is.
fn range_out_of_age(
    ranges: &[Option<Ranges>],
    user: &[u8],
    number: u64,
    source: usize,
) -> Result<Option<u64>> {
    for (other, ranges) in ranges.iter().enumerate() {
        let Some(ranges) = ranges.as_ref().filter(|_| other != source) else { continue };
        let wrong = ranges.around(user, |at| match at {
            Surroundings::Gap { .. } => None,
            Surroundings::Covered(fragment) => {
                let mut numbers = fragment.numbers().iter().copied();
                numbers
                    .find(|range| if other < source { *range <= number } else { *range >= number })
            }
        })?;
        if wrong.is_some() {
            return Ok(wrong);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::internal_key::encoded;

    #[test]
    fn a_table_whose_hidden_entries_format_1_did_not_count_is_right() {
        let key = |sequence| encoded(b"key", Trailer::new(sequence, Kind::Put));
        let found = TableFacts {
            len: 4096,
            crc: 7,
            table_id: [5; 16],
            entries: 3,
            tombstones: 0,
            oldest: 1,
            newest: 3,
            hidden: 2,
            dense_bytes: 0,
            created: 0,
            smallest: key(3),
            largest: key(1),
            ranges: None,
            expiry: None,
        };
        let stated = |hidden| TableFacts { hidden, ..found.clone() };
        assert!(are_stated(found.clone(), &stated(2)) && are_stated(found.clone(), &stated(0)));
        assert!(!are_stated(found.clone(), &stated(1)), "format 2 counts them");
        assert!(!are_stated(found.clone(), &TableFacts { entries: 4, ..stated(0) }));
    }
}
