//! How many keys have an entry in a window of operations: the footprint of a workload.

/// Averages over the keys of a range, for the operations of a window. Of the operations on a key the last one counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Density {
    /// The share of the keys with an entry.
    pub(super) entries: f64,
    /// The share of the keys whose entry is a tombstone.
    pub(super) tombstones: f64,
    /// The bytes of all entries, for each key.
    pub(super) bytes: f64,
    /// The bytes of the tombstones among them.
    pub(super) tombstone_bytes: f64,
}

impl Density {
    /// Without the tombstones.
    pub(super) fn purged(self) -> Self {
        debug_assert!(self.tombstones <= self.entries + 1e-9, "a tombstone is an entry");
        Self {
            entries: self.entries - self.tombstones,
            tombstones: 0.0,
            bytes: self.bytes - self.tombstone_bytes,
            tombstone_bytes: 0.0,
        }
    }
}

/// The footprint of a workload over a number of keys.
pub(super) trait Footprint {
    /// The densities after `window` operations on the whole key space, beginning anywhere. They rise with the window.
    fn at(&self, window: f64) -> Density;

    /// A window after which every key has an entry, for all purposes.
    fn complete(&self) -> f64;

    /// The mean bytes of an operation as the user counts them.
    fn operation_bytes(&self) -> f64;

    /// The window with this share of keys.
    fn window_with(&self, entries: f64) -> f64 {
        self.solve(|density| density.entries, entries)
    }

    /// The window with so many bytes for each key.
    fn window_of_bytes(&self, bytes: f64) -> f64 {
        self.solve(|density| density.bytes, bytes)
    }

    /// Halves the interval in which the rising function `of` reaches `wanted`.
    fn solve(&self, of: impl Fn(Density) -> f64, wanted: f64) -> f64 {
        let (mut low, mut high) = (0.0, self.complete());
        if of(self.at(high)) <= wanted {
            return high;
        }
        while high - low > high * 1e-9 {
            // Windows differ by powers of ten: the middle is the geometric one, once there is a lower end.
            let middle = if low > 0.0 { f64::sqrt(low * high) } else { high * 1e-3 };
            if middle < 1e-6 {
                return 0.0;
            }
            if of(self.at(middle)) < wanted { low = middle } else { high = middle }
        }
        high
    }
}

/// Every key equally likely: `1 - exp(-window / keys)` of the keys have an entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct UniformFootprint {
    pub(super) keys: f64,
    pub(super) entry_bytes: f64,
}

impl Footprint for UniformFootprint {
    fn at(&self, window: f64) -> Density {
        let entries = -f64::exp_m1(-window / self.keys);
        Density { entries, bytes: entries * self.entry_bytes, ..Density::default() }
    }

    fn complete(&self) -> f64 {
        // All but 10^-13 of the keys.
        self.keys * 30.0
    }

    fn operation_bytes(&self) -> f64 {
        self.entry_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_of_a_density_has_that_density() {
        let uniform = UniformFootprint { keys: 1e9, entry_bytes: 116.0 };
        for entries in [1e-7, 0.001, 0.3, 0.99] {
            let found = uniform.at(uniform.window_with(entries)).entries;
            assert!((found / entries - 1.0).abs() < 1e-6, "{found} for {entries}");
        }
    }
}
