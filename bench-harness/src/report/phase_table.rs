//! One phase of one workload, engine against engine.
//!
//! The engines that kept the durability class that was asked for are ranked. Yardsticks and engines of a weaker class are
//! listed below a rule, with their numbers and without a place. Places and ratios come from [`super::ranking`] alone.

use super::RunFacts;
use super::engine_line::{EngineBlocks, EngineLine};
use super::ranking::{Contestant, Ranking, Verdict};
use crate::engines::{NULL_ENGINE, is_bound};
use crate::quantity::show_bytes;
use crate::row::Row;
use crate::statistics::median;

/// The class in which only yardsticks of the same class measure others.
const SYNC: &str = "sync";

/// The table of a phase.
#[derive(Clone, Debug)]
pub(crate) struct PhaseTable {
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
    /// The time that the loop takes for an operation, in nanoseconds, where the engine that does nothing was run.
    pub(crate) loop_ns: Option<f64>,
    /// Whether the phase only fills the store for another.
    pub(crate) is_preparation: bool,
    /// Whether the table compares the time to open.
    pub(crate) is_opening: bool,
    /// The engine that ratios refer to.
    pub(crate) baseline: String,
    /// The engines that did not fit into the memory limit of a cell in some block; they have no line.
    pub(crate) did_not_fit: Vec<String>,
    /// The engines that made too few operations for a figure in every block; they have no line.
    pub(crate) without_figure: Vec<String>,
    /// The memory that a cell is limited to, as text; empty without a limit.
    pub(crate) memory_limit: String,
    /// Ranked lines first, best first; then the others.
    pub(crate) lines: Vec<EngineLine>,
    /// The comparisons of the lines with each other.
    ranking: Ranking,
}

/// The facts about a phase that the plan of a run has.
struct PhaseFacts<'p> {
    /// The subject of the workload.
    about: &'p str,
    /// The class that was asked for.
    asked: &'p str,
    /// Whether the phase only fills the store for another.
    is_preparation: bool,
}

/// All tables of a run, in the order of its plan.
pub(crate) fn compare(run: &RunFacts, rows: &[Row]) -> Vec<PhaseTable> {
    let mut tables = Vec::new();
    let mut groups = Vec::new();
    for (name, workload) in &run.workloads {
        let is_first_of_group = !groups.contains(&&workload.group);
        groups.push(&workload.group);
        let own_class = workload.durability.map(|class| class.to_string());
        let asked = own_class.as_deref().unwrap_or(&run.durability);
        let is_of_workload = |row: &&Row| row.op == "all" && row.workload == *name;
        let of_workload: Vec<_> = rows.iter().filter(is_of_workload).collect();
        for (at, phase) in workload.phase.iter().enumerate() {
            let of_phase = of_workload.iter().filter(|row| row.phase == phase.name);
            let of_phase: Vec<_> = of_phase.copied().collect();
            let is_last = at + 1 == workload.phase.len();
            let is_preparation = phase.load.is_some() && !is_last && !is_first_of_group;
            let facts = PhaseFacts { about: &workload.about, asked, is_preparation };
            tables.extend(compare_phase(run, &facts, &of_phase));
        }
    }
    tables
}

/// The table of a phase; `None` without rows.
fn compare_phase(run: &RunFacts, facts: &PhaseFacts<'_>, all: &[&Row]) -> Option<PhaseTable> {
    let did_not_fit = engines_that_did_not_fit(run, all);
    let rows: Vec<_> =
        all.iter().filter(|row| !did_not_fit.contains(&row.engine)).copied().collect();
    // The rows of an engine that did not fit have no figures, so the others decide whether the table compares openings.
    let first = rows.first().or(all.first())?;
    let is_opening = rows.iter().any(|row| row.open_ms.is_some());
    let blocks = run.engines.iter().filter_map(|engine| EngineBlocks::new(engine, &rows));
    let engines: Vec<_> = blocks.collect();
    let classes = all.iter().map(|row| &row.durability[..]);
    let strongest = classes.max_by_key(|class| class_rank(class))?;
    let bound = fastest_bound(&engines, strongest);
    let budget = run.memory_budget_bytes as f64;
    let line = |engine: &EngineBlocks<'_>| {
        let is_bounded = engine.name != NULL_ENGINE && is_comparable_to_bound(engine, strongest);
        engine.line(bound.filter(|_| is_bounded), budget)
    };
    let loop_ns = loop_ns(&engines, first.threads);
    let limit = run.memory_limit.map(|limit| show_bytes(limit.limit_bytes as f64));
    let mut table = PhaseTable {
        workload: first.workload.clone(),
        phase: first.phase.clone(),
        about: facts.about.to_string(),
        threads: first.threads,
        setting: setting(&rows),
        durability: facts.asked.to_string(),
        // On a schedule, the time for an operation is the time between arrivals.
        loop_ns: loop_ns.filter(|_| !is_opening && first.target_rate.is_none()),
        is_preparation: facts.is_preparation,
        is_opening,
        baseline: choose_baseline(run, &engines, strongest).to_string(),
        without_figure: without_figure(run, &rows, &engines),
        did_not_fit,
        memory_limit: limit.unwrap_or_default(),
        lines: engines.iter().filter_map(line).collect(),
        ranking: Ranking::new(&[]),
    };
    rank(&mut table);
    Some(table)
}

/// The engines that did not fit into the memory limit of a cell in some block.
fn engines_that_did_not_fit(run: &RunFacts, rows: &[&Row]) -> Vec<String> {
    let did_not_fit = |engine: &&String| {
        rows.iter().any(|row| row.engine == **engine && row.did_not_fit == Some(true))
    };
    run.engines.iter().filter(did_not_fit).cloned().collect()
}

/// The engine that ratios refer to: the one that was asked for. Without one, the first that kept the strongest class and has
/// a comparable block; else the first that kept that class; else the first of all. Empty without an engine.
fn choose_baseline<'e>(run: &RunFacts, engines: &[EngineBlocks<'e>], strongest: &str) -> &'e str {
    let is_asked = |engine: &&EngineBlocks<'_>| run.baseline.as_deref() == Some(engine.name);
    let fits = |engine: &&EngineBlocks<'_>| !is_bound(engine.name) && engine.kept(strongest);
    let is_comparable = |engine: &&EngineBlocks<'_>| fits(engine) && engine.is_comparable();
    let chosen = engines.iter().find(is_asked).or_else(|| engines.iter().find(is_comparable));
    let chosen = chosen.or_else(|| engines.iter().find(fits)).or(engines.first());
    chosen.map_or("", |engine| engine.name)
}

/// The engines that were measured and have no speed.
fn without_figure(run: &RunFacts, rows: &[&Row], engines: &[EngineBlocks<'_>]) -> Vec<String> {
    let is_without = |name: &&String| {
        let is_measured = rows.iter().any(|row| row.engine == **name);
        is_measured && !engines.iter().any(|engine| engine.name == **name)
    };
    run.engines.iter().filter(is_without).cloned().collect()
}

/// The yardstick whose median speed is the highest, if there is one.
fn fastest_bound<'e, 'r>(
    engines: &'e [EngineBlocks<'r>],
    strongest: &str,
) -> Option<&'e EngineBlocks<'r>> {
    let is_candidate = |engine: &&EngineBlocks<'_>| {
        bounds_others(engine.name) && is_comparable_to_bound(engine, strongest)
    };
    let speed = |engine: &&EngineBlocks<'_>| engine.median_speed().unwrap_or_default();
    engines.iter().filter(is_candidate).max_by(|left, right| speed(left).total_cmp(&speed(right)))
}

/// Whether an engine and a yardstick can be compared. The cost of a sync says nothing about engines that never wait for one,
/// and the other way round.
fn is_comparable_to_bound(engine: &EngineBlocks<'_>, strongest: &str) -> bool {
    (strongest != SYNC || engine.kept(strongest)) && engine.is_comparable()
}

/// The time that the loop takes for an operation on one of `threads` threads, if the engine that does nothing was run.
fn loop_ns(engines: &[EngineBlocks<'_>], threads: u32) -> Option<f64> {
    let null_engine = engines.iter().find(|engine| engine.name == NULL_ENGINE);
    let speed = null_engine.and_then(EngineBlocks::median_speed).filter(|speed| *speed > 0.0);
    speed.map(|speed| 1e9 * f64::from(threads) / speed)
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

impl PhaseTable {
    /// The speed of `line` in speeds of `other`; `None` where they share no block, or are one.
    pub(crate) fn verdict(&self, line: &EngineLine, other: &EngineLine) -> Option<Verdict> {
        self.ranking.verdict(line.ranking_index, other.ranking_index)
    }

    /// The lines that are ranked.
    pub(crate) fn ranked(&self) -> impl Iterator<Item = &EngineLine> {
        self.lines.iter().filter(|line| line.is_ranked)
    }
}

/// Compares the lines, gives places to those that may have one, and sorts them.
fn rank(table: &mut PhaseTable) {
    for line in &mut table.lines {
        let kept_the_class = line.durability == table.durability;
        line.is_ranked = !is_bound(&line.engine) && kept_the_class && line.is_comparable;
    }
    let contestants = table.lines.iter().map(|line| {
        // The figures of the others are shown and compared with nothing.
        let speeds = if line.is_comparable { &line.speeds[..] } else { &[] };
        Contestant { is_ranked: line.is_ranked, speeds }
    });
    let ranking = Ranking::new(&contestants.collect::<Vec<_>>());
    let baseline = table.lines.iter().position(|line| line.engine == table.baseline);
    for (at, line) in table.lines.iter_mut().enumerate() {
        line.ranking_index = at;
        line.place = ranking.place(at);
        line.is_uncompared = line.is_ranked && line.place.is_none() && line.speeds.len() > 1;
        line.ratio = baseline.and_then(|baseline| ranking.verdict(at, baseline));
    }
    table.ranking = ranking;
    table.lines.sort_by(|left, right| {
        let by_rank = right.is_ranked.cmp(&left.is_ranked);
        // A ranked engine with one comparable block has no place: it follows those that have one.
        let place = |line: &EngineLine| line.place.unwrap_or(usize::MAX);
        let by_place = by_rank.then(place(left).cmp(&place(right)));
        by_place.then(right.speed.median.total_cmp(&left.speed.median))
    });
    let ranked = table.ranked().count();
    let has_right_place = |line: &EngineLine| {
        line.place.is_none_or(|place| line.is_ranked && (1..=ranked).contains(&place))
    };
    assert!(table.lines.iter().all(has_right_place), "a place is one of the ranked");
    assert!(table.lines.is_sorted_by_key(|line| !line.is_ranked), "the rule parts the lines");
}

/// Whether results are shown as shares of this engine's speed: the engine that does nothing bounds nothing.
fn bounds_others(engine: &str) -> bool {
    is_bound(engine) && engine != NULL_ENGINE
}

fn class_rank(class: &str) -> usize {
    crate::durability::NAMES.iter().position(|name| *name == class).unwrap_or_default()
}

#[cfg(test)]
mod tests;
