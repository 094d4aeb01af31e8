//! The capabilities of the engine.

use kv::{Capabilities, Durability, ScanSupport};

/// The longest value, in bytes.
const MAX_VALUE_LEN: usize = 1 << 30;

const _: () = assert!(MAX_VALUE_LEN <= sstable::MAX_VALUE_LEN, "a table holds every value");

/// The capabilities of the engine.
pub(crate) const CAPABILITIES: Capabilities =
    Capabilities::new(ScanSupport::Ordered, Durability::Sync)
        .with_range_delete()
        .with_max_value_len(MAX_VALUE_LEN);
