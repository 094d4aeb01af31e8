//! The bytes that the reads of one thread must have returned in a window.
//!
//! The seal of a value covers the bytes that came back, so it cannot show that they are fewer than were put. A stamp has no
//! room for a length. But the loop adds up the bytes of all answers of an operation, and the replay knows the length of each
//! right one: so the sums are compared.

use crate::client::Window;
use crate::dataset::Dataset;
use crate::failure::{Failure, Outcome};
use crate::model::Model;
use crate::operation::Operation;

/// The expected sums, by operation.
#[derive(Debug)]
pub(super) struct ReadBytes {
    /// `None` where the length of some answer is not known.
    sums: [Option<u64>; Operation::ALL.len()],
}

impl ReadBytes {
    /// No read so far.
    pub(super) fn new() -> Self {
        Self { sums: [Some(0); Operation::ALL.len()] }
    }

    /// Adds an answer of so many bytes to those of `operation`; `None`: nobody knows how many.
    pub(super) fn add(&mut self, operation: Operation, bytes: Option<u64>) {
        let sum = &mut self.sums[operation as usize];
        *sum = sum.zip(bytes).map(|(sum, bytes)| sum + bytes);
    }

    /// Compares the sums with those of `window`.
    pub(super) fn check(&self, window: &Window) -> Outcome<()> {
        for operation in Operation::ALL {
            let Some(expected) = self.sums[operation as usize] else { continue };
            let returned = window.sums[operation as usize].bytes_read;
            if returned != expected {
                let reads = match operation {
                    Operation::Scan => "scans",
                    Operation::ReadModifyWrite => "gets of read-modify-writes",
                    _ => "gets",
                };
                return Err(Failure::wrong_data(format!(
                    "{reads} returned {returned} bytes where {expected} were expected"
                )));
            }
        }
        Ok(())
    }
}

/// The bytes of the value that a right read of `id` returns. If `is_exact`, it returns the newest one by `model`; if not, any
/// of several versions, whose length is known only where all of them have the same.
pub(super) fn value_bytes(
    dataset: &Dataset,
    model: &Model,
    id: u32,
    is_exact: bool,
) -> Option<u64> {
    if is_exact {
        return Some(u64::from(model.value_bytes(id)));
    }
    let size = dataset.common_value_bytes?;
    Some(u64::from(dataset.value_bytes(id, size)))
}
