//! A stretch of entries that a cursor copied out of an engine.

/// Entries one after the other, in the order of the cursor.
#[derive(Clone, Debug, Default)]
pub(super) struct Copied {
    bytes: Vec<u8>,
    ends: Vec<(usize, usize)>,
}

impl Copied {
    /// Forgets the entries and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Copies one entry.
    pub(super) fn push(&mut self, key: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        debug_assert!(key_end <= self.bytes.len());
        self.ends.push((key_end, self.bytes.len()));
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The entry at `at`, in the order of the scan.
    pub(super) fn entry(&self, at: usize) -> (&[u8], &[u8]) {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before].1);
        let (key_end, end) = self.ends[at];
        (&self.bytes[start..key_end], &self.bytes[key_end..end])
    }
}
