//! The mistake of a recovery that does not compare the tail of the log with its witness.

use std::path::Path;
use std::sync::Arc;

use kv::Result;

use crate::fs::{Fs as _, Mapped, copy_whole};
use crate::identity::StoreId;
use crate::log::{SEGMENT_HEADER_LEN, Segment, SegmentHeader};
use crate::sim_fs::SimFs;

/// The bytes of segment `id` of `store` with the claims that its witness began with. Other bytes stay as they are.
pub(super) fn forget(bytes: Arc<dyn Mapped>, store: StoreId, id: u64) -> Arc<dyn Mapped> {
    let begun = begun(bytes.bytes(), store, id).unwrap_or_default();
    let Some(frames) = bytes.bytes().get(begun.len()..) else { return bytes };
    Arc::new([&begun, frames].concat())
}

/// All bytes of that segment before its first frame, as they were when it was begun.
fn begun(bytes: &[u8], store: StoreId, id: u64) -> Result<Vec<u8>> {
    let path = Path::new("/segment");
    let header = SegmentHeader::decode(bytes, store, id, path)?;
    let (disk, layout) = (SimFs::new(), header.format.layout());
    let file = Segment::create_file(&disk, path, SEGMENT_HEADER_LEN, layout, header.identity)?;
    Segment::begin(&disk, file)?;
    let mut begun = copy_whole(&*disk.open(path)?)?;
    begun.truncate(layout.first_frame() as usize);
    assert_eq!(SegmentHeader::decode(&begun, store, id, path)?, header, "the newest format");
    Ok(begun)
}
