//! The numbers of each level.

use std::sync::atomic::Ordering;

use super::Compactor;
use crate::state::LEVELS;
use crate::statistics::LevelStats;

impl Compactor {
    /// The numbers of the levels, 0 first.
    pub(crate) fn levels(&self) -> [LevelStats; LEVELS as usize] {
        let mut levels = [LevelStats::default(); LEVELS as usize];
        for (level, counters) in levels.iter_mut().zip(&self.counters.levels) {
            level.read_bytes = counters.read.load(Ordering::Relaxed);
            level.written_bytes = counters.written.load(Ordering::Relaxed);
            level.moved_bytes = counters.moved.load(Ordering::Relaxed);
        }
        for run in &self.parts.versions.load().version.runs {
            let level = &mut levels[run.level() as usize];
            level.runs += 1;
            for table in run.tables() {
                level.tables += 1;
                level.table_bytes += table.facts.len;
                level.table_entries += table.facts.entries;
                level.table_tombstones += table.facts.tombstones;
                level.table_range_fragments += table.facts.range_fragments();
            }
        }
        levels
    }
}
