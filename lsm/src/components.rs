//! The components of an open store, and how they are put together.

use std::sync::Arc;

use durable::background::performer;
use durable::reclaim::FileReclaimer;

use crate::back_pressure::{BackPressure, CompactionLimits, Limits};
use crate::background::{Background, Task};
use crate::boundary::Boundary;
use crate::commit::{CommitParts, Committer};
use crate::compaction::Strategy;
use crate::compactor::{Compactor, CompactorParts};
use crate::entry_tree::spare::SpareMemory;
use crate::events::Events;
use crate::file_ids::FileIds;
use crate::flush::{FlushParts, Flusher};
use crate::options::Options;
use crate::pins::Pins;
use crate::recovery::Recovered;
use crate::store::Store;
use crate::version::VersionSet;
use crate::wal::Wal;

/// The components of an open store.
pub(crate) struct Components {
    pub(crate) store: Arc<Store>,
    pub(crate) versions: Arc<VersionSet>,
    pub(crate) pins: Arc<Pins>,
    pub(crate) pressure: Arc<BackPressure>,
    pub(crate) wal: Arc<Wal>,
    pub(crate) flusher: Arc<Flusher>,
    pub(crate) compactor: Arc<Compactor>,
    pub(crate) committer: Committer,
    pub(crate) background: Arc<Background>,
    pub(crate) reclaimer: Arc<FileReclaimer>,
    /// Batches that the opening read from logs.
    pub(crate) replayed_batches: u64,
}

/// What most components work with.
struct Shared {
    store: Arc<Store>,
    ids: Arc<FileIds>,
    versions: Arc<VersionSet>,
    pins: Arc<Pins>,
    background: Arc<Background>,
    pressure: Arc<BackPressure>,
    events: Arc<Events>,
}

impl Components {
    /// The components of a store that is `recovered`, with the background work that waits in it requested.
    pub(crate) fn new(
        options: &Options,
        strategy: Arc<dyn Strategy<Boundary>>,
        recovered: Recovered,
    ) -> Self {
        let (reclaimer, replayed_batches) = (Arc::clone(&recovered.reclaimer), recovered.replayed);
        let shared = Shared::new(options, recovered);
        let wal = Arc::new(shared.wal(Arc::clone(&reclaimer), options.log_segment_bytes));
        let flusher = Arc::new(shared.flusher(Arc::clone(&wal), options));
        let compactor = Arc::new(shared.compactor(strategy, options));
        let committer = shared.committer(&wal, &flusher, options.memtable_bytes);
        shared.begin_background(&wal, &flusher, &compactor);
        let Shared { store, ids: _, versions, pins, background, pressure, events: _ } = shared;
        Self {
            store,
            versions,
            pins,
            pressure,
            wal,
            flusher,
            compactor,
            committer,
            background,
            reclaimer,
            replayed_batches,
        }
    }
}

impl Shared {
    fn new(options: &Options, recovered: Recovered) -> Self {
        let Recovered { store, ids, opener, version, newest, .. } = recovered;
        let executor = Arc::clone(&store.env.executor);
        let background = Background::new(executor, store.log(), store.path());
        let history_floor = version.history_floor;
        let versions = Arc::new(VersionSet::new(
            version,
            newest,
            opener,
            SpareMemory::new(options.memtable_bytes),
            Arc::clone(store.clock()),
            store.steps.clone(),
        ));
        versions.read_ranges();
        let pins = Pins::new(Arc::clone(&versions), history_floor, store.steps.clone());
        let limits = limits_of(options);
        let events = Arc::new(Events::new(options.listener.clone()));
        let open = (Arc::clone(&store), Arc::clone(&background));
        let pressure = BackPressure::new(open, Arc::clone(&events), limits);
        pressure.measure(&versions);
        let (pins, pressure) = (Arc::new(pins), Arc::new(pressure));
        Self { store, ids, versions, pins, background, pressure, events }
    }

    fn wal(&self, reclaimer: Arc<FileReclaimer>, segment_bytes: u64) -> Wal {
        Wal::new(Arc::clone(&self.store), Arc::clone(&self.ids), reclaimer, segment_bytes)
    }

    fn flusher(&self, wal: Arc<Wal>, options: &Options) -> Flusher {
        let parts = FlushParts {
            store: Arc::clone(&self.store),
            ids: Arc::clone(&self.ids),
            wal,
            versions: Arc::clone(&self.versions),
            background: Arc::clone(&self.background),
            pressure: Arc::clone(&self.pressure),
            events: Arc::clone(&self.events),
        };
        Flusher::new(parts, options)
    }

    fn compactor(&self, strategy: Arc<dyn Strategy<Boundary>>, options: &Options) -> Compactor {
        let parts = CompactorParts {
            store: Arc::clone(&self.store),
            ids: Arc::clone(&self.ids),
            versions: Arc::clone(&self.versions),
            pins: Arc::clone(&self.pins),
            background: Arc::clone(&self.background),
            pressure: Arc::clone(&self.pressure),
            events: Arc::clone(&self.events),
        };
        Compactor::new(parts, strategy, options.table, options.compaction_threads)
    }

    fn committer(&self, wal: &Arc<Wal>, flusher: &Arc<Flusher>, memtable_bytes: u64) -> Committer {
        let parts = CommitParts {
            store: Arc::clone(&self.store),
            wal: Arc::clone(wal),
            versions: Arc::clone(&self.versions),
            flusher: Arc::clone(flusher),
            background: Arc::clone(&self.background),
            pressure: Arc::clone(&self.pressure),
        };
        Committer::new(parts, memtable_bytes)
    }

    /// Registers who performs each task. A store that was opened may need a compaction at once.
    fn begin_background(&self, wal: &Arc<Wal>, flusher: &Arc<Flusher>, compactor: &Arc<Compactor>) {
        let background = Arc::downgrade(&self.background);
        self.versions.open_tables().when_full(move || {
            if let Some(background) = background.upgrade() {
                background.request(Task::CloseTables);
            }
        });
        self.background.register(vec![
            (Task::CloseTables, performer(&self.versions, VersionSet::close_unused)),
            (Task::PrepareSegment, performer(wal, Wal::prepare)),
            (Task::Flush, performer(flusher, Flusher::flush_in_background)),
            (Task::PickCompaction, performer(compactor, Compactor::pick_in_background)),
            (Task::MergePart, performer(compactor, Compactor::merge_in_background)),
        ]);
        self.background.request(Task::PickCompaction);
    }
}

/// The limits of back-pressure.
fn limits_of(options: &Options) -> Limits {
    let most_sealed = options.max_sealed_memtables as u64;
    let compaction = (options.compaction_threads > 0).then(|| CompactionLimits {
        level_0_runs: options.strategy.most_level_0_runs() as u64,
        debt_bytes: options.max_debt_bytes,
    });
    Limits { sealed_bytes: options.memtable_bytes.saturating_mul(most_sealed), compaction }
}
