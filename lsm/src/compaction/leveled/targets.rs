//! The sizes that levels should have.

use super::super::file::Key;
use super::super::options::LeveledOptions;
use super::super::run::Level;
use super::super::tree::Tree;

/// The target of each level, from the largest level upwards.
///
/// The target of the last level is the size of the largest level. Each level above has `1 / fan_out` of the next one. So the
/// levels above the last add at most `1 / (fan_out - 1)` to the space, whatever the size of the store. The first level with
/// at most `base_bytes` is the base: level 0 is compacted into it. The levels between the two should be empty.
///
/// A multiplier smoothed between the base and the last level would need less writing just after the tree has become
/// deeper. But it would need more space, up to `1 / (sqrt(fan_out) - 1)`. The bound of the space was preferred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Targets {
    /// The level that level 0 is compacted into, unless a level above it has files.
    pub(super) base: usize,
    /// The bytes of each level; 0 above the base.
    pub(super) bytes: Vec<u64>,
}

impl Targets {
    pub(super) fn of<K: Key>(tree: &Tree<K>, options: &LeveledOptions) -> Self {
        let last = tree.last_level();
        let largest = tree.levels()[1..].iter().map(Level::bytes).max().unwrap_or(0);
        let mut bytes = vec![0; last + 1];
        let (mut base, mut target) = (last, largest);
        bytes[last] = target;
        while target > options.base_bytes && base > 1 {
            (base, target) = (base - 1, target / options.fan_out);
            bytes[base] = target;
        }
        debug_assert!(bytes[1..].is_sorted(), "deeper levels are larger");
        debug_assert!(
            bytes[1..base].iter().all(|bytes| *bytes == 0),
            "nothing stays above the base"
        );
        debug_assert!(base == 1 || bytes[base] <= options.base_bytes, "the base is small");
        Self { base, bytes }
    }

    /// The target of `level` without jumps, for the estimate of the debt. The target of the base grows from
    /// `base_bytes / fan_out`, where it becomes the base, to `base_bytes`. Here it grows from 0.
    pub(super) fn smooth(&self, level: usize, options: &LeveledOptions) -> u64 {
        let target = self.bytes[level];
        if level != self.base || target > options.base_bytes {
            return target;
        }
        let start = options.base_bytes / options.fan_out;
        let over_start = u128::from(target.saturating_sub(start));
        let smooth =
            over_start * u128::from(options.base_bytes) / u128::from(options.base_bytes - start);
        debug_assert!(smooth <= u128::from(target), "the smooth target is not above the true one");
        smooth as u64
    }
}
