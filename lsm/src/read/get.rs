//! Look-ups.

use std::ops::RangeInclusive;

use kv::{Error, Result};

use crate::expiring::ReadTime;
use crate::internal_key::{self, Kind, SEQUENCE_LIMIT, SUFFIX_BYTES, Trailer};
use crate::table_file::TableFile;
use crate::version::{SuperVersion, Version};

/// Calls `found` with the value of `user` that a reader at `sequence` and `time` sees, and returns whether there is one.
///
/// # Errors
/// `Corruption` of a table, naming file and offset; `Io`.
#[inline]
pub(crate) fn get(
    view: &SuperVersion,
    user: &[u8],
    sequence: u64,
    time: ReadTime<'_>,
    found: &mut dyn FnMut(&[u8]),
) -> Result<bool> {
    let trailer = find(view, user, sequence, time, found)?;
    debug_assert!(trailer.is_none_or(|trailer| trailer.sequence() <= sequence), "it is visible");
    Ok(trailer.is_some_and(|trailer| !trailer.is_tombstone()))
}

/// The newest version of `user`, a tombstone or not, also if it is not visible yet. `None`: its number is not greater than
/// `above`. Memtables and tables with no greater number are not searched.
///
/// # Errors
/// As [`get`].
pub(crate) fn newest_version(
    view: &SuperVersion,
    user: &[u8],
    above: u64,
) -> Result<Option<Trailer>> {
    let (newest, ignore) = (SEQUENCE_LIMIT - 1, &mut |_: &[u8]| ());
    let is_newer = |found: Option<Trailer>| found.filter(|found| found.sequence() > above);
    let sealed = view.sealed.iter().take_while(|sealed| sealed.newest > above);
    let memtables = std::iter::once(&view.active).chain(sealed.map(|sealed| &sealed.memtable));
    for memtable in memtables {
        if let Some(found) = memtable.get(user, newest, ReadTime::At(0), ignore) {
            return Ok(is_newer(Some(found)));
        }
    }
    find_in_tables(&view.version, user, above + 1..=newest, ReadTime::At(0), ignore).map(is_newer)
}

/// The newest version that a reader at `sequence` sees. Calls `found` with the value of a put that has not expired at `time`. One
/// that has is returned as a tombstone.
#[inline]
pub(super) fn find(
    view: &SuperVersion,
    user: &[u8],
    sequence: u64,
    time: ReadTime<'_>,
    found: &mut dyn FnMut(&[u8]),
) -> Result<Option<Trailer>> {
    for memtable in view.memtables() {
        if let Some(trailer) = memtable.get(user, sequence, time, found) {
            return Ok(Some(trailer));
        }
    }
    find_in_tables(&view.version, user, 0..=sequence, time, found)
}

/// The newest version with a number in `numbers`, or perhaps one with a lower number.
fn find_in_tables(
    version: &Version,
    user: &[u8],
    numbers: RangeInclusive<u64>,
    time: ReadTime<'_>,
    found: &mut dyn FnMut(&[u8]),
) -> Result<Option<Trailer>> {
    let mut tables = version.runs.iter().filter_map(|run| run.table_of(user)).peekable();
    if tables.peek().is_none() {
        return Ok(None);
    }
    let key = internal_key::encoded(user, Trailer::seen_at(*numbers.end()));
    for table in tables {
        if table.facts.oldest > *numbers.end() || table.facts.newest < *numbers.start() {
            continue;
        }
        if let Some(trailer) = find_in_table(table, &key, time, found)? {
            return Ok(Some(trailer));
        }
    }
    Ok(None)
}

fn find_in_table(
    file: &TableFile,
    key: &[u8],
    time: ReadTime<'_>,
    found: &mut dyn FnMut(&[u8]),
) -> Result<Option<Trailer>> {
    let covering = if file.facts.ranges.is_none() { None } else { covering(file, key)? };
    let entry = find_entry(file, key, covering.unwrap_or(0), time, found)?;
    if entry.is_some() || covering.is_none() {
        return Ok(entry);
    }
    // A range tombstone is the newest, and so it is the answer, as a tombstone.
    Ok(covering.map(|covering| Trailer::new(covering, Kind::Tombstone)))
}

/// The newest range tombstone of the table that covers `key` and that `key` sees.
#[cold]
fn covering(file: &TableFile, key: &[u8]) -> Result<Option<u64>> {
    let fragments = file.fragments()?;
    let split = internal_key::split(key);
    Ok(split.and_then(|(user, at)| fragments?.covering(user, at.sequence())))
}

/// The newest version in the table that `key` sees, if its number is at least `least`.
#[inline]
fn find_entry(
    file: &TableFile,
    key: &[u8],
    least: u64,
    time: ReadTime<'_>,
    found: &mut dyn FnMut(&[u8]),
) -> Result<Option<Trailer>> {
    let mut version = None;
    let table = file.table()?;
    table.get_version_with(key, &mut |suffix, value| {
        let trailer = <[u8; SUFFIX_BYTES]>::try_from(suffix).ok().map(Trailer::of_suffix);
        if trailer.is_some_and(|trailer| trailer.sequence() < least) {
            return;
        }
        version = Some(trailer.and_then(|trailer| {
            match trailer.kind()? {
                Kind::Put => found(value),
                Kind::Tombstone => {}
                Kind::Expiring => match time.value_in(value) {
                    Some(value) => found(value),
                    None => return Some(trailer.as_tombstone()),
                },
            }
            Some(trailer)
        }));
    })?;
    match version {
        None => Ok(None),
        Some(Some(trailer)) => Ok(Some(trailer)),
        Some(None) => Err(Error::corruption(file.path(), 0, "an entry of an unknown kind")),
    }
}
