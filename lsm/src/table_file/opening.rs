//! Opening a table, and comparing it with what the manifest states.

use std::path::Path;

use durable::Fs;
use kv::{Error, Result};
use sstable::{ReadOptions, Table};

use crate::range_tombstones::{self, Fragments};
use crate::state::TableFacts;

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
    let is_stated = fragments.len() as u64 == stated.fragments
        && fragments.hull().as_ref() == Some(&stated.hull)
        && fragments.iter().all(|fragment| {
            let ends = (fragment.numbers().first(), fragment.numbers().last());
            ends.0.is_some_and(|newest| *newest <= facts.newest)
                && ends.1.is_some_and(|oldest| *oldest >= facts.oldest)
        });
    if is_stated { Ok(fragments) } else { Err(other()) }
}
