//! Opening a table, and comparing it with what the manifest states.

use std::ops::RangeInclusive;
use std::path::Path;

use durable::Fs;
use kv::{Error, Result};
use sstable::{ReadOptions, Table};

use crate::range_tombstones::{self, Fragments};
use crate::state::{RangeFacts, TableFacts};

/// Opens the table at `path`, about which the manifest states `facts`.
///
/// # Errors
/// `Corruption` when it has another length or another id, or is damaged; `Io`.
#[cold]
pub(crate) fn open_table(
    fs: &dyn Fs,
    path: &Path,
    facts: &TableFacts,
    read: &ReadOptions,
) -> Result<Table> {
    let file = fs.open(path)?;
    let len = file.len()?;
    if len != facts.len {
        let what = format!("{len} bytes, and the manifest says {}", facts.len);
        return Err(Error::corruption(path, len.min(facts.len), what));
    }
    let table = Table::open(file, read)?;
    if table.id().0 != facts.table_id {
        let what = "another table than the one that the manifest names";
        return Err(Error::corruption(path, 0, what));
    }
    debug_assert_eq!(table.len_bytes(), facts.len, "the length was compared");
    Ok(table)
}

/// The range tombstones of `table` at `path`, about which the manifest states `facts`: that it has some.
///
/// # Errors
/// `Corruption` when they are not those that the manifest states, or are damaged; `Io`.
#[cold]
pub(crate) fn read_fragments(table: &Table, facts: &TableFacts, path: &Path) -> Result<Fragments> {
    let other = || {
        let what = "other range tombstones than the manifest says";
        Error::corruption(path, 0, what)
    };
    let stated = facts.ranges.as_ref().ok_or_else(other)?;
    let block = table.named_block(range_tombstones::BLOCK_NAME)?.ok_or_else(other)?;
    let fragments = range_tombstones::decode(&block, path)?;
    let numbers = facts.oldest..=facts.newest;
    if are_stated(&fragments, stated, numbers) { Ok(fragments) } else { Err(other()) }
}

/// Whether `fragments` are those that the manifest states, as far as it knows them: how many, their hull, and between which
/// numbers all `numbers` of the table lie.
fn are_stated(fragments: &Fragments, stated: &RangeFacts, numbers: RangeInclusive<u64>) -> bool {
    fragments.len() as u64 == stated.fragments
        && fragments.hull().as_ref() == Some(&stated.hull)
        && fragments.iter().all(|fragment| {
            // The newest first.
            let (newest, oldest) = (fragment.numbers().first(), fragment.numbers().last());
            newest.is_some_and(|newest| newest <= numbers.end())
                && oldest.is_some_and(|oldest| oldest >= numbers.start())
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::range_tombstones::DeletedRange;

    fn range(start: &[u8], end: &[u8]) -> DeletedRange {
        DeletedRange { start: start.to_vec(), end: Some(end.to_vec()) }
    }

    #[test]
    fn range_tombstones_are_those_of_the_manifest_if_count_hull_and_numbers_agree() {
        let older = Fragments::of(vec![range(b"a", b"c"), range(b"d", b"e")], 5);
        let fragments = older.union(&Fragments::of(vec![range(b"d", b"e")], 9));
        let stated = RangeFacts { fragments: 2, hull: range(b"a", b"e") };
        let are_stated = |stated: &RangeFacts, numbers| are_stated(&fragments, stated, numbers);
        assert!(are_stated(&stated, 5..=9) && are_stated(&stated, 1..=20));
        assert!(!are_stated(&stated, 5..=8), "a newer number than the table has");
        assert!(!are_stated(&stated, 6..=9), "an older number than the table has");
        assert!(!are_stated(&RangeFacts { fragments: 1, ..stated.clone() }, 5..=9));
        assert!(!are_stated(&RangeFacts { fragments: 3, ..stated.clone() }, 5..=9));
        for hull in [range(b"a", b"d"), range(b"a", b"f"), range(b"b", b"e")] {
            assert!(!are_stated(&RangeFacts { hull, ..stated.clone() }, 5..=9));
        }
    }
}
