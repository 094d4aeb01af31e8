//! All bytes of a file at once.

use std::io;
use std::sync::Arc;

use kv::{Error, Result};

use super::file::{Access, File, Mapped};

/// All bytes of a file that no longer changes, for one pass over it: opening, merging and verifying read so. They are
/// mapped, and the pages that the pass brings into memory leave it when the value is dropped. When the process can have
/// no further mapping, the bytes are copied, as [`copy_whole`] does.
///
/// # Errors
/// `Io`.
pub fn read_whole(file: &dyn File) -> Result<Arc<dyn Mapped>> {
    match file.map(Access::Sequential) {
        Err(error) if error.is_out_of_resources() => Ok(Arc::new(copy_whole(file)?)),
        mapped => mapped,
    }
}

/// A copy of all bytes of a file, which may change later on.
///
/// # Errors
/// `Io`; with `OutOfMemory` when they do not fit into memory.
pub fn copy_whole(file: &dyn File) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let reserved = bytes.try_reserve_exact(file.len()? as usize);
    reserved.map_err(|_| Error::io("read", file.path(), io::ErrorKind::OutOfMemory.into()))?;
    file.read_in_pieces(&mut |offset, piece| {
        debug_assert_eq!(offset, bytes.len() as u64, "pieces come in order, without gaps");
        bytes.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(bytes)
}

/// A copy of the bytes of a file.
impl Mapped for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
}
