//! One engine of a phase: its rows of all blocks, and the line of the table that is made from them.

use super::ranking::Verdict;
use crate::paired::{BlockSpeed, Paired};
use crate::row::Row;
use crate::statistics::{Estimate, median};

/// How many budgets an engine may hold before it is marked: an allocator rounds, and code needs stacks.
const BUDGET_SLACK: f64 = 1.1;

/// One engine of a table.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a mark of its own; any of them may be set"
)]
#[derive(Clone, Debug)]
pub(crate) struct EngineLine {
    /// The index of the engine in the ranking.
    pub(super) ranking_index: usize,
    /// Whether it kept the class that was asked for, is comparable, and is no yardstick; if not, it is listed below the rule.
    pub(crate) is_ranked: bool,
    /// The place; `None` below the rule, and from a single block.
    pub(crate) place: Option<usize>,
    /// The engine's name.
    pub(crate) engine: String,
    /// The class that it kept.
    pub(crate) durability: String,
    /// Operations or openings a second.
    pub(crate) speed: Estimate,
    /// The same in each block.
    pub(super) speeds: Vec<BlockSpeed>,
    /// Its ratio to the baseline; `None` for the baseline itself.
    pub(crate) ratio: Option<Verdict>,
    /// Its speed in speeds of the fastest yardstick, paired within blocks.
    pub(crate) share_of_bound: Option<f64>,
    /// Median latency in nanoseconds.
    pub(crate) p50_ns: Option<f64>,
    /// Whether less than the asked rate was reached in some block, so that latencies say nothing.
    pub(crate) is_overloaded: bool,
    /// Whether the disk speed changed in some block, which then is not compared.
    pub(crate) disk_speed_changed: bool,
    /// Whether it claims to sync its writes and made too few syncs in some block.
    pub(crate) lacks_syncs: bool,
    /// Whether it is compared at all ([`EngineBlocks::is_comparable`]).
    pub(super) is_comparable: bool,
    /// Whether it is ranked in several blocks, of which none compares it with the engines that have places.
    pub(crate) is_uncompared: bool,
    /// Whether half of the blocks or more were found not to be steady.
    pub(crate) is_unsteady: bool,
    /// Whether in half of the blocks or more a good part of the CPU time came while the clock stood still.
    pub(crate) defers_work: bool,
    /// Whether in some block the engine had work left when the wait for it ended.
    pub(crate) leaves_work_undone: bool,
    /// Whether in some block it worked longer after the clock than before: the speed of that block counts the time until rest.
    pub(crate) settles_late: bool,
    /// The longest stall of all blocks; 0 without one.
    pub(crate) longest_stall_ns: Option<f64>,
    /// 99th percentile.
    pub(crate) p99_ns: Option<f64>,
    /// 99.9th percentile.
    pub(crate) p999_ns: Option<f64>,
    /// CPU time of all threads for an operation, without the loop's.
    pub(crate) cpu_ns: Option<f64>,
    /// Write amplification.
    pub(crate) write_amp: Option<f64>,
    /// Space amplification.
    pub(crate) space_amp: Option<f64>,
    /// Memory of the engine that no file of its own backs, at the end of the phase.
    pub(crate) memory_bytes: Option<f64>,
    /// Whether that, or the most in the phase, is more than the memory budget allows.
    pub(crate) is_over_budget: bool,
    /// Page cache of the engine's files.
    pub(crate) page_cache_bytes: Option<f64>,
    /// Whether a limit ended the phase, or one before it that writes, in some block.
    pub(crate) cut_short: bool,
}

/// The rows of one engine, by block.
pub(super) struct EngineBlocks<'r> {
    /// The engine's name.
    pub(super) name: &'r str,
    /// All rows.
    rows: Vec<&'r Row>,
    /// The rows that figures come from: those of comparable blocks ([`Row::is_comparable`]), or all if there is no such block.
    figures: Vec<&'r Row>,
    /// The speeds of these rows.
    speeds: Vec<BlockSpeed>,
}

impl<'r> EngineBlocks<'r> {
    /// The blocks of the engine `name`; `None` where it has no speed.
    pub(super) fn new(name: &'r str, rows: &[&'r Row]) -> Option<Self> {
        let rows: Vec<_> = rows.iter().copied().filter(|row| row.engine == name).collect();
        let speed = |row: &&Row| {
            let opening = row.open_ms.filter(|ms| *ms > 0.0).map(|ms| 1e3 / ms);
            let speed = opening.or(row.ranked_speed()).filter(|speed| *speed > 0.0)?;
            Some(BlockSpeed { block: row.block, speed, disk_sync_ns: row.disk_sync_ns() })
        };
        // If no block is comparable, the figures are shown and never ranked.
        let is_comparable = |row: &&Row| row.is_comparable() && speed(row).is_some();
        let mut figures: Vec<_> = rows.iter().copied().filter(is_comparable).collect();
        if figures.is_empty() {
            figures.clone_from(&rows);
        }
        let speeds: Vec<_> = figures.iter().filter_map(speed).collect();
        assert!(speeds.len() <= figures.len(), "a block has at most one speed");
        assert!(figures.len() <= rows.len(), "figures come from rows");
        (!speeds.is_empty()).then_some(Self { name, rows, figures, speeds })
    }

    fn values(&self) -> Vec<f64> {
        self.speeds.iter().map(|of| of.speed).collect()
    }

    /// Whether the engine is compared with others: it has a comparable block, made its syncs in every block, and left work
    /// undone in less than half of the blocks. The blocks that are left would else be the lucky ones.
    pub(super) fn is_comparable(&self) -> bool {
        let undone = self.rows.iter().filter(|row| row.leaves_work_undone()).count();
        let makes_syncs = !self.has_mark(Row::lacks_syncs);
        makes_syncs
            && 2 * undone < self.rows.len()
            && self.figures.iter().any(|row| row.is_comparable())
    }

    /// Whether the engine kept `class` in every block.
    pub(super) fn kept(&self, class: &str) -> bool {
        self.rows.iter().all(|row| row.durability == class)
    }

    /// The median speed over the blocks.
    pub(super) fn median_speed(&self) -> Option<f64> {
        median(&self.values())
    }

    /// The median of a figure over the blocks that have it.
    fn median_of(&self, value: impl Fn(&Row) -> Option<f64>) -> Option<f64> {
        median(&self.figures.iter().filter_map(|row| value(row)).collect::<Vec<_>>())
    }

    /// The same for a figure that is a whole number.
    fn median_of_counts(&self, value: impl Fn(&Row) -> Option<u64>) -> Option<f64> {
        self.median_of(|row| value(row).map(|count| count as f64))
    }

    /// Whether half of the blocks that can have a mark, or more, have it.
    fn has_mark_in_half(&self, mark: impl Fn(&Row) -> Option<bool>) -> bool {
        let judged: Vec<_> = self.figures.iter().filter_map(|row| mark(row)).collect();
        let marked = judged.iter().filter(|is_marked| **is_marked).count();
        assert!(marked <= judged.len(), "a mark is of a block");
        marked > 0 && 2 * marked >= judged.len()
    }

    /// Whether some block has a mark, blocks that are not comparable included.
    fn has_mark(&self, mark: impl Fn(&Row) -> bool) -> bool {
        self.rows.iter().any(|row| mark(row))
    }

    /// The line without a place. `bound` is the yardstick, if it bounds this engine.
    pub(super) fn line(&self, bound: Option<&Self>, budget_bytes: f64) -> Option<EngineLine> {
        let share = bound.and_then(|bound| Paired::of(&self.speeds, &bound.speeds));
        let speed = Estimate::of(&self.values())?;
        let memory_bytes = self.median_of_counts(Row::memory_bytes);
        let peak_bytes = self.median_of_counts(|row| row.memory_peak_bytes);
        let most_bytes = memory_bytes.into_iter().chain(peak_bytes).reduce(f64::max);
        let stalls = self.figures.iter().filter_map(|row| row.longest_stall_ns());
        Some(EngineLine {
            ranking_index: 0,
            is_ranked: false,
            place: None,
            engine: self.name.to_string(),
            durability: self.rows.first()?.durability.clone(),
            speed,
            speeds: self.speeds.clone(),
            ratio: None,
            share_of_bound: share.map(Paired::ratio),
            p50_ns: self.median_of_counts(|row| row.lat_p50_ns),
            p99_ns: self.median_of_counts(|row| row.lat_p99_ns),
            p999_ns: self.median_of_counts(|row| row.lat_p999_ns),
            cpu_ns: self.median_of(|row| row.cpu_ns_per_op),
            write_amp: self.median_of(|row| row.write_amp),
            space_amp: self.median_of(|row| row.space_amp),
            memory_bytes,
            is_over_budget: most_bytes.is_some_and(|bytes| bytes > BUDGET_SLACK * budget_bytes),
            page_cache_bytes: self.median_of_counts(|row| row.page_cache_bytes),
            disk_speed_changed: self.has_mark(Row::disk_speed_changed),
            lacks_syncs: self.has_mark(Row::lacks_syncs),
            is_comparable: self.is_comparable(),
            is_uncompared: false,
            is_overloaded: self.figures.iter().any(|row| row.is_overloaded()),
            is_unsteady: self.has_mark_in_half(|row| row.steady.map(|is_steady| !is_steady)),
            defers_work: self.has_mark_in_half(Row::defers_work),
            leaves_work_undone: self.has_mark(Row::leaves_work_undone),
            settles_late: self.has_mark(Row::settles_late),
            longest_stall_ns: stalls.reduce(f64::max),
            cut_short: self.has_mark(|row| row.cut_short),
        })
    }
}
