//! When a file is compacted for the sake of the space that this reclaims.

use super::invalid_options::{InvalidOptions, require};

/// The parameters of compactions that remove tombstones, expired entries and hidden ones.
///
/// Dead entries are tombstones and entries that have expired for every reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReclaimOptions {
    /// A file with at least this share of dead entries is compacted, 1 to 100.
    pub dense_percent: u64,
    /// A file is compacted if blocks with many tombstones have at least this share of its bytes, 1 to 100.
    pub dense_block_percent: u64,
    /// An idle device rewrites a file, if nothing older lies below it and at least this share of its entries is obsolete,
    /// 1 to 100. Obsolete entries are tombstones and those that newer ones hide.
    pub elide_percent: u64,
    /// A file with a dead entry and at least this age is compacted, in the unit of [`Tree::now`](super::Tree::now).
    pub max_age: Option<u64>,
}

impl Default for ReclaimOptions {
    fn default() -> Self {
        Self { dense_percent: 50, dense_block_percent: 10, elide_percent: 10, max_age: None }
    }
}

impl ReclaimOptions {
    pub(super) fn validate(self) -> Result<(), InvalidOptions> {
        let is_percent = |value: u64| (1..=100).contains(&value);
        require(is_percent(self.dense_percent), "dense_percent is 1 to 100")?;
        require(is_percent(self.dense_block_percent), "dense_block_percent is 1 to 100")?;
        require(is_percent(self.elide_percent), "elide_percent is 1 to 100")
    }
}
