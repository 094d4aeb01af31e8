//! One engine of a phase: its rows of all blocks, and the line of the table that they make.

use super::ranking::Verdict;
use crate::paired::BlockSpeed;
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
pub(crate) struct Line {
    /// Where the ranking has it.
    pub(super) at: usize,
    /// Whether it kept the class that was asked for, has a block that counts, and is no yardstick; if not, it stands below
    /// the rule.
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
    /// Its share of the fastest yardstick.
    pub(crate) share_of_bound: Option<f64>,
    /// Median latency in nanoseconds.
    pub(crate) p50_ns: Option<f64>,
    /// Whether less than the asked rate was reached in some block, so that latencies say nothing.
    pub(crate) is_overloaded: bool,
    /// Whether the disk itself moved in some block, which then is not compared.
    pub(crate) has_disk_moved: bool,
    /// Whether there is a block that counts: the disk kept its speed and no limit ended the work.
    pub(super) has_fair_block: bool,
    /// Whether it is ranked in several blocks, of which none compares it with the engines that have places.
    pub(crate) is_uncompared: bool,
    /// Whether half of the blocks or more were found not to be steady.
    pub(crate) is_unsteady: bool,
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
    /// Memory of the engine that no file backs, at the end of the phase.
    pub(crate) memory_bytes: Option<f64>,
    /// Whether that is more than the memory budget allows.
    pub(crate) is_over_budget: bool,
    /// Page cache of the engine's files.
    pub(crate) page_cache_bytes: Option<f64>,
    /// Whether a limit ended the phase, or one before it that writes, in some block.
    pub(crate) cut_short: bool,
}

/// The rows of one engine, by block.
pub(super) struct Series<'r> {
    pub(super) engine: &'r str,
    /// All rows.
    pub(super) rows: Vec<&'r Row>,
    /// The rows that figures come from: those of blocks that count ([`Row::is_fair`]), or all if there is no such block.
    figures: Vec<&'r Row>,
    /// The speeds of these rows.
    speeds: Vec<BlockSpeed>,
}

impl<'r> Series<'r> {
    /// The series of `engine`; `None` where it has no speed.
    pub(super) fn new(engine: &'r str, rows: &[&'r Row]) -> Option<Self> {
        let rows: Vec<_> = rows.iter().copied().filter(|row| row.engine == engine).collect();
        let speed = |row: &&Row| {
            let opening = row.open_ms.filter(|ms| *ms > 0.0).map(|ms| 1e3 / ms);
            let speed = opening.or(row.throughput_ops_s).filter(|speed| *speed > 0.0)?;
            Some(BlockSpeed { block: row.block, speed, disk_sync_ns: row.disk_sync_ns() })
        };
        // If no block counts, the figures are shown and never ranked.
        let counts = |row: &&Row| row.is_fair() && speed(row).is_some();
        let mut figures: Vec<_> = rows.iter().copied().filter(counts).collect();
        if figures.is_empty() {
            figures.clone_from(&rows);
        }
        let speeds: Vec<_> = figures.iter().filter_map(speed).collect();
        debug_assert!(speeds.len() <= figures.len(), "a block has at most one speed");
        (!speeds.is_empty()).then_some(Self { engine, rows, figures, speeds })
    }

    fn values(&self) -> Vec<f64> {
        self.speeds.iter().map(|of| of.speed).collect()
    }

    /// Whether there is a block that counts.
    pub(super) fn has_fair_block(&self) -> bool {
        self.figures.iter().any(|row| row.is_fair())
    }

    /// The median speed.
    pub(super) fn middle(&self) -> Option<f64> {
        median(&self.values())
    }

    /// The line without a place. `bound` is the speed of the yardstick, 0 without one.
    pub(super) fn line(&self, bound: f64, budget_bytes: f64) -> Option<Line> {
        let speed = Estimate::of(&self.values())?;
        let middle = |value: &dyn Fn(&Row) -> Option<f64>| {
            median(&self.figures.iter().filter_map(|row| value(row)).collect::<Vec<_>>())
        };
        let memory_bytes = middle(&|row| row.memory_anon_bytes.map(|bytes| bytes as f64));
        let judged = self.figures.iter().filter_map(|row| row.steady);
        let unsteady = judged.clone().filter(|is_steady| !is_steady).count();
        Some(Line {
            at: 0,
            is_ranked: false,
            place: None,
            engine: self.engine.to_string(),
            durability: self.rows.first()?.durability.clone(),
            speed,
            speeds: self.speeds.clone(),
            ratio: None,
            share_of_bound: (bound > 0.0).then(|| speed.median / bound),
            p50_ns: middle(&|row| row.lat_p50_ns.map(|ns| ns as f64)),
            p99_ns: middle(&|row| row.lat_p99_ns.map(|ns| ns as f64)),
            p999_ns: middle(&|row| row.lat_p999_ns.map(|ns| ns as f64)),
            cpu_ns: middle(&|row| row.cpu_ns_per_op),
            write_amp: middle(&|row| row.write_amp),
            space_amp: middle(&|row| row.space_amp),
            memory_bytes,
            is_over_budget: memory_bytes.is_some_and(|bytes| bytes > BUDGET_SLACK * budget_bytes),
            page_cache_bytes: middle(&|row| row.page_cache_bytes.map(|bytes| bytes as f64)),
            has_disk_moved: self.rows.iter().any(|row| row.has_disk_moved()),
            has_fair_block: self.has_fair_block(),
            is_uncompared: false,
            is_overloaded: self.figures.iter().any(|row| row.is_overloaded()),
            is_unsteady: unsteady > 0 && 2 * unsteady >= judged.count(),
            longest_stall_ns: self
                .figures
                .iter()
                .filter_map(|row| row.longest_stall_ns())
                .reduce(f64::max),
            cut_short: self.rows.iter().any(|row| row.cut_short),
        })
    }
}
