//! The end of the log: the data files that were not sealed.
//!
//! They are read in the order of their ids, which is the order they were written in. A file without an end mark is
//! where the log was cut off. Its whole batches count; every later file is discarded, for a later batch must not
//! survive an earlier one. But if a frame in a later file was written when all before it was durable, then the cut is
//! no torn tail but damage, and an error.

use std::path::Path;

use durable::log::{SegmentIdentity, SegmentScan, StoreId, Tail, scan_segment};
use durable::manifest::LoadedManifest;
use durable::read_whole;
use durable::store_dir::StoreDir;
use kv::{Error, Result, UnixMillis};

use super::Lives;
use crate::files::DATA;
use crate::keydir::{Keydir, Location};
use crate::options::Options;
use crate::record::Record;
use crate::state::State;
use crate::steps::Step;

/// What the unsealed files come to.
#[derive(Debug, Default)]
pub(crate) struct LogTail {
    /// The files that are kept, oldest first.
    pub(crate) kept: Vec<Kept>,
    /// The ids of those that are not, ascending: empty ones, and those after a torn one.
    pub(super) discarded: Vec<u64>,
    /// The newest sequence number in the files kept.
    pub(crate) newest: u64,
}

/// An unsealed file of which something is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    pub(crate) identity: SegmentIdentity,
    /// How many bytes are whole batches.
    pub(crate) len: u64,
}

/// Reads the unsealed files of `found` and loads the keys of their writes above `above`.
pub(crate) fn read(
    dir: &StoreDir,
    found: &LoadedManifest<State>,
    lives: &Lives,
    keydir: &Keydir,
    above: u64,
    options: &Options,
) -> Result<LogTail> {
    let mut tail = LogTail::default();
    let mut torn: Option<(u64, u64)> = None;
    let unsealed = found.state().files.iter().filter(|(_, sealed)| sealed.is_none());
    for (&id, _) in unsealed {
        let number = lives[&id].number;
        let path = dir.file(&DATA.name(id));
        let bytes = read_whole(&*dir.fs().open(&path)?)?;
        let (mut newest, mut first_expiry) = (tail.newest, None::<UnixMillis>);
        let scan = scan_segment(bytes.bytes(), found.store_id(), id, &path, &mut |batch| {
            for frame in batch {
                let record = Record::decode(frame, &path)?;
                newest = frame.sequence;
                if let Record::Put { expires_at: Some(time), .. } = record {
                    first_expiry = Some(first_expiry.map_or(time, |first| first.min(time)));
                }
                if torn.is_none() && frame.sequence > above {
                    let location =
                        Location { file: number, offset: frame.offset, len: frame.len() };
                    let put = matches!(record, Record::Put { .. });
                    if put {
                        keydir.load(record.key(), frame.sequence, Some(location));
                    } else {
                        let load = || keydir.load(record.key(), frame.sequence, None);
                        options.steps.run(Step::LoadLoggedTombstone, load);
                    }
                }
            }
            Ok(())
        })?;
        lives[&id].first_expiry.learn(first_expiry);
        found.check_seen(scan.identity.stamp())?;
        if let Some((earlier, len)) = torn
            && scan.proves_prior_durable
        {
            let what = "the log ends here, and a later file was written when this was durable";
            return Err(Error::corruption(dir.file(&DATA.name(earlier)), len, what));
        }
        let end = tail.take(&scan, newest, torn.is_some());
        torn = torn.or(options.steps.run(Step::EndLogAtTear, || end));
    }
    Ok(tail)
}

impl LogTail {
    /// Returns the id and the length of the file if the log is torn in it.
    fn take(
        &mut self,
        scan: &SegmentScan,
        newest: u64,
        is_behind_tear: bool,
    ) -> Option<(u64, u64)> {
        let SegmentScan { identity, len, .. } = *scan;
        if is_behind_tear || newest == self.newest {
            self.discarded.push(identity.id);
        } else {
            self.kept.push(Kept { identity, len });
            self.newest = newest;
        }
        (scan.tail == Tail::Torn).then_some((identity.id, len))
    }
}

/// Whether a data file that nobody knows has records in it.
pub(super) fn has_records(bytes: &[u8], store: StoreId, id: u64, path: &Path) -> bool {
    let mut any = false;
    let scan = scan_segment(bytes, store, id, path, &mut |_| {
        any = true;
        Ok(())
    });
    any || scan.is_err_and(|error| matches!(error, Error::Corruption { offset, .. } if offset > 0))
}
