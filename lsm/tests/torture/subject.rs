//! How the suites open an LSM tree.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::{Env, OpKind};
use kv::Result;
use lsm::compaction::{LazyLeveledOptions, LeveledOptions, SizeTieredOptions, StrategyOptions};
use lsm::planted::{Action, Hook, Step};
use lsm::{BuildOptions, Lsm, Options, ReadMode, ReadOptions};
use torture::{FailedCall, Opened, Subject};

/// A step, and what happens to it.
pub(crate) type WrongStep = (Step, Action);

/// An LSM tree with tiny memtables, segments, tables and levels, right or with one step done wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LsmSubject {
    pub(crate) strategy: Strategy,
    /// Memtables are 32 times as large: for suites with so many writes that runs would pile up.
    has_large_memtables: bool,
    mistake: Option<WrongStep>,
}

impl LsmSubject {
    pub(crate) fn with_large_memtables() -> Self {
        Self { has_large_memtables: true, ..Self::default() }
    }

    pub(crate) fn compacting(strategy: Strategy) -> Self {
        Self { strategy, ..Self::default() }
    }

    pub(crate) fn with(mistake: Option<WrongStep>) -> Self {
        Self { mistake, ..Self::default() }
    }
}

/// The strategy of compaction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Strategy {
    /// The one that passes every suite in full.
    #[default]
    SizeTiered,
    Leveled,
    LazyLeveled,
}

impl Strategy {
    /// With limits that two flushes reach.
    fn options(self) -> StrategyOptions {
        let file_bytes = 300;
        match self {
            Self::SizeTiered => StrategyOptions::SizeTiered(SizeTieredOptions {
                min_runs: 2,
                max_runs: 4,
                small_bytes: 4_096,
                run_limit: 4,
                file_bytes,
                ..SizeTieredOptions::default()
            }),
            Self::Leveled => StrategyOptions::Leveled(LeveledOptions {
                l0_runs: 2,
                l0_soft_runs: 3,
                base_bytes: 1_500,
                fan_out: 2,
                file_bytes,
                max_input_bytes: 12_000,
                ..LeveledOptions::default()
            }),
            Self::LazyLeveled => StrategyOptions::LazyLeveled(LazyLeveledOptions {
                l0_runs: 2,
                fan_out: 2,
                flush_bytes: 600,
                file_bytes,
                ..LazyLeveledOptions::default()
            }),
        }
    }
}

/// The options of a set. Its files are so small that a few dozen writes pass through every structural event.
fn options(env: &Env, option_set: usize) -> Options {
    let table = BuildOptions { block_bytes: 128, index_block_bytes: 64, ..BuildOptions::default() };
    let options = Options::in_env(env.clone()).table(table);
    if option_set == 0 {
        return options.memtable_bytes(512).log_segment_bytes(1024).table_bytes(300);
    }
    let read = ReadOptions { mode: ReadMode::Positional, ..ReadOptions::default() };
    options.memtable_bytes(4096).max_sealed_memtables(1).read(read).log_segment_bytes(2048)
}

/// The logs and tables in `dir` that the manifest does not name. A log counts if its content says that the store made it.
fn orphans(engine: &Lsm, env: &Env, dir: &Path) -> Result<Vec<PathBuf>> {
    let live = engine.live_files();
    let mut orphans = Vec::new();
    for entry in env.fs.list(dir)? {
        let path = dir.join(&entry.name);
        let is_ours = match path.extension().and_then(|extension| extension.to_str()) {
            Some("table") => true,
            Some("log") => {
                let bytes = durable::copy_whole(&*env.fs.open(&path)?)?;
                bytes.starts_with(b"KVSEGM") || bytes.iter().all(|byte| *byte == 0)
            }
            _ => false,
        };
        orphans.extend((is_ours && !live.contains(&entry.name)).then_some(path));
    }
    Ok(orphans)
}

impl Subject for LsmSubject {
    fn name(&self) -> &'static str {
        match self.strategy {
            Strategy::SizeTiered => "lsm-stcs",
            Strategy::Leveled => "lsm-lcs",
            Strategy::LazyLeveled => "lsm-lazy",
        }
    }

    fn open(&self, env: &Env, dir: &Path, option_set: usize) -> Result<Opened> {
        let mut options = options(env, option_set).strategy(self.strategy.options());
        if self.has_large_memtables {
            options.memtable_bytes *= 32;
        }
        if let Some((step, action)) = self.mistake {
            options = options.hook(Hook::on(step, action));
        }
        let engine = Arc::new(Lsm::open(dir, options)?);
        let newest = engine.newest_sequence();
        let (env, place) = (env.clone(), dir.to_path_buf());
        let [listing, flushing, counting, checked] = [(); 4].map(|()| Arc::clone(&engine));
        let snapshots = Arc::clone(&engine);
        let verify = move || checked.verify().map(drop).map_err(|error| error.to_string());
        let opened = Opened::new(engine)
            .with_recovered(newest)
            .with_snapshots(snapshots)
            .with_background_failures(move || {
                let statistics = counting.statistics();
                statistics.flushes_failed + statistics.compactions_failed
            })
            .with_orphans(move || orphans(&listing, &env, &place))
            .with_maintain(move || flushing.flush());
        // A mistake must show in the answers.
        Ok(if self.mistake.is_none() { opened.with_invariant(verify) } else { opened })
    }

    fn option_sets(&self) -> usize {
        2
    }

    /// The logs.
    fn tails(&self, files: &[PathBuf]) -> Vec<PathBuf> {
        files.iter().filter(|path| self.has_witness(path)).cloned().collect()
    }

    fn has_witness(&self, file: &Path) -> bool {
        file.extension().is_some_and(|extension| extension == "log")
    }

    /// Leftovers are removed at the next opening, and a segment that cannot be created ahead of need is created again, and
    /// reported, when it is needed.
    fn may_swallow(&self, op: OpKind, path: &Path) -> bool {
        matches!(op, OpKind::Remove | OpKind::FreeSpace | OpKind::CreateLog | OpKind::Reserve)
            // The witness of a log: without its newest claim, damage after a crash is found less often.
            || self.has_witness(path) && op == OpKind::Write
    }

    /// A segment that is begun in the background is tried again by the writer that needs it.
    fn may_wait_for_space(&self, call: &FailedCall<'_>) -> bool {
        let name = call.path.file_name().unwrap_or_default().to_string_lossy();
        let is_manifest = name.starts_with("MANIFEST") || name.starts_with("CURRENT");
        let is_edit = matches!(call.kind, OpKind::Create | OpKind::Write | OpKind::Rename);
        // The header of the segment that is prepared. A caller is told of every other append that finds no space.
        let is_prepared = call.in_background && call.is_first_append && name.ends_with(".log");
        is_prepared || (is_manifest && is_edit && call.in_background)
    }
}
