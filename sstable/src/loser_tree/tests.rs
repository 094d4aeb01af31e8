//! The tree of losers over sorted lists of numbers.

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
