//! The calls of the engine, one function for each operation.

use std::ops::Bound;
use std::time::Duration;

use kv::{Durability, KeyRange, Kv, WriteBatch};

use super::window::{EntryStamp, NOT_FOUND, WRONG};
use super::{Client, ClientBuffers, PlannedOperation, Window};
use crate::dataset::Dataset;
use crate::failure::CallOutcome;
use crate::operation::{Operation, RMW_GET, RMW_PUT};
use crate::values::{ValueHeader, digest};

/// How often a stalled write is tried again, with a pause before each time.
const STALL_RETRIES: u64 = 10_000;
const STALL_PAUSE: Duration = Duration::from_millis(1);

impl Client<'_> {
    pub(super) fn get(
        &mut self,
        planned: PlannedOperation,
        buffers: &mut ClientBuffers,
    ) -> CallOutcome {
        self.dataset.keys.write_key(planned.id, &mut buffers.key);
        let is_timed = self.timer.begin_operation();
        self.call_get(planned, buffers, is_timed, Operation::Get as usize)
    }

    pub(super) fn get_miss(
        &mut self,
        planned: PlannedOperation,
        buffers: &mut ClientBuffers,
    ) -> CallOutcome {
        self.dataset.keys.write_missing_key(planned.id, &mut buffers.key);
        let is_timed = self.timer.begin_operation();
        self.call_get(planned, buffers, is_timed, Operation::GetMiss as usize)
    }

    /// Reads the key in `buffers` and stamps the answer. The time of the call belongs to `kind`.
    fn call_get(
        &mut self,
        planned: PlannedOperation,
        buffers: &mut ClientBuffers,
        is_timed: bool,
        kind: usize,
    ) -> CallOutcome {
        let (engine, dataset, key) = (self.engine, self.dataset, &buffers.key);
        self.timer.call(is_timed, kind, &mut buffers.window, |window| {
            let (mut stamp, mut bytes) = (NOT_FOUND, 0);
            let found = engine.get_with(key, &mut |value| {
                bytes = key.len() + value.len();
                stamp = match ValueHeader::read(value) {
                    Some(header) if header.id == planned.id && header.version != NOT_FOUND => {
                        header.version
                    }
                    _ => complain_of_value(dataset, planned.id, value, window),
                };
            })?;
            let has_value = stamp != NOT_FOUND;
            if found != has_value {
                stamp = complain(window, || {
                    let value = if has_value { "a" } else { "no" };
                    format!("get returned {found} and delivered {value} value")
                });
            }
            let sums = &mut window.sums[planned.operation as usize];
            sums.calls += 1;
            sums.bytes_read += bytes as u64;
            debug_assert!(window.answers.len() < window.answers.capacity(), "answers never grow");
            window.answers.push(stamp);
            Ok(())
        })
    }

    /// Puts or deletes.
    pub(super) fn write(
        &mut self,
        planned: PlannedOperation,
        buffers: &mut ClientBuffers,
    ) -> CallOutcome {
        self.add_to_batch(planned, buffers);
        if self.batch > 1 {
            buffers.pending_writes += 1;
            return if buffers.pending_writes >= self.batch {
                self.write_pending(buffers, planned.operation)
            } else {
                Ok(())
            };
        }
        let is_timed = self.timer.begin_operation();
        self.call_write(planned.operation, buffers, is_timed, planned.operation as usize)?;
        buffers.batch.clear();
        Ok(())
    }

    /// Adds the write to the batch in `buffers`. A single write is a batch of one.
    fn add_to_batch(&self, planned: PlannedOperation, buffers: &mut ClientBuffers) {
        self.dataset.keys.write_key(planned.id, &mut buffers.key);
        let written = if planned.operation == Operation::Delete {
            buffers.batch.delete(&buffers.key);
            buffers.key.len()
        } else {
            let value = buffers.values.seal_next(planned.id, planned.version, planned.length);
            buffers.batch.put(&buffers.key, value);
            buffers.key.len() + value.len()
        };
        buffers.window.sums[planned.operation as usize].bytes_written += written as u64;
    }

    /// Writes the pending batch, if there is one. Its time counts for `operation`.
    pub(super) fn write_pending(
        &mut self,
        buffers: &mut ClientBuffers,
        operation: Operation,
    ) -> CallOutcome {
        if buffers.pending_writes == 0 {
            return Ok(());
        }
        let is_timed = self.timer.begin_operation();
        self.call_write(operation, buffers, is_timed, operation as usize)?;
        buffers.batch.clear();
        buffers.pending_writes = 0;
        Ok(())
    }

    /// Writes the batch in `buffers`; a stalled engine is asked again. The time of the call belongs to `kind`.
    fn call_write(
        &mut self,
        operation: Operation,
        buffers: &mut ClientBuffers,
        is_timed: bool,
        kind: usize,
    ) -> CallOutcome {
        let (engine, durability, batch) = (self.engine, self.durability, &buffers.batch);
        // A later write to a key takes the place of an earlier one.
        debug_assert!((1..=buffers.pending_writes.max(1)).contains(&batch.len()));
        self.timer.call(is_timed, kind, &mut buffers.window, |window| {
            let sums = &mut window.sums[operation as usize];
            sums.calls += 1;
            write_patiently(engine, batch, durability, &mut sums.retries)
        })
    }

    /// Reads a key and writes it back. It counts as one call; its two parts are timed one by one.
    pub(super) fn read_modify_write(
        &mut self,
        planned: PlannedOperation,
        buffers: &mut ClientBuffers,
    ) -> CallOutcome {
        self.dataset.keys.write_key(planned.id, &mut buffers.key);
        let is_timed = self.timer.begin_operation();
        self.call_get(planned, buffers, is_timed, RMW_GET)?;
        self.add_to_batch(planned, buffers);
        self.call_write(planned.operation, buffers, is_timed, RMW_PUT)?;
        buffers.batch.clear();
        buffers.window.sums[planned.operation as usize].calls -= 1;
        Ok(())
    }

    pub(super) fn scan(
        &mut self,
        planned: PlannedOperation,
        buffers: &mut ClientBuffers,
    ) -> CallOutcome {
        self.dataset.keys.write_key(planned.id, &mut buffers.key);
        let range = scan_range(&buffers.key, self.prefix_bytes);
        let is_timed = self.timer.begin_operation();
        let (engine, dataset) = (self.engine, self.dataset);
        let kind = Operation::Scan as usize;
        self.timer.call(is_timed, kind, &mut buffers.window, |window| {
            let (mut entries, mut bytes) = (0, 0);
            let mut cursor = engine.scan(range)?;
            while entries < planned.length && cursor.next()? {
                let (key, value) = cursor.entry()?;
                bytes += key.len() + value.len();
                stamp_entry(dataset, key, value, window);
                entries += 1;
            }
            // The end of the frozen view is part of the work.
            drop(cursor);
            let sums = &mut window.sums[kind];
            sums.calls += 1;
            sums.bytes_read += bytes as u64;
            window.answers.push(entries);
            Ok(())
        })
    }
}

/// Writes `batch`; a stalled engine is asked again, which adds to `retries`.
#[inline]
pub(crate) fn write_patiently(
    engine: &dyn Kv,
    batch: &WriteBatch,
    durability: Durability,
    retries: &mut u64,
) -> CallOutcome {
    let mut tries = 0;
    while let Err(error) = engine.write(batch, durability) {
        if !matches!(error, kv::Error::Stalled { .. }) || tries == STALL_RETRIES {
            return Err(error.into());
        }
        tries += 1;
        *retries += 1;
        std::thread::sleep(STALL_PAUSE);
    }
    Ok(())
}

/// The range of a scan from `key` on.
pub(crate) fn scan_range(key: &[u8], prefix_bytes: Option<usize>) -> KeyRange {
    match prefix_bytes {
        Some(bytes) => KeyRange::prefix(&key[..bytes.min(key.len())]),
        None => KeyRange::new((Bound::Included(key), Bound::Unbounded)),
    }
}

/// Stamps an entry of a scan. The judge makes the key again from the id and compares digests.
#[inline]
pub(crate) fn stamp_entry(dataset: &Dataset, key: &[u8], value: &[u8], window: &mut Window) {
    let (id, version) = match ValueHeader::read(value) {
        Some(header) if header.id < dataset.capacity => (header.id, header.version),
        _ => (complain_of_entry(key, value, window), 0),
    };
    debug_assert!(window.entries.len() < window.entries.capacity(), "entries never grow");
    window.entries.push(EntryStamp { id, version, key_digest: digest(key) });
}

#[cold]
fn complain_of_value(dataset: &Dataset, id: u32, value: &[u8], window: &mut Window) -> u32 {
    complain(window, || {
        let key = dataset.show_key(id);
        match ValueHeader::read(value) {
            Some(header) => format!("{key} has the value of key number {}", header.id),
            None => format!("{key} has a {}", ValueHeader::complaint(value)),
        }
    })
}

#[cold]
fn complain_of_entry(key: &[u8], value: &[u8], window: &mut Window) -> u32 {
    complain(window, || {
        let complaint = ValueHeader::complaint(value);
        format!("a scan found key \"{}\" with a {complaint}", key.escape_ascii())
    })
}

/// Keeps the first complaint and returns the stamp of a wrong answer.
fn complain(window: &mut Window, text: impl FnOnce() -> String) -> u32 {
    window.complaint.get_or_insert_with(text);
    WRONG
}
