//! What the sealed files waste.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kv::UnixMillis;

use super::pick::Candidate;
use crate::data_file::DataFile;
use crate::engine::Inner;
use crate::options::MergeOptions;
use crate::planted::Mistake;
use crate::state::Sealed;

/// Bytes of a data file besides its records: header and end mark.
const OVERHEAD: u64 = 88;

impl Inner {
    /// What has expired by then has expired for every view, and always will have.
    pub(crate) fn horizon(&self) -> UnixMillis {
        let now = self.now();
        if self.options.has(Mistake::LetExpireInsideViews) { now } else { self.views.horizon(now) }
    }

    /// Looks anew at how much writers must be held back. `published` is the newest visible write.
    pub(crate) fn measure_pressure(&self, published: u64, merge: &MergeOptions) {
        let files = self.candidates(published, self.horizon());
        self.pressure.measure(&files, self.options.data_file_bytes, merge);
    }

    /// The sealed files as the picker sees them, without those that turned out damaged. One with a write after `published`
    /// is left out, too: the keydir does not know its records.
    pub(crate) fn candidates(&self, published: u64, now: UnixMillis) -> Vec<Candidate> {
        let (state, table, damaged) =
            (self.manifest.state(), self.files.load_full(), self.damaged.lock().clone());
        let files: BTreeMap<u64, &Arc<DataFile>> =
            table.iter().map(|file| (file.id, file)).collect();
        let any = self.options.has(Mistake::MergeUnpublishedWrites);
        let drops_early = self.options.has(Mistake::DropFileWithFirstExpired);
        let candidate = |(&id, sealed): (&u64, &Option<Sealed>)| {
            let (sealed, file) = ((*sealed)?, files.get(&id)?);
            if damaged.contains(&id) || sealed.newest > published && !any {
                return None;
            }
            let live = file.life.live.bytes.load(Ordering::Relaxed).min(sealed.len);
            let expired = u128::from(sealed.expiring.expired_bytes(now)) * u128::from(live);
            let expired = (expired / u128::from(sealed.len.max(1))) as u64;
            let dead = (sealed.len - live + expired).saturating_sub(OVERHEAD);
            let waste = dead.saturating_sub(state.blocked_bytes(id)) + state.blocking_bytes(id);
            Some(Candidate {
                id,
                len: sealed.len,
                waste,
                age: published.saturating_sub(sealed.newest),
                oldest: sealed.oldest,
                newest: sealed.newest,
                expired: sealed.is_expired(now)
                    || drops_early
                        && sealed.expiring.records > 0
                        && sealed.expiring.earliest < now.0,
            })
        };
        state.files.iter().filter_map(candidate).collect()
    }
}
