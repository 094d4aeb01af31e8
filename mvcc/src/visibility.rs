//! The two pure rules: which version a snapshot sees, and which versions have to be kept.

use kv::SequenceNumber;

/// Whether a version that was committed with number `version` is visible to the snapshot with number `snapshot`.
///
/// Of the visible versions of a key the newest one counts; if that is a tombstone, the key is absent. No list of
/// transactions in flight is needed, because uncommitted writes never enter the store.
///
/// ```
/// use kv::SequenceNumber;
/// let snapshot = SequenceNumber(7);
/// assert!(mvcc::is_visible(SequenceNumber(7), snapshot));
/// assert!(!mvcc::is_visible(SequenceNumber(8), snapshot));
/// ```
#[inline]
pub fn is_visible(version: SequenceNumber, snapshot: SequenceNumber) -> bool {
    version <= snapshot
}

/// The snapshots that can be read, now or later: the pinned ones, and all from a floor on.
///
/// ```
/// use kv::SequenceNumber as N;
/// let horizon = mvcc::Horizon::new(vec![N(3)], N(9));
/// assert!(horizon.needs(N(2), N(5))); // the snapshot at 3 sees the version of 2
/// assert!(!horizon.needs(N(5), N(8))); // no snapshot from 5 to 7 can be read
/// assert!(horizon.needs(N(8), N(10))); // the floor sees the version of 8
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Horizon {
    /// Ascending, each once.
    pinned: Vec<SequenceNumber>,
    floor: SequenceNumber,
}

impl Horizon {
    /// The snapshots with these numbers, and all that are not less than `floor`.
    ///
    /// # Panics
    /// When `pinned` is not ascending.
    pub fn new(pinned: Vec<SequenceNumber>, floor: SequenceNumber) -> Self {
        assert!(pinned.is_sorted_by(|a, b| a < b), "each pinned number once, in ascending order");
        Self { pinned, floor }
    }

    /// The least number from which on every snapshot can be read.
    pub fn floor(&self) -> SequenceNumber {
        self.floor
    }

    /// Whether a snapshot that can be read sees the version of `version`, which the version of `replaced_by` has replaced.
    #[inline]
    pub fn needs(&self, version: SequenceNumber, replaced_by: SequenceNumber) -> bool {
        debug_assert!(version < replaced_by, "versions of a key ascend");
        // The snapshot at the greater of floor and version sees it.
        if !is_visible(replaced_by, self.floor) {
            return true;
        }
        // The least pinned snapshot that sees the version must not see the one that replaced it.
        let at = self.pinned.partition_point(|&pinned| !is_visible(version, pinned));
        self.pinned.get(at).is_some_and(|&pinned| !is_visible(replaced_by, pinned))
    }

    /// Whether a tombstone without older versions can go: every snapshot that can be read contains it. While an older snapshot
    /// is pinned, the tombstone is the only sign that the key was written after that snapshot.
    #[inline]
    pub fn outlived(&self, tombstone: SequenceNumber) -> bool {
        let is_in = |&snapshot: &SequenceNumber| is_visible(tombstone, snapshot);
        is_in(&self.floor) && self.pinned.first().is_none_or(is_in)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every horizon over numbers up to 6, against the definition.
    #[test]
    fn a_version_is_needed_exactly_if_a_readable_snapshot_sees_it() {
        const LAST: u64 = 6;
        for pins in 0_u64..1 << LAST {
            let pinned: Vec<_> =
                (0..LAST).filter(|bit| pins >> bit & 1 == 1).map(SequenceNumber).collect();
            for floor in 0..=LAST {
                let horizon = Horizon::new(pinned.clone(), SequenceNumber(floor));
                let readable = |s: &u64| *s >= floor || pinned.contains(&SequenceNumber(*s));
                for version in 0..LAST {
                    for replaced_by in version + 1..=LAST {
                        let sees = |s: &u64| version <= *s && *s < replaced_by;
                        let expected = (0..=2 * LAST).filter(readable).any(|s| sees(&s));
                        let (old, new) = (SequenceNumber(version), SequenceNumber(replaced_by));
                        assert_eq!(horizon.needs(old, new), expected, "{horizon:?} {old} {new}");
                    }
                    let expected = (0..=2 * LAST).filter(readable).all(|s| version <= s);
                    assert_eq!(horizon.outlived(SequenceNumber(version)), expected, "{horizon:?}");
                }
            }
        }
    }
}
