//! The name of a table in its own file.

use std::fmt;

use durable::Entropy;

/// A random name that a table carries in its footer. The checksums of its blocks are seeded with it, so a block of another
/// table does not count in this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TableId(pub [u8; 16]);

impl TableId {
    /// A random id.
    pub fn random(entropy: &dyn Entropy) -> Self {
        let halves = [entropy.next_u64(), entropy.next_u64()].map(u64::to_le_bytes);
        Self(std::array::from_fn(|at| halves[at / 8][at % 8]))
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
