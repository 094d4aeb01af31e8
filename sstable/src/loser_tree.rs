//! A tree of losers (Knuth, The Art of Computer Programming, volume 3, 5.4.1): which of several sources comes first.
//!
//! The sources are the leaves of a binary tree. Each inner node holds a match between the winners of its two halves and
//! remembers the loser. When the winner of the whole tree moves on, only the matches on its path are played again: one
//! comparison a level, where a heap needs two.
//!
//! A node also remembers whether its match was a tie. A tied loser has the key of the winner that left the node. So when
//! that winner moves on, [`LoserTree::advance`] finds every source with the same key without a comparison.

use kv::Result;

/// The sources of a tree, by number.
pub(crate) trait Contest {
    /// Moves source `source` on.
    ///
    /// # Errors
    /// Any error of the source. The matches of the tree are void then.
    fn step(&mut self, source: usize) -> Result<()>;

    /// Who of two different sources comes first.
    fn play(&self, one: usize, other: usize) -> Match;
}

/// The outcome of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) winner: usize,
    pub(crate) loser: usize,
    /// Whether both have the same key.
    pub(crate) is_tie: bool,
}

/// The matches between a fixed number of sources.
#[derive(Debug)]
pub(crate) struct LoserTree {
    /// The inner nodes. Node 1 is the root, the halves of node `n` are `2n` and `2n + 1`, and source `s` is the leaf
    /// `s + count`. Node 0 stands above the root and holds the winner of all.
    nodes: Box<[Node]>,
}

/// The loser of a match.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    source: usize,
    is_tie: bool,
}

impl LoserTree {
    /// A tree of `count` sources, whose matches were not played yet.
    pub(crate) fn new(count: usize) -> Self {
        Self { nodes: vec![Node::default(); count].into() }
    }

    /// The source that comes first. `None`: the tree has no sources.
    #[inline]
    pub(crate) fn winner(&self) -> Option<usize> {
        self.nodes.first().map(|top| top.source)
    }

    /// Plays all matches.
    pub(crate) fn play_all(&mut self, contest: &impl Contest) {
        if !self.nodes.is_empty() {
            let source = self.play_below(1, contest);
            self.nodes[0] = Node { source, is_tie: false };
        }
    }

    /// Plays the matches of `node` and below. Returns the winner.
    fn play_below(&mut self, node: usize, contest: &impl Contest) -> usize {
        let count = self.nodes.len();
        debug_assert!((1..2 * count).contains(&node), "a node or a leaf");
        if node >= count {
            return node - count;
        }
        let one = self.play_below(2 * node, contest);
        let other = self.play_below(2 * node + 1, contest);
        self.settle(node, contest.play(one, other))
    }

    /// Moves the winner on, with every source that has the same key, and plays their matches again.
    ///
    /// # Errors
    /// The first error of a source. The matches are void then.
    #[inline]
    pub(crate) fn advance(&mut self, contest: &mut impl Contest) -> Result<()> {
        if let Some(winner) = self.winner() {
            let source = self.advance_below(0, winner, contest)?;
            self.nodes[0] = Node { source, is_tie: false };
        }
        Ok(())
    }

    /// Moves `source` on, the winner of a half of node `above`, and returns the next winner of that half. The recursion
    /// goes down from node to node, so it is as deep as the tree at most.
    fn advance_below(
        &mut self,
        above: usize,
        source: usize,
        contest: &mut impl Contest,
    ) -> Result<usize> {
        contest.step(source)?;
        let mut candidate = source;
        let mut node = usize::midpoint(source, self.nodes.len());
        while node != above {
            debug_assert!(above < node, "the path of a source leads up to the node");
            let mut rival = self.nodes[node];
            if rival.is_tie {
                // The rival has the key that `source` had, so it moves on too.
                rival.source = self.advance_below(node, rival.source, contest)?;
            }
            candidate = self.settle(node, contest.play(candidate, rival.source));
            node /= 2;
        }
        Ok(candidate)
    }

    /// Notes the match of `node`. Returns the winner.
    #[inline]
    fn settle(&mut self, node: usize, played: Match) -> usize {
        debug_assert_ne!(played.winner, played.loser, "nobody plays alone");
        debug_assert!(played.winner.max(played.loser) < self.nodes.len(), "sources of the tree");
        self.nodes[node] = Node { source: played.loser, is_tie: played.is_tie };
        played.winner
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use durable::{Entropy, SeededEntropy};

    use super::*;

    /// Ascending lists, and how many matches were played.
    struct Lists {
        sources: Vec<Vec<u64>>,
        places: Vec<usize>,
        played: std::cell::Cell<usize>,
    }

    impl Lists {
        fn head(&self, source: usize) -> Option<u64> {
            self.sources[source].get(self.places[source]).copied()
        }
    }

    impl Contest for Lists {
        fn step(&mut self, source: usize) -> Result<()> {
            self.places[source] += 1;
            Ok(())
        }

        fn play(&self, one: usize, other: usize) -> Match {
            self.played.set(self.played.get() + 1);
            let rank = |source| (self.head(source).is_none(), self.head(source), source);
            let (winner, loser) = if rank(one) < rank(other) { (one, other) } else { (other, one) };
            let is_tie = self.head(one).is_some() && self.head(one) == self.head(other);
            Match { winner, loser, is_tie }
        }
    }

    fn random_lists(count: usize, random: &SeededEntropy) -> Vec<Vec<u64>> {
        let list = |_| {
            let mut list: Vec<u64> =
                (0..random.next_u64() % 9).map(|_| random.next_u64() % 20).collect();
            list.sort_unstable();
            list.dedup();
            list
        };
        (0..count).map(list).collect()
    }

    #[test]
    fn a_tree_shows_each_key_once_from_the_first_source_that_has_it() {
        let random = SeededEntropy::new(3);
        for round in 0..400 {
            let count = round % 20 + 1;
            let lists = random_lists(count, &random);
            let mut expected = BTreeMap::new();
            for (source, list) in lists.iter().enumerate() {
                for key in list {
                    expected.entry(*key).or_insert(source);
                }
            }
            let played = std::cell::Cell::new(0);
            let mut lists = Lists { sources: lists, places: vec![0; count], played };
            let mut tree = LoserTree::new(count);
            tree.play_all(&lists);
            assert_eq!(lists.played.get(), count - 1, "a match for each node");
            let mut seen = Vec::new();
            while let Some(key) = lists.head(tree.winner().unwrap()) {
                seen.push((key, tree.winner().unwrap()));
                tree.advance(&mut lists).unwrap();
            }
            assert_eq!(seen, expected.into_iter().collect::<Vec<_>>(), "{count} sources");
        }
    }

    #[test]
    fn without_ties_a_step_plays_one_match_a_level() {
        for (count, levels) in [(1, 0), (2, 1), (8, 3), (9, 4), (1_000, 10)] {
            let lists = (0..count as u64).map(|at| vec![at, at + 5_000]).collect();
            let played = std::cell::Cell::new(0);
            let mut lists = Lists { sources: lists, places: vec![0; count], played };
            let mut tree = LoserTree::new(count);
            tree.play_all(&lists);
            for _ in 0..2 * count {
                lists.played.set(0);
                tree.advance(&mut lists).unwrap();
                assert!(lists.played.get() <= levels, "{count}: {}", lists.played.get());
            }
            assert_eq!(tree.winner().and_then(|winner| lists.head(winner)), None);
        }
    }

    #[test]
    fn a_tree_without_sources_has_no_winner() {
        let played = std::cell::Cell::new(0);
        let mut lists = Lists { sources: Vec::new(), places: Vec::new(), played };
        let mut tree = LoserTree::new(0);
        tree.play_all(&lists);
        tree.advance(&mut lists).unwrap();
        assert_eq!(tree.winner(), None);
    }
}
