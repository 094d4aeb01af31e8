//! Which versions of a key readers still need. Pure.

/// The numbers at which readers read, now and later.
///
/// They are the pinned numbers, and every number from the *ceiling* on. That is the number that was newest and visible when the
/// history was taken, or a lower one if older states are retained. A later reader that pins nothing reads at the ceiling or
/// above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct History {
    /// The pinned numbers below the ceiling, and the ceiling, ascending.
    numbers: Vec<u64>,
    ceiling: u64,
    /// Entries that end up to this time have expired for every reader, now and later.
    expired_up_to: u64,
}

impl History {
    /// The history of readers at the numbers `pinned`, ascending, and from `ceiling` on.
    pub(crate) fn new(pinned: impl Iterator<Item = u64>, ceiling: u64) -> Self {
        let mut numbers: Vec<u64> = pinned.take_while(|number| *number < ceiling).collect();
        numbers.push(ceiling);
        debug_assert!(numbers.is_sorted_by(|one, next| one < next), "each number is there once");
        Self { numbers, ceiling, expired_up_to: 0 }
    }

    /// The same, with entries that end up to `time` expired for every reader.
    pub(crate) fn with_expired_up_to(self, time: u64) -> Self {
        Self { expired_up_to: time, ..self }
    }

    /// The time up to which entries have expired for every reader, in milliseconds since 1970.
    pub(crate) fn expired_up_to(&self) -> u64 {
        self.expired_up_to
    }

    /// The lowest number at which a reader reads.
    pub(crate) fn horizon(&self) -> u64 {
        self.numbers[0]
    }

    /// The number from which on readers need every version.
    pub(crate) fn ceiling(&self) -> u64 {
        self.ceiling
    }

    /// Whether no reader needs version `older` of a key, because `newer` is the next newer version of the key.
    pub(crate) fn hides(&self, newer: u64, older: u64) -> bool {
        debug_assert!(older < newer, "the versions of a key have numbers of their own");
        if newer > self.ceiling {
            return false;
        }
        // The reader that would see `older` reads in `older..newer`.
        let at = self.numbers.partition_point(|number| *number < older);
        debug_assert!(at < self.numbers.len(), "the ceiling is not below a version that it hides");
        self.numbers[at] >= newer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, by trying every reader.
    fn is_needed(pinned: &[u64], ceiling: u64, newer: u64, older: u64) -> bool {
        let sees_older = |reader: u64| older <= reader && reader < newer;
        (0..40).any(|reader| sees_older(reader) && (pinned.contains(&reader) || reader >= ceiling))
    }

    #[test]
    fn a_version_is_hidden_exactly_if_no_reader_sees_it() {
        for bits in 0..64_u64 {
            let pinned: Vec<u64> =
                (0..6).filter(|bit| bits >> bit & 1 == 1).map(|bit| bit * 3 + 1).collect();
            for ceiling in [1, 7, 12, 20] {
                let history = History::new(pinned.iter().copied(), ceiling);
                let below: Vec<u64> =
                    pinned.iter().copied().filter(|number| *number < ceiling).collect();
                for newer in 2..30 {
                    for older in 1..newer {
                        let is_needed = is_needed(&below, ceiling, newer, older);
                        assert_eq!(
                            history.hides(newer, older),
                            !is_needed,
                            "{history:?} {newer} {older}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_horizon_is_the_lowest_number_of_a_reader() {
        assert_eq!(History::new([3, 5, 9].into_iter(), 7).horizon(), 3);
        assert_eq!(History::new([].into_iter(), 7).horizon(), 7);
    }
}
