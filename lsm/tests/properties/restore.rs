//! A tree that is built again from what a manifest has.

use lsm::compaction::{File, Place, Rank, Tree};

use crate::plans::file;

const LEVELS: usize = 4;

fn place(level: usize, rank: u64) -> Place {
    Place { level, rank: Rank(rank) }
}

#[test]
fn a_restored_tree_has_the_files_and_ranks_that_it_had() {
    let mut tree = Tree::new(LEVELS);
    tree.load(3, vec![file(1, 0, 10), file(2, 11, 20)]);
    tree.flush(vec![file(3, 5, 15)]);
    tree.flush(vec![file(4, 0, 9)]);
    let mut restored = Tree::new(LEVELS);
    // In an order that no flush would have.
    for (place, run) in tree.runs() {
        for file in run.files().iter().rev() {
            assert_eq!(restored.restore(place, file.clone()), Ok(()));
        }
    }
    let files = |tree: &Tree<u64>| -> Vec<(Place, Vec<File<u64>>)> {
        tree.runs().map(|(place, run)| (place, run.files().to_vec())).collect()
    };
    assert_eq!(files(&restored), files(&tree));
    assert_eq!(restored.next_rank(), tree.next_rank());
    assert_eq!(restored.check(), Ok(()));
}

#[test]
fn a_restored_tree_gives_out_ranks_above_those_that_it_has() {
    let mut tree = Tree::new(LEVELS);
    assert_eq!(tree.restore(place(1, 41), file(1, 0, 10)), Ok(()));
    assert_eq!(tree.restore(place(0, 7), file(2, 0, 10)), Ok(()));
    assert_eq!(tree.flush(vec![file(3, 0, 10)]), place(0, 42));
}

#[test]
fn facts_that_make_no_tree_are_an_error() {
    let mut tree = Tree::new(LEVELS);
    assert_eq!(tree.restore(place(2, 5), file(1, 10, 20)), Ok(()));
    let refused = |tree: &mut Tree<u64>, place: Place, file: File<u64>, text: &str| {
        let error = tree.restore(place, file).unwrap_err();
        assert!(error.contains(text), "{error}");
    };
    refused(&mut tree, place(4, 1), file(2, 0, 1), "the last level is 3");
    refused(&mut tree, place(2, 5), file(2, 20, 30), "files 2 and 1");
    refused(&mut tree, place(2, 5), file(2, 0, 10), "overlap");
    refused(&mut tree, place(1, u64::MAX), file(2, 0, 1), "file 2 is at");
    let reversed = File { smallest: 9, largest: 8, ..file(2, 0, 1) };
    refused(&mut tree, place(1, 1), reversed, "contradict");
    let all_dead = File { tombstones: 11, ..file(2, 0, 1) };
    refused(&mut tree, place(1, 1), all_dead, "contradict");
    assert_eq!(tree.runs().count(), 1, "a refused file leaves the tree as it was");
    assert_eq!(tree.restore(place(2, 5), file(2, 21, 30)), Ok(()));
}
