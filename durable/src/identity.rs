//! Which store a file belongs to, and how far that store had come when the file was made.

use std::fmt;

use crate::entropy::Entropy;

/// The random name of a store, the same in all its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StoreId(pub [u8; 16]);

impl StoreId {
    /// A random id: all of its bytes come from `entropy`.
    pub fn random(entropy: &dyn Entropy) -> Self {
        let halves = [entropy.next_u64(), entropy.next_u64()].map(u64::to_le_bytes);
        Self(std::array::from_fn(|at| halves[at / 8][at % 8]))
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// How far a store has come. Other files of the store carry the stamp in their headers, and the next opening holds them
/// against the manifest ([`LoadedManifest::check_seen`](crate::manifest::LoadedManifest::check_seen)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// How often the store was opened for writing.
    pub open_epoch: u64,
    /// The number of the newest durable edit of the manifest.
    pub edit_number: u64,
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use crate::SeededEntropy;

    #[test]
    fn ids_take_all_bytes_of_the_entropy() {
        let entropy = SeededEntropy::new(7);
        let (first, second) = (StoreId::random(&entropy), StoreId::random(&entropy));
        assert!(first.0.iter().zip(second.0).filter(|(a, b)| **a != *b).count() > 8);
        assert_eq!(StoreId([0xa5; 16]).to_string(), "a5".repeat(16));
    }
}
