//! One phase of one workload, engine against engine.
//!
//! Ranked are the engines that kept the durability class that was asked for. Yardsticks and engines of a weaker class
//! stand below a rule, with their numbers and without a place. Engines that the intervals cannot tell from the one
//! above share its place.

use super::Outline;
use crate::engines::{NULL, is_bound};
use crate::row::Row;
use crate::statistics::{Estimate, median, paired_ratio};

/// The class whose yardsticks stand apart.
const SYNC: &str = "sync";

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
    /// Ranked lines first, best first; then the others.
    pub(crate) lines: Vec<Line>,
}

/// One engine of a table.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// The place; `None` below the rule.
    pub(crate) place: Option<usize>,
    /// The engine's name.
    pub(crate) engine: String,
    /// The class that it kept.
    pub(crate) durability: String,
    /// Operations or openings a second.
    pub(crate) speed: Estimate,
    /// The same in each block.
    pub(crate) speeds: Vec<(u32, f64)>,
    /// Its ratio to the baseline.
    pub(crate) ratio: Option<Estimate>,
    /// Its share of the fastest yardstick.
    pub(crate) share_of_bound: Option<f64>,
    /// Median latency in nanoseconds.
    pub(crate) p50_ns: Option<f64>,
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
    /// Peak memory without the harness's own, in bytes.
    pub(crate) memory_bytes: Option<f64>,
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
    let first = rows.first()?;
    let is_opening = first.open_ms.is_some();
    let series: Vec<_> = run.engines.iter().filter_map(|e| Series::new(e, rows)).collect();
    let asked = rows.iter().map(|row| &row.durability).max_by_key(|class| class_rank(class))?;
    let fits = |series: &&Series<'_>| {
        !is_bound(series.engine) && series.rows.iter().all(|row| row.durability == **asked)
    };
    let wanted = |s: &&Series<'_>| run.baseline.as_deref() == Some(s.engine);
    let baseline =
        series.iter().find(wanted).or_else(|| series.iter().find(fits)).or(series.first())?;
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
    let lines =
        series.iter().filter_map(|series| series.line(baseline, own_bound(series))).collect();
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
        baseline: baseline.engine.to_string(),
        lines,
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
        let speeds: Vec<_> = rows.iter().filter_map(speed).collect();
        (!speeds.is_empty()).then_some(Self { engine, rows, speeds })
    }

    fn values(&self) -> Vec<f64> {
        self.speeds.iter().map(|(_, speed)| *speed).collect()
    }

    fn middle(&self) -> Option<f64> {
        median(&self.values())
    }

    fn line(&self, baseline: &Self, bound: f64) -> Option<Line> {
        let speed = Estimate::of(&self.values())?;
        let middle = |value: &dyn Fn(&Row) -> Option<f64>| {
            median(&self.rows.iter().filter_map(|row| value(row)).collect::<Vec<_>>())
        };
        let is_baseline = self.engine == baseline.engine;
        Some(Line {
            place: None,
            engine: self.engine.to_string(),
            durability: self.rows.first()?.durability.clone(),
            speed,
            speeds: self.speeds.clone(),
            ratio: if is_baseline { None } else { paired_ratio(&self.speeds, &baseline.speeds) },
            share_of_bound: (bound > 0.0).then(|| speed.median / bound),
            p50_ns: middle(&|row| row.lat_p50_ns.map(|ns| ns as f64)),
            p99_ns: middle(&|row| row.lat_p99_ns.map(|ns| ns as f64)),
            p999_ns: middle(&|row| row.lat_p999_ns.map(|ns| ns as f64)),
            cpu_ns: middle(&|row| row.cpu_ns_per_op),
            write_amp: middle(&|row| row.write_amp),
            space_amp: middle(&|row| row.space_amp),
            memory_bytes: middle(&|row| {
                Some(row.rss_peak_bytes?.saturating_sub(row.rss_base_bytes?) as f64)
            }),
            cut_short: self.rows.iter().any(|row| row.cut_short),
        })
    }
}

/// Sorts the lines and gives places to those that may have one.
fn place(table: &mut Comparison) {
    let asked = table.durability.clone();
    let is_ranked = |line: &Line| !is_bound(&line.engine) && line.durability == asked;
    table.lines.sort_by(|left, right| {
        let by_rank = is_ranked(right).cmp(&is_ranked(left));
        by_rank.then(right.speed.median.total_cmp(&left.speed.median))
    });
    let mut leader: Option<(usize, Estimate)> = None;
    for at in 0..table.lines.len() {
        let line = &mut table.lines[at];
        if !is_ranked(line) {
            continue;
        }
        let place = match leader {
            Some((place, leading)) if overlap(leading, line.speed) => place,
            _ => {
                leader = Some((at + 1, line.speed));
                at + 1
            }
        };
        line.place = Some(place);
    }
}

/// Whether the blocks do not tell the two apart.
fn overlap(left: Estimate, right: Estimate) -> bool {
    match (left.interval, right.interval) {
        (Some(left), Some(right)) => left.0 <= right.1 && right.0 <= left.1,
        _ => false,
    }
}

/// Whether results are shown as shares of this engine's: the one that does nothing bounds nothing.
fn is_yardstick(engine: &str) -> bool {
    is_bound(engine) && engine != NULL
}

fn class_rank(class: &str) -> usize {
    crate::durability::NAMES.iter().position(|name| *name == class).unwrap_or_default()
}
