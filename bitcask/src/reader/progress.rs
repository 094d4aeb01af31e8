//! How far a reader has read the store, so that a refresh reads only newer files.

use std::collections::BTreeSet;
use std::sync::Arc;

use durable::log::chain::ChainTail;
use durable::log::{FRAME_HEADER_LEN, SEGMENT_HEADER_LEN, SegmentFormat, StoreId};
use durable::manifest::{LoadedManifest, Manifest, Stamp};
use durable::store_dir::StoreDir;
use kv::Result;

use crate::file_handle::FileRegistry;
use crate::files::DATA;
use crate::recovery::FileHandles;
use crate::state::State;

/// Where the next frame of an unsealed file will start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileEnd {
    /// The file has frames; the next one starts at this offset.
    At(u64),
    /// The reader has seen no frame: the first one starts after header and witness.
    NoFrames,
}

/// Where a writer may append next: in the last unsealed file with frames, or in one after it.
#[derive(Debug)]
pub(super) struct LogEnds(Vec<(u64, FileEnd)>);

impl LogEnds {
    /// The ends in `tail`, read by the manifest's `state`.
    pub(super) fn new(tail: &ChainTail, state: &State) -> Self {
        let last = tail.kept.last().map(|kept| (kept.id(), FileEnd::At(kept.len)));
        let unsealed = state.files.iter().filter(|(_, sealed)| sealed.is_none());
        let after =
            unsealed.map(|(&id, _)| id).filter(|&id| last.is_none_or(|(last, _)| id > last));
        Self(last.into_iter().chain(after.map(|id| (id, FileEnd::NoFrames))).collect())
    }

    /// Whether a file has bytes where its next frame would start.
    fn have_moved(&self, dir: &StoreDir) -> Result<bool> {
        for &(id, end) in &self.0 {
            let file = dir.fs().open(&dir.file(&DATA.name(id)))?;
            let end = match end {
                FileEnd::At(end) => end,
                FileEnd::NoFrames => first_frame(&*file)?,
            };
            let mut next = [0; FRAME_HEADER_LEN];
            if file.len()? >= end + next.len() as u64 {
                file.read_at(end, &mut next)?;
            }
            // A writer writes zeros ahead of the frames, and no header of a frame is zero.
            if next.iter().any(|&byte| byte != 0) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Where the frames of a log file start. A file without a header has no frames, so 64 serves as well as any later offset.
fn first_frame(file: &dyn durable::File) -> Result<u64> {
    let mut header = [0; SEGMENT_HEADER_LEN as usize];
    if file.len()? >= SEGMENT_HEADER_LEN {
        file.read_at(0, &mut header)?;
    }
    let first = SegmentFormat::of(&header).map_or(SEGMENT_HEADER_LEN, SegmentFormat::first_frame);
    Ok(first)
}

/// How far a reader has read the store.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) store: StoreId,
    pub(super) stamp: Stamp,
    /// The newest write that was read.
    pub(super) newest: u64,
    /// The seed of the keydir.
    pub(super) seed: u64,
    pub(super) registry: Arc<FileRegistry>,
    /// The files that the keydir may name.
    pub(super) handles: FileHandles,
    /// The files among them that were loaded as sealed files.
    pub(super) sealed: BTreeSet<u64>,
    pub(super) log_ends: LogEnds,
}

impl Progress {
    /// Whether `manifest` is a later state of the store that was read, in the same opening.
    pub(super) fn can_continue_to(&self, manifest: &LoadedManifest<State>) -> bool {
        let stamp = manifest.stamp();
        self.store == manifest.store_id()
            && self.stamp.open_epoch == stamp.open_epoch
            && self.stamp.edit_number <= stamp.edit_number
    }

    /// Whether nothing was written since: the manifest is the same, and the log has no new frame.
    pub(super) fn is_unchanged(&self, dir: &StoreDir) -> Result<bool> {
        let manifest = Manifest::<State>::read(dir)?;
        let is_same = self.store == manifest.store_id() && self.stamp == manifest.stamp();
        Ok(is_same && !self.log_ends.have_moved(dir)?)
    }
}
