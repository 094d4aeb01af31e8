//! The capabilities of the engine, the same for a store that is open for writing and for a reader.

use kv::{Capabilities, Durability, ScanSupport};

/// The longest value, in bytes.
const MAX_VALUE_LEN: usize = 1 << 30;

/// The capabilities of the engine.
pub(crate) const CAPABILITIES: Capabilities =
    Capabilities::new(ScanSupport::Sorting, Durability::Sync)
        .with_expiry()
        .with_max_value_len(MAX_VALUE_LEN);
