//! One phase of one workload, engine against engine.
//!
//! Ranked are the engines that kept the durability class that was asked for. Yardsticks and engines of a weaker class
//! stand below a rule, with their numbers and without a place. Places and ratios come from [`super::ranking`] alone.

use super::Outline;
use super::line::{Line, Series};
use super::ranking::{Contestant, Ranking, Verdict};
use crate::engines::{NULL, is_bound};
use crate::quantity::show_bytes;
use crate::row::Row;
use crate::statistics::median;

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
    /// The engines that did not fit into the memory of a cell in some block; they have no line.
    pub(crate) misfits: Vec<String>,
    /// The engines that made too few operations for a figure in every block; they have no line.
    pub(crate) without_figure: Vec<String>,
    /// The memory of a cell, where it has a limit.
    pub(crate) limit: String,
    /// Ranked lines first, best first; then the others.
    pub(crate) lines: Vec<Line>,
    /// The comparisons of the lines with each other.
    ranking: Ranking,
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
    let fitting: Vec<_> =
        rows.iter().filter(|row| !misfits.contains(&row.engine)).copied().collect();
    let (all, rows) = (rows, &fitting[..]);
    // The rows of an engine that did not fit have no figures, so the others say what the table compares.
    let first = rows.first().or(all.first())?;
    let is_opening = rows.iter().any(|row| row.open_ms.is_some());
    let series: Vec<_> = run.engines.iter().filter_map(|e| Series::new(e, rows)).collect();
    let asked = all.iter().map(|row| &row.durability).max_by_key(|class| class_rank(class))?;
    let fits = |series: &&Series<'_>| {
        !is_bound(series.engine) && series.rows.iter().all(|row| row.durability == **asked)
    };
    let wanted = |s: &&Series<'_>| run.baseline.as_deref() == Some(s.engine);
    let fits_and_counts = |series: &&Series<'_>| fits(series) && series.has_fair_block();
    let baseline = series.iter().find(wanted).or_else(|| series.iter().find(fits_and_counts));
    let baseline = baseline.or_else(|| series.iter().find(fits));
    let baseline = baseline.or(series.first()).map_or("", |series| series.engine);
    let is_without = |engine: &&String| {
        let is_measured = rows.iter().any(|row| row.engine == **engine);
        is_measured && !series.iter().any(|series| series.engine == **engine)
    };
    let without_figure: Vec<_> = run.engines.iter().filter(is_without).cloned().collect();
    // The cost of a sync says nothing about engines that never wait for one, and the other way round.
    let is_measure = |series: &Series<'_>| {
        asked != SYNC || series.rows.iter().all(|row| row.durability == *asked)
    };
    let can_measure = |series: &Series<'_>| is_measure(series) && series.has_fair_block();
    let bounds = series.iter().filter(|series| is_yardstick(series.engine) && can_measure(series));
    let bound = bounds.filter_map(Series::middle).fold(0.0, f64::max);
    let own_bound = |series: &Series<'_>| {
        if can_measure(series) && series.engine != NULL { bound } else { 0.0 }
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
        // On a schedule, the time for an operation is the time between arrivals.
        loop_ns: loop_ns.filter(|_| !is_opening && first.target_rate.is_none()),
        is_preparation: false,
        is_opening,
        baseline: baseline.to_string(),
        misfits,
        without_figure,
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
        line.is_ranked = !is_bound(&line.engine) && kept_the_class && line.has_fair_block;
    }
    let contestants = table.lines.iter().map(|line| {
        // Figures without a block that counts are shown and compared with nothing.
        let speeds = if line.has_fair_block { &line.speeds[..] } else { &[] };
        Contestant { is_ranked: line.is_ranked, speeds }
    });
    let ranking = Ranking::new(&contestants.collect::<Vec<_>>());
    let baseline = table.lines.iter().position(|line| line.engine == table.baseline);
    for (at, line) in table.lines.iter_mut().enumerate() {
        line.at = at;
        line.place = ranking.place(at);
        line.is_uncompared = line.is_ranked && line.place.is_none() && line.speeds.len() > 1;
        line.ratio = baseline.and_then(|baseline| ranking.verdict(at, baseline));
    }
    table.ranking = ranking;
    table.lines.sort_by(|left, right| {
        let by_rank = right.is_ranked.cmp(&left.is_ranked);
        // A ranked engine with one comparable block has no place: it follows those that have one.
        let place = |line: &Line| line.place.unwrap_or(usize::MAX);
        let by_place = by_rank.then(place(left).cmp(&place(right)));
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
mod tests;
