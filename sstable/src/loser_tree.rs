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
        self.play_match(node, one, other, contest)
    }

    /// Moves the winner on, with every source that has the same key, and plays their matches again.
    ///
    /// # Errors
    /// The first error of a source. The matches are void then.
    #[inline]
    pub(crate) fn advance(&mut self, contest: &mut impl Contest) -> Result<()> {
        if let Some(winner) = self.winner() {
            let player = self.climb(0, winner, contest)?;
            self.nodes[0] = Node { player, is_tie: false };
        }
        Ok(())
    }

    /// Moves `source` on, the winner of a half of node `above`, and returns the next winner of that half.
    #[expect(
        clippy::inline_always,
        reason = "the step of a merge, where calls are a third of the time"
    )]
    #[inline(always)]
    fn climb(&mut self, above: usize, source: usize, contest: &mut impl Contest) -> Result<Player> {
        let mut candidate = Player { word: contest.step(source)?, source };
        let mut node = usize::midpoint(source, self.nodes.len());
        while node != above {
            debug_assert!(above < node, "the path of a source leads up to the node");
            let mut rival = self.nodes[node];
            if rival.is_tie {
                // The rival has the key that `source` had, so it moves on too.
                rival.player = self.climb_from_tie(node, rival.player.source, contest)?;
            }
            candidate = self.play_match(node, candidate, rival.player, contest);
            node /= 2;
        }
        Ok(candidate)
    }

    /// The same for a source that was tied. It goes down from node to node, so the recursion is as deep as the tree at most.
    #[inline(never)]
    fn climb_from_tie(
        &mut self,
        above: usize,
        source: usize,
        contest: &mut impl Contest,
    ) -> Result<Player> {
        self.climb(above, source, contest)
    }

    /// Plays the match of `node`. Returns the winner.
    #[expect(clippy::inline_always, reason = "a level of a step of a merge")]
    #[inline(always)]
    fn play_match(
        &mut self,
        node: usize,
        one: Player,
        other: Player,
        contest: &impl Contest,
    ) -> Player {
        debug_assert_ne!(one.source, other.source, "nobody plays alone");
        if one.word == other.word {
            return self.play_by_keys(node, one, other, contest);
        }
        // Which one is less is hard to predict, so both are chosen without a jump.
        let is_one = one.word < other.word;
        let player = if is_one { other } else { one };
        self.nodes[node] = Node { player, is_tie: false };
        if is_one { one } else { other }
    }

    #[inline(never)]
    fn play_by_keys(
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
mod tests;
