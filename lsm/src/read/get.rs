//! Look-ups.

use kv::{Error, Result};

use crate::internal_key::{self, Kind, SEQUENCE_LIMIT, SUFFIX_BYTES, Trailer};
use crate::table_file::TableFile;
use crate::version::{SuperVersion, Version};

/// Calls `found` with the value of `user` that a reader at `sequence` sees, and returns whether there is one.
///
/// # Errors
/// `Corruption` of a table, naming file and offset; `Io`.
#[inline]
pub(crate) fn get(
    view: &SuperVersion,
    user: &[u8],
    sequence: u64,
    found: &mut dyn FnMut(&[u8]),
) -> Result<bool> {
    let trailer = find(view, user, sequence, found)?;
    debug_assert!(trailer.is_none_or(|trailer| trailer.sequence() <= sequence), "it is visible");
    Ok(trailer.is_some_and(|trailer| trailer.kind() == Some(Kind::Put)))
}

/// The number of the newest write of `user`, a tombstone or not, also if it is not visible yet.
///
/// # Errors
/// As [`get`].
pub(crate) fn newest_sequence(view: &SuperVersion, user: &[u8]) -> Result<Option<u64>> {
    let trailer = find(view, user, SEQUENCE_LIMIT - 1, &mut |_| ())?;
    Ok(trailer.map(Trailer::sequence))
}

/// The newest version that a reader at `sequence` sees. Calls `found` with the value of a put.
#[inline]
fn find(
    view: &SuperVersion,
    user: &[u8],
    sequence: u64,
    found: &mut dyn FnMut(&[u8]),
) -> Result<Option<Trailer>> {
    for memtable in view.memtables() {
        if let Some(trailer) = memtable.get(user, sequence, found) {
            return Ok(Some(trailer));
        }
    }
    find_in_tables(&view.version, user, sequence, found)
}

fn find_in_tables(
    version: &Version,
    user: &[u8],
    sequence: u64,
    found: &mut dyn FnMut(&[u8]),
) -> Result<Option<Trailer>> {
    let mut tables = version.runs.iter().filter_map(|run| run.table_of(user)).peekable();
    if tables.peek().is_none() {
        return Ok(None);
    }
    let key = internal_key::encoded(user, Trailer::seen_at(sequence));
    for table in tables {
        if table.facts.oldest > sequence {
            continue;
        }
        if let Some(trailer) = find_in_table(table, &key, found)? {
            return Ok(Some(trailer));
        }
    }
    Ok(None)
}

fn find_in_table(
    file: &TableFile,
    key: &[u8],
    found: &mut dyn FnMut(&[u8]),
) -> Result<Option<Trailer>> {
    if file.facts.ranges.is_some() {
        return find_beside_ranges(file, key, found);
    }
    find_entry(file, key, 0, found)
}

/// The same in a table with range tombstones. If one of them is the newest, it is the answer, as a tombstone.
#[cold]
fn find_beside_ranges(
    file: &TableFile,
    key: &[u8],
    found: &mut dyn FnMut(&[u8]),
) -> Result<Option<Trailer>> {
    let fragments = file.fragments()?;
    let covering = match (fragments, internal_key::split(key)) {
        (Some(fragments), Some((user, seen_at))) => fragments.covering(user, seen_at.sequence()),
        _ => None,
    };
    let entry = find_entry(file, key, covering.unwrap_or(0), found)?;
    Ok(entry.or(covering.map(|covering| Trailer::new(covering, Kind::Tombstone))))
}

/// The newest version in the table that `key` sees, if its number is at least `least`.
#[inline]
fn find_entry(
    file: &TableFile,
    key: &[u8],
    least: u64,
    found: &mut dyn FnMut(&[u8]),
) -> Result<Option<Trailer>> {
    let mut version = None;
    let table = file.table()?;
    table.get_version_with(key, &mut |suffix, value| {
        let trailer = <[u8; SUFFIX_BYTES]>::try_from(suffix).ok().map(Trailer::of_suffix);
        if trailer.is_some_and(|trailer| trailer.sequence() < least) {
            return;
        }
        let trailer = trailer.filter(|trailer| trailer.kind().is_some());
        if trailer.is_some_and(|trailer| trailer.kind() == Some(Kind::Put)) {
            found(value);
        }
        version = Some(trailer);
    })?;
    match version {
        None => Ok(None),
        Some(Some(trailer)) => Ok(Some(trailer)),
        Some(None) => Err(Error::corruption(file.path(), 0, "an entry of an unknown kind")),
    }
}
