//! A tree of losers (Knuth, The Art of Computer Programming, volume 3, 5.4.1): which of several sources comes first.
//!
//! The sources are the leaves of a binary tree. Each inner node holds a match between the winners of its two halves and
//! remembers the loser. When the winner of the whole tree moves on, only the matches on its path are played again: one
//! comparison a level, where a heap needs two.
//!
//! Each source has a *word*, a number that says where it comes. A node keeps the word of its loser, so most matches compare
//! two numbers and no keys. If the words are equal, the sources decide.
//!
//! A node also remembers whether its match was a tie. A tied loser has the key of the winner that left the node. So when
//! that winner moves on, [`LoserTree::advance`] finds every source with the same key without a comparison.

use kv::Result;

/// After so many matches that the words have not decided, and one for each source, other words pay for themselves.
const MOST_UNDECIDED: usize = 64;

/// The sources of a tree, by number.
pub(crate) trait Contest {
    /// Moves source `source` on, and returns its new word.
    ///
    /// # Errors
    /// Any error of the source. The matches of the tree are void then.
    fn step(&mut self, source: usize) -> Result<u64>;

    /// The word of a source.
    fn word(&self, source: usize) -> u64;

    /// Who of two different sources with the same word comes first.
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
    /// How many matches the words have not decided since they were made.
    undecided: usize,
}

/// The loser of a match.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    player: Player,
    is_tie: bool,
}

/// A source in a match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Player {
    word: u64,
    source: usize,
}

impl LoserTree {
    /// A tree of `count` sources, whose matches were not played yet.
    pub(crate) fn new(count: usize) -> Self {
        Self { nodes: vec![Node::default(); count].into(), undecided: 0 }
    }

    /// The source that comes first. `None`: the tree has no sources.
    #[inline]
    pub(crate) fn winner(&self) -> Option<usize> {
        self.nodes.first().map(|top| top.player.source)
    }

    /// Whether the words decide so few matches that other words are worth a pass over all sources.
    #[inline]
    pub(crate) fn wants_words(&self) -> bool {
        self.undecided > self.nodes.len().max(MOST_UNDECIDED)
    }

    /// Plays all matches.
    pub(crate) fn play_all(&mut self, contest: &impl Contest) {
        self.undecided = 0;
        if !self.nodes.is_empty() {
            let player = self.play_below(1, contest);
            self.nodes[0] = Node { player, is_tie: false };
        }
    }

    /// Takes the words of all sources again. The sources have not moved, so no match is played.
    pub(crate) fn take_words(&mut self, contest: &impl Contest) {
        self.undecided = 0;
        for node in &mut self.nodes {
            node.player.word = contest.word(node.player.source);
        }
    }

    /// The sources that have lost a match to the winner. The next one is among them.
    pub(crate) fn runners_up(&self) -> impl Iterator<Item = usize> {
        let leaf = self.winner().map_or(0, |winner| winner + self.nodes.len());
        let path = std::iter::successors(Some(leaf / 2), |node| Some(node / 2));
        path.take_while(|node| *node > 0).map(|node| self.nodes[node].player.source)
    }

    /// Plays the matches of `node` and below. Returns the winner.
    fn play_below(&mut self, node: usize, contest: &impl Contest) -> Player {
        let count = self.nodes.len();
        debug_assert!((1..2 * count).contains(&node), "a node or a leaf");
        if let Some(source) = node.checked_sub(count) {
            return Player { word: contest.word(source), source };
        }
        let one = self.play_below(2 * node, contest);
        let other = self.play_below(2 * node + 1, contest);
        self.settle(node, one, other, contest)
    }

    /// Moves the winner on, with every source that has the same key, and plays their matches again.
    ///
    /// # Errors
    /// The first error of a source. The matches are void then.
    #[inline]
    pub(crate) fn advance(&mut self, contest: &mut impl Contest) -> Result<()> {
        if let Some(winner) = self.winner() {
            let player = self.advance_below(0, winner, contest)?;
            self.nodes[0] = Node { player, is_tie: false };
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
    ) -> Result<Player> {
        let mut candidate = Player { word: contest.step(source)?, source };
        let mut node = usize::midpoint(source, self.nodes.len());
        while node != above {
            debug_assert!(above < node, "the path of a source leads up to the node");
            let mut rival = self.nodes[node];
            if rival.is_tie {
                // The rival has the key that `source` had, so it moves on too.
                rival.player = self.advance_below(node, rival.player.source, contest)?;
            }
            candidate = self.settle(node, candidate, rival.player, contest);
            node /= 2;
        }
        Ok(candidate)
    }

    /// Plays the match of `node`. Returns the winner.
    #[inline]
    fn settle(&mut self, node: usize, one: Player, other: Player, contest: &impl Contest) -> Player {
        debug_assert_ne!(one.source, other.source, "nobody plays alone");
        if one.word == other.word {
            return self.settle_by_keys(node, one, other, contest);
        }
        // Which one is less is hard to predict, so both are chosen without a jump.
        let is_one = one.word < other.word;
        let player = if is_one { other } else { one };
        self.nodes[node] = Node { player, is_tie: false };
        if is_one { one } else { other }
    }

    fn settle_by_keys(
        &mut self,
        node: usize,
        one: Player,
        other: Player,
        contest: &impl Contest,
    ) -> Player {
        self.undecided += 1;
        let Match { winner, loser, is_tie } = contest.play(one.source, other.source);
        debug_assert_eq!(winner.min(loser), one.source.min(other.source), "one of the two");
        debug_assert_eq!(winner.max(loser), one.source.max(other.source), "and the other one");
        self.nodes[node] = Node { player: Player { source: loser, ..one }, is_tie };
        Player { source: winner, ..one }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeMap;

    use durable::{Entropy, SeededEntropy};

    use super::*;

    /// Ascending lists, and how many matches were played by keys.
    struct Lists {
        /// So many keys that follow each other have one word.
        key_per_word: u64,
        sources: Vec<Vec<u64>>,
        places: Vec<usize>,
        played: Cell<usize>,
    }

    impl Lists {
        fn new(sources: Vec<Vec<u64>>, key_per_word: u64) -> Self {
            let places = vec![0; sources.len()];
            Self { key_per_word, sources, places, played: Cell::new(0) }
        }

        fn head(&self, source: usize) -> Option<u64> {
            self.sources[source].get(self.places[source]).copied()
        }
    }

    impl Contest for Lists {
        fn step(&mut self, source: usize) -> Result<u64> {
            self.places[source] += 1;
            Ok(self.word(source))
        }

        fn word(&self, source: usize) -> u64 {
            self.head(source).map_or(u64::MAX, |key| key / self.key_per_word)
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
        for round in 0..600 {
            let count = round % 20 + 1;
            let lists = random_lists(count, &random);
            let mut expected = BTreeMap::new();
            for (source, list) in lists.iter().enumerate() {
                for key in list {
                    expected.entry(*key).or_insert(source);
                }
            }
            let mut lists = Lists::new(lists, [1, 3, 1_000][round % 3]);
            let mut tree = LoserTree::new(count);
            tree.play_all(&lists);
            let mut seen = Vec::new();
            while let Some(key) = lists.head(tree.winner().unwrap()) {
                seen.push((key, tree.winner().unwrap()));
                let next = tree.runners_up().filter_map(|source| lists.head(source)).min();
                let rest = (0..count).filter(|source| Some(*source) != tree.winner());
                assert_eq!(next, rest.filter_map(|source| lists.head(source)).min());
                if key.is_multiple_of(5) {
                    // Other words for the same keys change nothing.
                    lists.key_per_word = key % 7 + 1;
                    tree.take_words(&lists);
                }
                tree.advance(&mut lists).unwrap();
            }
            assert_eq!(seen, expected.into_iter().collect::<Vec<_>>(), "{count} sources");
        }
    }

    #[test]
    fn a_step_plays_one_match_a_level_and_keys_are_compared_for_equal_words_alone() {
        for (count, levels) in [(1, 0), (2, 1), (8, 3), (9, 4), (1_000, 10)] {
            for key_per_word in [1, 10_000] {
                let lists = (0..count as u64).map(|at| vec![at, at + 5_000]).collect();
                let mut lists = Lists::new(lists, key_per_word);
                let mut tree = LoserTree::new(count);
                tree.play_all(&lists);
                let by_keys = if key_per_word == 1 { 0 } else { count - 1 };
                assert_eq!(lists.played.get(), by_keys, "a match for each node");
                for _ in 0..count {
                    lists.played.set(0);
                    tree.advance(&mut lists).unwrap();
                    let most = if key_per_word == 1 { 0 } else { levels };
                    assert!(lists.played.get() <= most, "{count}: {}", lists.played.get());
                }
                assert_eq!(tree.winner().and_then(|winner| lists.head(winner)), Some(5_000));
            }
        }
    }

    #[test]
    fn words_that_decide_nothing_are_noticed() {
        for (key_per_word, expected) in [(1, false), (10_000, true)] {
            let lists = (0..8).map(|at| (0..100).map(|step| step * 8 + at).collect()).collect();
            let mut lists = Lists::new(lists, key_per_word);
            let mut tree = LoserTree::new(8);
            tree.play_all(&lists);
            assert!(!tree.wants_words());
            (0..100).for_each(|_| tree.advance(&mut lists).unwrap());
            assert_eq!(tree.wants_words(), expected);
            tree.take_words(&lists);
            assert!(!tree.wants_words());
        }
    }

    #[test]
    fn a_tree_without_sources_has_no_winner() {
        let mut lists = Lists::new(Vec::new(), 1);
        let mut tree = LoserTree::new(0);
        tree.play_all(&lists);
        tree.take_words(&lists);
        tree.advance(&mut lists).unwrap();
        assert_eq!((tree.winner(), tree.runners_up().count()), (None, 0));
    }
}
