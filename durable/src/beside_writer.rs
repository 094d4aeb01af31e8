//! Loading a store beside its writer: what readers of all engines share.
//!
//! A reader takes no lock, and changes nothing on the disk ([`ReadOnlyFs`]). It loads one moment of the
//! store. [`load`] runs attempts of these steps:
//! 1. List the directory, then read the manifest. A segment gets batches only after a manifest names it. So if a listed
//!    segment has batches and this manifest does not name it, the manifest is damaged.
//! 2. Open every immutable file at once. From then on an unlink has no effect on them.
//! 3. Copy the segments of the log into memory, the newest first ([`copy_segments`]). Reason: if a copy has a batch, the
//!    segment before it had already ended. So the copy of that one, made later, contains its end mark. The copies are needed
//!    because a writer may cut a segment, unlink it, or write it again.
//! 4. Load the files by the rules of recovery.
//! 5. Read the manifest again: the store must be in the same opening as in step 1.
//!
//! The manifest of step 1 names every file that had a batch at that time. So the moment that is loaded has all that was
//! acknowledged before step 1. It may have later batches as well, of which no earlier one is missing.
//!
//! # Damage, or a writer at work
//!
//! Three things that a writer does look like damage to a reader beside it:
//! - it unlinks a file that the manifest of step 1 names;
//! - it cuts a file while the reader copies it;
//! - it appends a record after the one that the reader is copying: the copy then holds a part of the first record, and a
//!   later record that proves the first one durable.
//!
//! So after such a failure the reader tries again, 16 times in all. If the next attempt fails with the same error under the
//! same manifest, the store is damaged. A writer unlinks a file only after an edit of the manifest, so the second attempt
//! reads another manifest. A writer writes a record before its proof, so the second copy contains the whole record.

use std::io::{Error as IoError, ErrorKind};
use std::sync::Arc;

use kv::{Error, Result};

use crate::fs::{Entry, File, copy_whole};
use crate::identity::Stamp;
use crate::log::chain::ChainTail;
use crate::log::{FRAME_HEADER_LEN, SEGMENT_HEADER_LEN, SegmentFormat};
use crate::manifest::{LoadedManifest, Manifest, State};
use crate::read_only_fs::ReadOnlyFs;
use crate::store_dir::{NamePattern, StoreDir};

/// How often a reader tries.
const ATTEMPTS: usize = 16;

/// Loads a moment of the store in `dir`. `attempt` takes steps 2 to 4 of the [module](self), given the entries of the
/// directory and the manifest.
///
/// # Errors
/// Those of `attempt`, when they are not the work of a writer or too many attempts have failed; `Corruption`; `Io`.
pub fn load<S: State, T>(
    dir: &StoreDir,
    mut attempt: impl FnMut(Vec<Entry>, &LoadedManifest<S>) -> Result<T>,
) -> Result<(LoadedManifest<S>, T)> {
    let mut last: Option<(Stamp, String)> = None;
    let mut attempts_left = ATTEMPTS;
    loop {
        attempts_left -= 1;
        let entries = dir.list()?;
        let manifest = Manifest::<S>::read(dir)?;
        let attempted = attempt(entries, &manifest)
            .and_then(|loaded| check_epoch(dir, &manifest).map(|()| loaded));
        let error = match attempted {
            Ok(loaded) => return Ok((manifest, loaded)),
            Err(error) => error,
        };
        let failure = (manifest.stamp(), error.to_string());
        let is_repeated = last.as_ref() == Some(&failure);
        if attempts_left == 0 || is_repeated || !may_come_from_a_writer(&error) {
            return Err(error);
        }
        last = Some(failure);
    }
}

/// Copies `segments`, which are in the order of the log, the newest first. Their paths lead to the copies from then on.
///
/// # Errors
/// `Io`.
pub fn copy_segments(fs: &mut ReadOnlyFs, segments: &[Arc<dyn File>]) -> Result<()> {
    segments.iter().rev().try_for_each(|file| {
        fs.hold_bytes(file.path().into(), Arc::new(copy_whole(&**file)?));
        Ok(())
    })
}

/// Where a writer may append next: in the last segment with frames, or in one after it.
#[derive(Debug)]
pub struct LogEnds {
    names: NamePattern,
    ends: Vec<(u64, SegmentEnd)>,
}

/// Where the next frame of a segment will start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SegmentEnd {
    /// The segment has frames; the next one starts at this offset.
    At(u64),
    /// The reader has seen no frame: the first one starts after header and witness.
    NoFrames,
}

impl LogEnds {
    /// The ends of the log that was read as `tail`. `segments` are those that the manifest names, ascending.
    pub fn new(names: NamePattern, tail: &ChainTail, segments: impl Iterator<Item = u64>) -> Self {
        let last = tail.kept.last().map(|kept| (kept.id(), SegmentEnd::At(kept.len)));
        let after = segments.filter(|&id| last.is_none_or(|(last, _)| id > last));
        let after = after.map(|id| (id, SegmentEnd::NoFrames));
        Self { names, ends: last.into_iter().chain(after).collect() }
    }

    /// Whether a segment has bytes where its next frame would start.
    ///
    /// # Errors
    /// `Io`, also when a writer has removed a segment.
    pub fn have_moved(&self, dir: &StoreDir) -> Result<bool> {
        for &(id, end) in &self.ends {
            let file = dir.fs().open(&dir.file(&self.names.name(id)))?;
            let end = match end {
                SegmentEnd::At(end) => end,
                SegmentEnd::NoFrames => first_frame(&*file)?,
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

/// Where the frames of a segment start. A file without a header has no frames, so 64 serves as well as any later offset.
fn first_frame(file: &dyn File) -> Result<u64> {
    let mut header = [0; SEGMENT_HEADER_LEN as usize];
    if file.len()? >= SEGMENT_HEADER_LEN {
        file.read_at(0, &mut header)?;
    }
    let first = SegmentFormat::of(&header).map_or(SEGMENT_HEADER_LEN, SegmentFormat::first_frame);
    Ok(first)
}

/// Whether the work of a writer can cause this error.
fn may_come_from_a_writer(error: &Error) -> bool {
    let kinds = [ErrorKind::NotFound, ErrorKind::UnexpectedEof, ErrorKind::ResourceBusy];
    error.is_corruption() || error.io_kind().is_some_and(|kind| kinds.contains(&kind))
}

/// Step 5: checks that no other writer has begun its recovery since `manifest` was read.
fn check_epoch<S: State>(dir: &StoreDir, manifest: &LoadedManifest<S>) -> Result<()> {
    let now = Manifest::<S>::read(dir)?;
    let is_same_store = now.store_id() == manifest.store_id();
    if is_same_store && now.stamp().open_epoch == manifest.stamp().open_epoch {
        return Ok(());
    }
    let busy = IoError::new(ErrorKind::ResourceBusy, "a writer is opening the store");
    Err(Error::io("read", dir.path(), busy))
}
