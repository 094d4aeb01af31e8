//! One phase of one workload, engine against engine.
//!
//! Ranked are the engines that kept the durability class that was asked for. Yardsticks and engines of a weaker class
//! stand below a rule, with their numbers and without a place. Places and ratios come from [`super::ranking`] alone.

use super::Outline;
use super::ranking::{Contestant, Ranking, Verdict};
use crate::engines::{NULL, is_bound};
use crate::quantity::show_bytes;
use crate::row::Row;
use crate::statistics::{Estimate, median};

/// The class whose yardsticks stand apart.
const SYNC: &str = "sync";
/// How many budgets an engine may hold before it is marked: an allocator rounds, and code needs stacks.
const BUDGET_SLACK: f64 = 1.1;

/// A table.
#[derive(Clone, Debug)]
pub(crate) struct Comparison {
    /// The workload's name.
    pub(crate) workload: String,
    /// The phase's name.
    pub(crate) phase: String,
    /// The subject of the workload.
    pub(crate) about: String,
    /// Threads that ran the operations.
    pub(crate) threads: u32,
    /// Threads, class, records: the settings that all lines share.
    pub(crate) setting: String,
    /// The class that was asked for.
    pub(crate) durability: String,
    /// What the loop takes for an operation, in nanoseconds, where the engine that does nothing was run.
    pub(crate) loop_ns: Option<f64>,
    /// Whether the phase only fills the store for another.
    pub(crate) is_preparation: bool,
    /// Whether the table compares the time to open.
    pub(crate) is_opening: bool,
    /// The engine that ratios refer to.
    pub(crate) baseline: String,
    /// The engines that did not fit into the memory of a cell in some block; they have no line.
    pub(crate) misfits: Vec<String>,
    /// That memory.
    pub(crate) limit: String,
    /// Ranked lines first, best first; then the others.
    pub(crate) lines: Vec<Line>,
    /// The comparisons of the lines with each other.
    ranking: Ranking,
}

/// One engine of a table.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a mark of its own; any of them may be set"
)]
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Where the ranking has it.
    at: usize,
    /// Whether it kept the class that was asked for, on a disk that did not move in every block, and is no yardstick; if
    /// not, it stands below the rule.
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
    speeds: Vec<(u32, f64)>,
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
    /// Whether there is a block in which it did not.
    had_a_still_disk: bool,
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
    /// Whether a limit ended the phase in some block.
    pub(crate) cut_short: bool,
}

/// The rows of one engine, by block.
struct Series<'r> {
    engine: &'r str,
    rows: Vec<&'r Row>,
    speeds: Vec<(u32, f64)>,
}

/// All tables of a run, in the order of its plan.
pub(crate) fn compare(run: &Outline, rows: &[Row]) -> Vec<Comparison> {
    let mut tables = Vec::new();
    let mut groups = Vec::new();
    for (name, workload) in &run.workloads {
        let is_first_of_group = !groups.contains(&workload.group);
        groups.push(workload.group.clone());
        let phases = &workload.phase;
        for (at, phase) in phases.iter().enumerate() {
            let of_phase: Vec<_> = rows
                .iter()
                .filter(|row| row.op == "all" && row.workload == *name && row.phase == phase.name)
                .collect();
            let mut table = compare_phase(run, &of_phase);
            if let Some(table) = &mut table {
                table.about.clone_from(&workload.about);
                let is_last = at + 1 == phases.len();
                table.is_preparation = phase.load.is_some() && !is_last && !is_first_of_group;
                let own = workload.durability.map(|class| class.to_string());
                table.durability = own.unwrap_or_else(|| run.durability.clone());
                place(table);
            }
            tables.extend(table);
        }
    }
    tables
}

fn compare_phase(run: &Outline, rows: &[&Row]) -> Option<Comparison> {
    let misfits = run.engines.iter().filter(|engine| {
        rows.iter().any(|row| row.engine == **engine && row.did_not_fit == Some(true))
    });
    let misfits: Vec<_> = misfits.cloned().collect();
    let first = rows.first()?;
    let fitting: Vec<_> =
        rows.iter().filter(|row| !misfits.contains(&row.engine)).copied().collect();
    let (all, rows) = (rows, &fitting[..]);
    let is_opening = first.open_ms.is_some();
    let series: Vec<_> = run.engines.iter().filter_map(|e| Series::new(e, rows)).collect();
    let asked = all.iter().map(|row| &row.durability).max_by_key(|class| class_rank(class))?;
    let fits = |series: &&Series<'_>| {
        !is_bound(series.engine) && series.rows.iter().all(|row| row.durability == **asked)
    };
    let wanted = |s: &&Series<'_>| run.baseline.as_deref() == Some(s.engine);
    let baseline = series.iter().find(wanted).or_else(|| series.iter().find(fits));
    let baseline = baseline.or(series.first()).map_or("", |series| series.engine);
    if baseline.is_empty() && misfits.is_empty() {
        return None;
    }
    // The cost of a sync says nothing about engines that never wait for one, and the other way round.
    let is_measure = |series: &Series<'_>| {
        asked != SYNC || series.rows.iter().all(|row| row.durability == *asked)
    };
    let bounds = series.iter().filter(|series| is_yardstick(series.engine) && is_measure(series));
    let bound = bounds.filter_map(Series::middle).fold(0.0, f64::max);
    let own_bound = |series: &Series<'_>| {
        if is_measure(series) && series.engine != NULL { bound } else { 0.0 }
    };
    let null = series.iter().find(|series| series.engine == NULL);
    let speed = null.and_then(Series::middle).filter(|speed| *speed > 0.0);
    let loop_ns = speed.map(|speed| 1e9 * f64::from(first.threads) / speed);
    let budget = run.memory_budget_bytes as f64;
    let lines = series.iter().filter_map(|series| series.line(own_bound(series), budget)).collect();
    Some(Comparison {
        workload: first.workload.clone(),
        phase: first.phase.clone(),
        about: String::new(),
        threads: first.threads,
        setting: setting(rows),
        durability: asked.clone(),
        loop_ns: loop_ns.filter(|_| !is_opening),
        is_preparation: false,
        is_opening,
        baseline: baseline.to_string(),
        misfits,
        limit: run.memory_limit.map_or(String::new(), |limit| show_bytes(limit.limit_bytes as f64)),
        lines,
        ranking: Ranking::new(&[]),
    })
}

fn setting(rows: &[&Row]) -> String {
    let middle = |values: &dyn Fn(&Row) -> f64| {
        median(&rows.iter().map(|row| values(row)).collect::<Vec<_>>()).unwrap_or_default()
    };
    let threads = rows.first().map_or(1, |row| row.threads);
    format!(
        "{threads} thread{}, {} records of {} + {} B",
        if threads == 1 { "" } else { "s" },
        crate::quantity::show_whole(middle(&|row| row.records as f64)),
        crate::quantity::show_number(middle(&|row| row.key_bytes.unwrap_or_default())),
        crate::quantity::show_number(middle(&|row| row.value_bytes.unwrap_or_default())),
    )
}

impl<'r> Series<'r> {
    fn new(engine: &'r str, rows: &[&'r Row]) -> Option<Self> {
        let rows: Vec<_> = rows.iter().copied().filter(|row| row.engine == engine).collect();
        let speed = |row: &&Row| {
            let opening = row.open_ms.filter(|ms| *ms > 0.0).map(|ms| 1e3 / ms);
            Some((row.block, opening.or(row.throughput_ops_s)?))
        };
        // Where the disk itself moved in every block, the figures are shown and never ranked.
        let on_a_still_disk = rows.iter().filter(|row| !row.has_disk_moved());
        let mut speeds: Vec<_> = on_a_still_disk.filter_map(speed).collect();
        if speeds.is_empty() {
            speeds = rows.iter().filter_map(speed).collect();
        }
        (!speeds.is_empty()).then_some(Self { engine, rows, speeds })
    }

    fn values(&self) -> Vec<f64> {
        self.speeds.iter().map(|(_, speed)| *speed).collect()
    }

    fn middle(&self) -> Option<f64> {
        median(&self.values())
    }

    fn line(&self, bound: f64, budget_bytes: f64) -> Option<Line> {
        let speed = Estimate::of(&self.values())?;
        let middle = |value: &dyn Fn(&Row) -> Option<f64>| {
            median(&self.rows.iter().filter_map(|row| value(row)).collect::<Vec<_>>())
        };
        let memory_bytes = middle(&|row| row.memory_anon_bytes.map(|bytes| bytes as f64));
        let judged = self.rows.iter().filter_map(|row| row.steady);
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
            had_a_still_disk: self.rows.iter().any(|row| !row.has_disk_moved()),
            is_overloaded: self.rows.iter().any(|row| row.is_overloaded()),
            is_unsteady: unsteady > 0 && 2 * unsteady >= judged.count(),
            longest_stall_ns: self
                .rows
                .iter()
                .filter_map(|row| row.longest_stall_ns())
                .reduce(f64::max),
            cut_short: self.rows.iter().any(|row| row.cut_short),
        })
    }
}

impl Comparison {
    /// The speed of `line` in speeds of `other`; `None` where they share no block, or are one.
    pub(crate) fn verdict(&self, line: &Line, other: &Line) -> Option<Verdict> {
        self.ranking.verdict(line.at, other.at)
    }

    /// The lines that are ranked.
    pub(crate) fn ranked(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.is_ranked)
    }
}

/// Compares the lines, gives places to those that may have one, and sorts them.
fn place(table: &mut Comparison) {
    for line in &mut table.lines {
        let kept_the_class = line.durability == table.durability;
        line.is_ranked = !is_bound(&line.engine) && kept_the_class && line.had_a_still_disk;
    }
    let contestants = table.lines.iter();
    let contestants =
        contestants.map(|line| Contestant { is_ranked: line.is_ranked, speeds: &line.speeds });
    let ranking = Ranking::new(&contestants.collect::<Vec<_>>());
    let baseline = table.lines.iter().position(|line| line.engine == table.baseline);
    for (at, line) in table.lines.iter_mut().enumerate() {
        line.at = at;
        line.place = ranking.place(at);
        line.ratio = baseline.and_then(|baseline| ranking.verdict(at, baseline));
    }
    table.ranking = ranking;
    table.lines.sort_by(|left, right| {
        let by_rank = right.is_ranked.cmp(&left.is_ranked);
        let by_place = by_rank.then(left.place.cmp(&right.place));
        by_place.then(right.speed.median.total_cmp(&left.speed.median))
    });
    debug_assert!(table.lines.is_sorted_by_key(|line| !line.is_ranked), "the rule parts the lines");
}

/// Whether results are shown as shares of this engine's: the one that does nothing bounds nothing.
fn is_yardstick(engine: &str) -> bool {
    is_bound(engine) && engine != NULL
}

fn class_rank(class: &str) -> usize {
    crate::durability::NAMES.iter().position(|name| *name == class).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = r#"{
        "run_id": "run", "engines": ["own", "peer:a"],
        "workloads": [["w", {"about": "", "records": 10, "phase": [{"name": "put", "mix": {"put": 1}}]}]],
        "blocks": 3, "seed": 1, "durability": "sync", "memory_budget_bytes": 1048576
    }"#;

    /// The table of two engines of which one is three times as fast; the disk moves in those blocks of the slower one.
    fn table(moved: &[u32]) -> Comparison {
        let row = |engine, block, speed, probe_after| Row {
            probe_before_ns: Some(100.0),
            probe_after_ns: Some(probe_after),
            steady: Some(block > 1),
            ..Row::of_puts(engine, "sync", block, speed)
        };
        let rows = (1..=3).flat_map(|block| {
            let (speed, after) =
                if moved.contains(&block) { (900.0, 200.0) } else { (100.0, 99.0) };
            let slow = row("peer:a", block, speed + f64::from(block), after);
            [row("own", block, 300.0 + f64::from(block), 101.0), slow]
        });
        compare(&serde_json::from_str(PLAN).unwrap(), &rows.collect::<Vec<_>>()).remove(0)
    }

    fn places(table: &Comparison) -> Vec<(&str, bool, Option<usize>)> {
        table.lines.iter().map(|line| (&line.engine[..], line.is_ranked, line.place)).collect()
    }

    #[test]
    fn a_block_in_which_the_disk_moved_is_not_compared() {
        let table = table(&[2]);
        assert_eq!(places(&table), [("own", true, Some(1)), ("peer:a", true, Some(2))]);
        let slow = &table.lines[1];
        assert!(slow.has_disk_moved && (101.0..104.0).contains(&slow.speed.median), "{slow:?}");
    }

    #[test]
    fn an_engine_whose_disk_moved_in_every_block_is_not_ranked() {
        let table = table(&[1, 2, 3]);
        assert_eq!(places(&table), [("own", true, Some(1)), ("peer:a", false, None)]);
        assert!(table.lines[1].speed.median > 900.0);
    }

    #[test]
    fn one_block_of_three_that_was_not_steady_is_no_dagger() {
        assert!(table(&[]).lines.iter().all(|line| !line.is_unsteady));
    }
}
