//! Sequences of calls: all short ones, and a sample of longer ones.

use std::collections::BTreeSet;

use crate::random::Random;
use crate::script::Script;

/// The calls that sequences are made of. The values are so large that three of them fill a file.
const ALPHABET: [&str; 8] = [
    "p0.900/b",
    "p1.900/b",
    "d0/b",
    "p0.20+p1.20/b",
    "sync",
    "p0.900/s",
    "maintain drain",
    "reopen",
];

/// Calls, each as an index into [`ALPHABET`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sequence(Vec<u8>);

impl Sequence {
    /// All sequences of 1 to `longest` calls, the short ones first.
    pub(super) fn all(longest: usize) -> impl Iterator<Item = Self> {
        (1..=longest).flat_map(|len| (0..count(len)).map(move |number| Self::nth(len, number)))
    }

    /// The sequences of `len` calls with these numbers: `number` has a digit for each call.
    fn nth(len: usize, number: u64) -> Self {
        let base = ALPHABET.len() as u64;
        assert!(number < count(len), "there is no sequence {number} of {len} calls");
        let digit = |place: usize| (number / base.pow(place as u32) % base) as u8;
        Self((0..len).rev().map(digit).collect())
    }

    /// A sample of `wanted` different sequences of `len` calls, or all of them if there are fewer. It follows from `seed`.
    pub(super) fn sample(seed: u64, len: usize, wanted: u64) -> Vec<Self> {
        let random = Random::new(seed);
        let wanted = wanted.min(count(len)) as usize;
        let mut numbers = BTreeSet::new();
        while numbers.len() < wanted {
            numbers.insert(random.below(count(len) as usize) as u64);
        }
        let sample: Vec<Self> = numbers.into_iter().map(|number| Self::nth(len, number)).collect();
        assert!(sample.is_sorted_by(|a, b| a < b), "no sequence is in a sample twice");
        sample
    }

    /// How many calls it has.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The script of its calls, and how many steps come before the last call.
    pub(super) fn script(&self) -> (Script, usize) {
        let (mut script, mut before_last) = (Script::default(), 0);
        for &call in &self.0 {
            before_last = script.0.len();
            let call: Script = ALPHABET[usize::from(call)].parse().expect("the alphabet is right");
            script.0.extend(call.0);
        }
        debug_assert!(self.0.is_empty() || before_last < script.0.len(), "each call has a step");
        (script, before_last)
    }
}

/// How many sequences of `len` calls there are.
fn count(len: usize) -> u64 {
    (ALPHABET.len() as u64).pow(len as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sequences_are_there_once_and_after_their_beginnings() {
        let all: Vec<Sequence> = Sequence::all(3).collect();
        assert_eq!(all.len(), 8 + 64 + 512);
        assert!(all.is_sorted_by_key(Sequence::len));
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }

    #[test]
    fn a_sequence_knows_where_its_last_call_begins() {
        let of = |calls: &[u8]| {
            let (script, before_last) = Sequence(calls.to_vec()).script();
            (script.to_string(), before_last)
        };
        assert_eq!(of(&[4]), ("sync".into(), 0));
        assert_eq!(of(&[4, 6]), ("sync maintain drain".into(), 1));
        assert_eq!(of(&[6, 7]), ("maintain drain reopen".into(), 2));
    }

    #[test]
    fn a_sample_follows_from_its_seed_and_has_no_sequence_twice() {
        let sample = Sequence::sample(1, 5, 300);
        assert_eq!(sample, Sequence::sample(1, 5, 300));
        assert_ne!(sample, Sequence::sample(2, 5, 300));
        assert_eq!(sample.iter().collect::<BTreeSet<_>>().len(), 300);
        assert!(sample.iter().all(|sequence| sequence.len() == 5));
        assert_eq!(Sequence::sample(1, 1, 300).len(), 8, "there are no more");
    }
}
