//! Reads that no order of the transactions explains.

use super::anomaly::AnomalyKind;
use super::model::{KeyId, ValueId};

/// A read of a value that no committed transaction left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReadFault {
    pub(super) kind: AnomalyKind,
    pub(super) reader: u32,
    pub(super) key: KeyId,
    pub(super) value: ValueId,
    /// The transaction that wrote the value, or that read a list which contradicts it.
    pub(super) other: Option<u32>,
    /// The value that the transaction itself had written before.
    pub(super) expected: Option<ValueId>,
}
