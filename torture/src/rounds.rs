//! The loop over the rounds of a suite.

use crate::random::sub_seed;
use crate::report::{Failure, Report};
use crate::shard::Shard;
use crate::subject::Subject;

/// Rounds that are independent of each other. Each has a seed of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounds {
    /// The seeds of all rounds follow from it.
    pub(crate) seed: u64,
    pub(crate) count: u64,
    /// The part of the rounds to play.
    pub(crate) shard: Shard,
}

impl Rounds {
    /// Calls `play` with the option set, the seed and the report of each round. The option sets take turns.
    pub(crate) fn play(
        self,
        subject: &dyn Subject,
        mut play: impl FnMut(usize, u64, &mut Report) -> Result<(), Failure>,
    ) -> Result<Report, Failure> {
        let option_sets = subject.option_sets();
        assert!(option_sets > 0, "a subject has options");
        let mut report = Report::default();
        for number in (0..self.count).filter(|number| self.shard.takes(*number)) {
            let option_set = (number % option_sets as u64) as usize;
            assert!(number < self.count && option_set < option_sets, "a round of this suite");
            play(option_set, sub_seed(self.seed, number), &mut report)?;
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::ToySubject;

    fn seeds(shard: Shard) -> Vec<u64> {
        let (toy, mut seeds) = (ToySubject::default(), Vec::new());
        let rounds = Rounds { seed: 9, count: 7, shard };
        let played = rounds.play(&toy, |option_set, seed, _| {
            assert!(option_set < toy.option_sets());
            seeds.push(seed);
            Ok(())
        });
        played.unwrap();
        seeds
    }

    #[test]
    fn the_parts_play_each_round_once_with_the_seed_that_it_has_in_the_whole() {
        let mut parts = [seeds("1/2".parse().unwrap()), seeds("2/2".parse().unwrap())].concat();
        let mut whole = seeds(Shard::ALL);
        assert_eq!(whole.len(), 7);
        parts.sort_unstable();
        whole.sort_unstable();
        whole.dedup();
        assert_eq!(parts, whole);
    }
}
