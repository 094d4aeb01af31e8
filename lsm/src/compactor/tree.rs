//! The tables of a version as the pickers see them.

use crate::compaction::{File, Place, Rank, Tree};
use crate::state::{LEVELS, TableFacts};
use crate::version::Version;

/// Compactions are picked by user keys: all versions of a key are in one table of a run.
pub(crate) type UserKey = Vec<u8>;

/// The tree of `version`.
///
/// # Errors
/// The manifest contradicts itself, and how.
pub(crate) fn tree_of(version: &Version) -> Result<Tree<UserKey>, String> {
    let mut tree = Tree::new(LEVELS as usize);
    for run in &version.runs {
        let place = Place { level: run.level() as usize, rank: Rank(run.rank()) };
        for table in run.tables() {
            tree.restore(place, file_of(table.id, &table.facts))?;
        }
    }
    // Compactions in flight have made runs whose ranks no table shows yet.
    tree.raise_next_rank(Rank(version.next_rank));
    debug_assert_eq!(tree.check(), Ok(()), "runs are in order");
    Ok(tree)
}

fn file_of(id: u64, facts: &TableFacts) -> File<UserKey> {
    let keys = (facts.smallest_user().to_vec(), facts.largest_user().to_vec());
    let mut file = File::new(id, keys, facts.entries, facts.len);
    file.tombstones = facts.tombstones;
    file.newest = facts.newest;
    file.created = facts.created;
    file.reclaimable.hidden = facts.hidden;
    file.reclaimable.dense_bytes = facts.dense_bytes;
    debug_assert!(file.is_sound(), "the facts of the manifest agree");
    file
}
