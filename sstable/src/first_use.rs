//! Which blocks of a mapped table were checked already.

use std::sync::atomic::{AtomicU64, Ordering};

/// One bit for each slot of a file. A set bit says that the bytes of the slot were checked. The bytes do not change, and
/// the bits publish no data. So two threads may check the same slot at the same time, and relaxed accesses are enough.
#[derive(Debug)]
pub(crate) struct FirstUse {
    bits: Box<[AtomicU64]>,
}

impl FirstUse {
    /// No slot of `slots` was checked.
    pub(crate) fn new(slots: usize) -> Self {
        let words = slots.div_ceil(u64::BITS as usize);
        Self { bits: (0..words).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Whether `slot` was checked.
    #[inline]
    pub(crate) fn is_checked(&self, slot: usize) -> bool {
        let word = self.bits[slot / 64].load(Ordering::Relaxed);
        word >> (slot % 64) & 1 == 1
    }

    /// Notes that `slot` was checked. Returns whether that is new: of several threads, one gets `true`.
    pub(crate) fn set_checked(&self, slot: usize) -> bool {
        let bit = 1 << (slot % 64);
        let before = self.bits[slot / 64].fetch_or(bit, Ordering::Relaxed);
        debug_assert!(self.is_checked(slot), "no bit is ever cleared");
        before & bit == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_checked_one_by_one() {
        let first_use = FirstUse::new(130);
        for slot in [0, 63, 64, 129] {
            assert!(!first_use.is_checked(slot));
            assert!(first_use.set_checked(slot));
            assert!(!first_use.set_checked(slot), "it is new once");
        }
        assert_eq!((0..130).filter(|slot| first_use.is_checked(*slot)).count(), 4);
    }
}
