//! The division of one compaction among several threads.

use super::file::Key;
use super::plan::{Action, Plan};

/// A piece of an input: a block of a file, or a whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor<K> {
    /// Its first key.
    pub key: K,
    /// Its bytes.
    pub bytes: u64,
}

/// A range of keys of a plan that one thread merges. All entries of a key are in the same part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<K> {
    /// Its first key.
    pub from: K,
    /// The first key of the next part; `None` for the last part, which ends with the plan.
    pub to: Option<K>,
}

impl<K: Key> Part<K> {
    /// Whether `key` is in it.
    pub fn contains(&self, key: &K) -> bool {
        debug_assert!(self.to.as_ref().is_none_or(|to| self.from < *to), "a part has keys");
        self.from <= *key && self.to.as_ref().is_none_or(|to| key < to)
    }
}

impl<K: Key> Plan<K> {
    /// The files of the inputs as pieces. A caller that knows the blocks of the files can divide the plan more evenly.
    pub fn anchors(&self) -> Vec<Anchor<K>> {
        let files = self.files();
        files.map(|file| Anchor { key: file.smallest.clone(), bytes: file.bytes }).collect()
    }

    /// Divides the plan into at most `most` parts of similar size, but none that is meant to have less than `least_bytes`.
    ///
    /// Parts begin where pieces of the inputs begin. The sum of the pieces that begin in a part is at most an even share
    /// and the pieces that begin at one key. The parts follow each other without a gap from the first key of the plan
    /// to the last. Their outputs, one after the other, are the outputs of the plan.
    ///
    /// A plan that only moves or drops files has one part.
    ///
    /// # Panics
    /// `most` is 0.
    pub fn parts(
        &self,
        mut anchors: Vec<Anchor<K>>,
        most: usize,
        least_bytes: u64,
    ) -> Vec<Part<K>> {
        assert!(most > 0, "a plan has a part");
        anchors.sort_by(|a, b| a.key.cmp(&b.key));
        let total: u128 = anchors.iter().map(|anchor| u128::from(anchor.bytes)).sum();
        let by_size = total / u128::from(least_bytes.max(1));
        let is_whole = self.action != Action::Rewrite;
        let count = if is_whole { 1 } else { by_size.clamp(1, most as u128) };
        let mut starts = vec![self.smallest.clone()];
        // The bytes that begin before the anchor, and the number of even shares that the parts so far may have.
        let (mut before, mut shares) = (0_u128, 1);
        for same_key in anchors.chunk_by(|a, b| a.key == b.key) {
            let key = &same_key[0].key;
            let is_inside = self.smallest < *key && *key <= self.largest;
            if is_inside && shares < count && before * count >= total * shares {
                starts.push(key.clone());
                // A piece can be larger than a share: then there are fewer parts.
                shares = before * count / total.max(1) + 1;
            }
            before += same_key.iter().map(|anchor| u128::from(anchor.bytes)).sum::<u128>();
        }
        debug_assert!(starts.is_sorted_by(|a, b| a < b), "parts follow each other");
        debug_assert!(starts.len() as u128 <= count, "there are no more parts than shares");
        let ends = starts[1..].iter().cloned().map(Some).chain([None]);
        starts.iter().cloned().zip(ends).map(|(from, to)| Part { from, to }).collect()
    }
}
