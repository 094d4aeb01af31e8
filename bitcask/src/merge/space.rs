//! The disk space that a merge needs before it copies anything.

use std::io;

use kv::{Error, Result};

use crate::components::Components;

/// Free bytes that a merge leaves unused, in addition to its copies and a quarter of them for hints.
const MARGIN: u64 = 16 << 10;

/// How many bytes of records a merge can copy onto the disk, with the space of the disk reserve.
pub(super) fn room(parts: &Components) -> Result<u64> {
    let reserve = parts.store.reserve();
    let reserved = if reserve.is_released() { 0 } else { reserve.bytes() };
    Ok(copies_in(free_space(parts)? + reserved))
}

/// Checks that the disk has room for copies of `live` bytes. Releases the disk reserve if its space suffices. The merge
/// frees more space than it uses.
///
/// # Errors
/// `Io`, with `StorageFull` when there is no room.
pub(super) fn check(parts: &Components, live: u64) -> Result<()> {
    if live <= copies_in(free_space(parts)?) {
        return Ok(());
    }
    let reserve = parts.store.reserve();
    if live <= room(parts)? && reserve.release()? && live <= copies_in(free_space(parts)?) {
        return Ok(());
    }
    let source = io::Error::from(io::ErrorKind::StorageFull);
    Err(Error::io("merge into", parts.store.path(), source))
}

fn free_space(parts: &Components) -> Result<u64> {
    parts.store.fs().free_space(parts.store.path())
}

/// How many bytes of records `free` bytes have room for, with their hint files and a margin.
fn copies_in(free: u64) -> u64 {
    free.saturating_sub(MARGIN) / 5 * 4
}
