//! Segments that the manifest does not name.
//!
//! Such a file is an *orphan* if its content says that the store made it: it has the header of a segment of this store with
//! that id, or it has no whole header, because a crash interrupted its creation. Any other file with such a name is foreign.
//!
//! A segment whose id the manifest never gave out can prove that edits were lost:
//! - It has batches. A segment gets batches only after an edit has given out its id.
//! - Its header contains a later edit number than the last edit that is there. An edit is durable before a header contains
//!   its number.

use std::io::ErrorKind;
use std::path::Path;

use kv::{Error, Result};

use crate::fs::read_whole;
use crate::identity::StoreId;
use crate::log::{SegmentHeader, scan_segment};
use crate::manifest::{LoadedManifest, State};
use crate::store_dir::StoreDir;

/// Checks that the file at `path` in `dir` proves no lost edit. It has the name of segment `id`, which `manifest` never gave
/// out.
///
/// # Errors
/// `Corruption` of the file, or of the manifest; `Io`.
pub fn check_unnamed<S: State>(
    dir: &StoreDir,
    manifest: &LoadedManifest<S>,
    path: &Path,
    id: u64,
) -> Result<()> {
    let bytes = read_whole(&*dir.fs().open(path)?)?;
    let header = SegmentHeader::decode(bytes.bytes(), manifest.store_id(), id, path);
    // A header that is torn or foreign proves nothing.
    let Ok(header) = header else { return Ok(()) };
    manifest.check_seen(header.identity.stamp())?;
    if has_batches(bytes.bytes(), manifest.store_id(), id, path) {
        let what = "this segment has batches, and the manifest never gave out its number";
        return Err(Error::corruption(path, header.format.first_frame(), what));
    }
    Ok(())
}

/// Whether the content of the file at `path` says that `store` made it as segment `id`. `false` for a file that is gone.
///
/// # Errors
/// `Io`.
pub fn is_own(dir: &StoreDir, store: StoreId, id: u64, path: &Path) -> Result<bool> {
    let file = match dir.fs().open(path) {
        // Somebody has removed it.
        Err(error) if error.io_kind() == Some(ErrorKind::NotFound) => return Ok(false),
        opened => opened?,
    };
    Ok(SegmentHeader::may_have_begun(read_whole(&*file)?.bytes(), store, id))
}

/// Whether a segment with a whole header has batches, readable or damaged.
fn has_batches(bytes: &[u8], store: StoreId, id: u64, path: &Path) -> bool {
    let mut any = false;
    let scan = scan_segment(bytes, store, id, path, &mut |_| {
        any = true;
        Ok(())
    });
    any || scan.is_err_and(|error| matches!(error, Error::Corruption { offset, .. } if offset > 0))
}
