//! The tail of the log: the data files that the manifest does not know as sealed, read by the rule of
//! [`durable::log::chain`].
//!
//! Files of the log are sealed in the order of their ids. An unsealed file in front of a sealed one was found damaged when
//! it was read back (`damaged_files.rs`). The sealer had cut and synced it. If it does not read whole now, it is damaged,
//! and not torn.

use std::path::Path;

use durable::log::chain::{ChainReader, ChainTail, TailSegment};
use durable::log::{FrameView, SegmentLayout};
use durable::manifest::LoadedManifest;
use durable::read_whole;
use durable::store_dir::StoreDir;
use kv::{Error, Result, UnixMillis};

use super::FileHandles;
use crate::files::DATA;
use crate::keydir::{Keydir, Location};
use crate::options::Options;
use crate::record::Record;
use crate::state::{Sealed, State};
use crate::steps::Step;

/// Reads the unsealed files that `manifest` names, and loads the keys of their writes above `above` into `keydir`.
///
/// # Errors
/// `Corruption` when a file is damaged, or proves that another one or the manifest is; `Io`.
pub(crate) fn read(
    dir: &StoreDir,
    manifest: &LoadedManifest<State>,
    handles: &FileHandles,
    keydir: &Keydir,
    above: u64,
    options: &Options,
) -> Result<ChainTail> {
    let mut chain = ChainReader::new(manifest.store_id());
    let mut tail = ChainTail::default();
    let mut synced_before = Vec::new();
    let newest_sealed = newest_sealed_log_file(manifest.state());
    for (&id, handle) in handles {
        // A sealed file is loaded by `load`.
        if manifest.state().files.get(&id).is_none_or(Option::is_some) {
            continue;
        }
        let path = dir.file(&DATA.name(id));
        let bytes = read_whole(&*dir.fs().open(&path)?)?;
        let bytes = options.steps.claims(Step::CheckClaims, bytes, manifest.store_id(), id);
        let number = handle.number;
        let mut load =
            FileLoader { path: &path, number, keydir, above, options, first_expiry: None };
        let identity = chain.read(bytes.bytes(), id, &path, &mut |batch| load.batch(batch))?;
        handle.first_expiry.learn(load.first_expiry);
        if newest_sealed.is_some_and(|sealed| id < sealed) {
            synced_before.push((id, bytes.bytes().len() as u64));
        }
        manifest.check_seen(identity.stamp())?;
        // Only a planted mistake takes this branch. It treats each file as its own log, so a torn file does not end the
        // chain.
        if options.steps.check(Step::EndLogAtTear, false) {
            let file = std::mem::replace(&mut chain, ChainReader::new(manifest.store_id()));
            append(&mut tail, file.finish());
        }
    }
    append(&mut tail, chain.finish());
    synced_before.iter().try_for_each(|&(id, len)| check_whole(dir, &tail, id, len))?;
    debug_assert!(tail.kept.is_sorted_by_key(TailSegment::id), "the log has an order");
    debug_assert!(tail.kept.iter().all(|kept| handles.contains_key(&kept.id())));
    Ok(tail)
}

/// The newest file of the log that is sealed. The outputs of merges, which have no witness, are not part of the log.
fn newest_sealed_log_file(state: &State) -> Option<u64> {
    let is_of_log = |sealed: &Sealed| sealed.format.layout() == SegmentLayout::Witnessed;
    let mut newest_first = state.files.iter().rev();
    newest_first.find(|(_, sealed)| sealed.as_ref().is_some_and(is_of_log)).map(|(&id, _)| id)
}

/// Checks that all `len` bytes of data file `id`, which was synced before a later file was sealed, are whole batches and an
/// end mark.
fn check_whole(dir: &StoreDir, tail: &ChainTail, id: u64, len: u64) -> Result<()> {
    let kept = tail.kept.iter().find(|kept| kept.id() == id).map_or(0, |kept| kept.len);
    if kept == len {
        return Ok(());
    }
    let what = "the log cannot end here, because a later file is sealed";
    Err(Error::corruption(dir.file(&DATA.name(id)), kept, what))
}

fn append(tail: &mut ChainTail, rest: ChainTail) {
    tail.kept.extend(rest.kept);
    tail.discarded.extend(rest.discarded);
    tail.newest_sequence = tail.newest_sequence.max(rest.newest_sequence);
}

/// Loads the records of one file.
struct FileLoader<'l> {
    path: &'l Path,
    /// The number of the file in the keydir.
    number: u16,
    keydir: &'l Keydir,
    above: u64,
    options: &'l Options,
    /// When the first put so far expires.
    first_expiry: Option<UnixMillis>,
}

impl FileLoader<'_> {
    fn batch(&mut self, batch: &[FrameView<'_>]) -> Result<()> {
        for frame in batch {
            debug_assert_eq!(frame.sequence, batch[0].sequence, "a batch has one number");
            let record = Record::decode(frame, self.path)?;
            if let Record::Put { expires_at: Some(time), .. } = record {
                self.first_expiry = Some(self.first_expiry.map_or(time, |first| first.min(time)));
            }
            // A refresh loads only records above `above`.
            if frame.sequence > self.above {
                self.load(frame, &record);
            }
        }
        Ok(())
    }

    fn load(&self, frame: &FrameView<'_>, record: &Record<'_>) {
        let place = Location { file: self.number, offset: frame.offset, len: frame.len() };
        let load = |location| self.keydir.load(record.key(), frame.sequence, location);
        match record {
            Record::Put { .. } => load(Some(place)),
            Record::Delete { .. } => {
                self.options.steps.run(Step::LoadLoggedTombstone, || load(None));
            }
        }
    }
}
