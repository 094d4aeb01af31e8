//! How much was written to a log.

/// How much was written to a log through one handle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteCounts {
    /// Batches.
    pub batches: u64,
    /// Puts in them.
    pub puts: u64,
    /// Deletes in them.
    pub deletes: u64,
    /// Bytes of keys and values in them.
    pub user_bytes: u64,
    /// Bytes that were appended for them.
    pub log_bytes: u64,
}

impl WriteCounts {
    /// Counts a batch that took `log_bytes`. Each of its `operations` is a put or not, and has so many bytes of key and value.
    ///
    /// # Panics
    /// In debug builds, for a batch without bytes.
    #[inline]
    pub fn add(&mut self, log_bytes: u64, operations: impl Iterator<Item = (bool, u64)>) {
        debug_assert!(log_bytes > 0, "a batch has bytes");
        self.batches += 1;
        self.log_bytes += log_bytes;
        for (is_put, user_bytes) in operations {
            self.puts += u64::from(is_put);
            self.deletes += u64::from(!is_put);
            self.user_bytes += user_bytes;
        }
    }
}
