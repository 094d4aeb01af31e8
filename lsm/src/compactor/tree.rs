//! The tables of a version as the pickers see them.

use crate::boundary::Boundary;
use crate::compaction::{File, Place, Rank, Tree};
use crate::state::LEVELS;
use crate::table_file::TableFile;
use crate::version::Version;

/// The tree of `version`, by user keys: all versions of a key are in one table of a run.
///
/// # Errors
/// The manifest contradicts itself, and how.
pub(crate) fn tree_of(version: &Version) -> Result<Tree<Boundary>, String> {
    let mut tree = Tree::new(LEVELS as usize);
    for run in &version.runs {
        let place = Place { level: run.level() as usize, rank: Rank(run.rank()) };
        for table in run.tables() {
            tree.restore(place, file_of(table))?;
        }
    }
    // Compactions in flight have made runs whose ranks no table shows yet.
    tree.raise_next_rank(Rank(version.next_rank));
    debug_assert_eq!(tree.check(), Ok(()), "runs are in order");
    Ok(tree)
}

fn file_of(table: &TableFile) -> File<Boundary> {
    let (facts, spanning) = (&table.facts, table.spanning());
    let keys = (facts.first().to_owned(), facts.last().to_owned());
    // Range tombstones count as entries. One that others cut has several fragments, and a fragment can be of several.
    let ranges = facts.range_fragments().max(spanning.len() as u64);
    let mut file = File::new(table.id, keys, facts.entries + ranges, facts.len);
    file.tombstones = facts.tombstones + ranges;
    file.newest = facts.newest;
    file.created = facts.created;
    file.reclaimable.hidden = facts.hidden;
    file.reclaimable.dense_bytes = facts.dense_bytes;
    file.reclaimable.range_tombstones = spanning.to_vec();
    debug_assert!(file.is_sound(), "the facts of the manifest agree");
    file
}
