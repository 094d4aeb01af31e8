//! How much the sealed files waste: the input of the picker, and of back-pressure.

use std::collections::BTreeMap;
use std::sync::Arc;

use durable::log::SEGMENT_HEADER_LEN;
use kv::UnixMillis;

use crate::back_pressure::{BackPressure, Load};
use crate::damaged_files::DamagedFiles;
use crate::data_file::DataFile;
use crate::file_set::FileSet;
use crate::picker::{Candidate, SealedFiles};
use crate::state::{Sealed, State};
use crate::steps::Step;
use crate::store::Store;
use crate::views::Views;

/// Bytes of a data file besides its records and its witness: header and end mark.
const OVERHEAD: u64 = SEGMENT_HEADER_LEN + 24;

/// Looks at the sealed files.
#[derive(Debug)]
pub(crate) struct WasteSurvey {
    store: Arc<Store>,
    files: Arc<FileSet>,
    views: Arc<Views>,
    pressure: Arc<BackPressure>,
    damaged: Arc<DamagedFiles>,
}

impl WasteSurvey {
    pub(crate) fn new(
        store: Arc<Store>,
        files: Arc<FileSet>,
        views: Arc<Views>,
        pressure: Arc<BackPressure>,
        damaged: Arc<DamagedFiles>,
    ) -> Self {
        Self { store, files, views, pressure, damaged }
    }

    /// A record that has expired at this time has expired for every view, open now or opened later.
    pub(crate) fn horizon(&self) -> UnixMillis {
        let limited = || Some(self.views.horizon(|| self.store.now()));
        let limited = self.store.steps.run(Step::LimitHorizonToViews, limited);
        limited.unwrap_or_else(|| self.store.now())
    }

    /// Measures anew how much writers must be held back. `published` is the newest visible write.
    pub(crate) fn measure_pressure(&self, published: u64) {
        if self.pressure.is_off() {
            return;
        }
        self.pressure.measure(load(&self.describe_all(
            &self.store.state(),
            published,
            self.horizon(),
        )));
    }

    /// The sealed files as the picker sees them.
    pub(crate) fn candidates(&self, published: u64, now: UnixMillis) -> SealedFiles {
        let state = self.store.state();
        let files = self.describe_all(&state, published, now);
        SealedFiles { files, blocked: state.blocked.entries().to_vec() }
    }

    /// The facts about each sealed file of `state`. Excluded are damaged files, all files if the log is damaged, and files
    /// with a write after `published`: the keydir does not know the newest records of those.
    fn describe_all(&self, state: &State, published: u64, now: UnixMillis) -> Vec<Candidate> {
        let table = self.files.load_full();
        let (damaged, is_log_damaged) = (self.damaged.sealed(), self.damaged.check_log().is_err());
        let files: BTreeMap<u64, &Arc<DataFile>> =
            table.iter().map(|file| (file.id, file)).collect();
        let candidate = |(&id, sealed): (&u64, &Option<Sealed>)| {
            let (sealed, file) = ((*sealed)?, files.get(&id)?);
            let is_known = self.store.steps.check(Step::CheckPublished, sealed.newest <= published);
            let live = file.handle.live.bytes();
            let facts = describe(id, &sealed, live, state.blocked.bytes_in(id), published, now);
            if is_log_damaged || damaged.contains(&id) || !is_known {
                // A file that stays: its older puts count, and nothing that it wastes.
                return Some(Candidate { is_excluded: true, waste: 0, ..facts });
            }
            let is_expired = sealed.is_expired_in_part(now)
                && self.store.steps.check(Step::CheckLastExpiry, sealed.is_expired(now));
            // A file without records holds nothing back.
            Some(Candidate { expired: is_expired || sealed.records == 0, ..facts })
        };
        state.files.iter().filter_map(candidate).collect()
    }
}

/// A sealed file of which `live` bytes are live. `blocked` are the bytes of tombstones in it that must stay.
fn describe(
    id: u64,
    sealed: &Sealed,
    live: u64,
    blocked: u64,
    published: u64,
    now: UnixMillis,
) -> Candidate {
    // The witness of a log file is no waste: a merge frees it with the file, whatever the records are.
    let len = sealed.len.saturating_sub(sealed.format.first_frame() - SEGMENT_HEADER_LEN);
    let live = live.min(len);
    let expired = u128::from(sealed.expiring.expired_bytes(now)) * u128::from(live);
    let expired = (expired / u128::from(len.max(1))) as u64;
    debug_assert!(len >= live && len - live <= sealed.len, "waste lies in the file");
    let dead = (len - live + expired).saturating_sub(OVERHEAD);
    Candidate {
        id,
        len,
        waste: dead.saturating_sub(blocked),
        age: published.saturating_sub(sealed.newest),
        oldest: sealed.oldest,
        newest: sealed.newest,
        expired: false,
        is_excluded: false,
    }
}

/// The sum over the files that a merge may take.
pub(crate) fn load(files: &[Candidate]) -> Load {
    let files: Vec<&Candidate> = files.iter().filter(|file| !file.is_excluded).collect();
    Load {
        files: files.len() as u64,
        bytes: files.iter().map(|file| file.len).sum(),
        wasted_bytes: files.iter().map(|file| file.waste.min(file.len)).sum(),
    }
}
