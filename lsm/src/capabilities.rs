//! The capabilities of the engine.

use kv::{Capabilities, Durability, ScanSupport};

use crate::expiring::END_BYTES;

/// The longest value, in bytes.
const MAX_VALUE_LEN: usize = 1 << 30;

const _: () =
    assert!(MAX_VALUE_LEN <= sstable::MAX_VALUE_LEN - END_BYTES, "a table holds every value");

/// The capabilities of the engine.
pub(crate) const CAPABILITIES: Capabilities =
    Capabilities::new(ScanSupport::Ordered, Durability::Sync)
        .with_expiry()
        .with_range_delete()
        .with_max_value_len(MAX_VALUE_LEN);
