//! How many bytes a range of keys takes in tables.

use std::ops::Bound;

use kv::{KeyRange, Result};
use sstable::Run;

use super::source::internal_bounds;
use crate::internal_key::LAYOUT;
use crate::version::Version;

/// The bytes of the data blocks of `version` that can have an entry with a key in `range`. Opens the tables that overlap it.
///
/// # Errors
/// `Corruption` of an index; `Io`.
pub(crate) fn size_in_tables(version: &Version, range: &KeyRange) -> Result<u64> {
    let (start, end) = internal_bounds(range);
    let bounds = (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
    let is_before_end = |key: &[u8]| match bounds.1 {
        Bound::Included(end) | Bound::Excluded(end) => LAYOUT.compare(key, end).is_le(),
        Bound::Unbounded => true,
    };
    let is_behind_start = |key: &[u8]| match bounds.0 {
        Bound::Included(start) | Bound::Excluded(start) => LAYOUT.compare(key, start).is_ge(),
        Bound::Unbounded => true,
    };
    let mut size = 0;
    for run in &version.runs {
        for table in 0..run.table_count() {
            if is_behind_start(run.largest_key(table)) && is_before_end(run.smallest_key(table)) {
                size += run.open_table(table)?.data_bytes_in(bounds)?;
            }
        }
    }
    Ok(size)
}
