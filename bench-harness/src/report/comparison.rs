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
    /// That memory.
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
    fn a_block_in_which_two_engines_met_different_disks_does_not_compare_them() {
        // In block 2 the disk under `peer:a` was three times as fast from begin to end, and so was the engine.
        let row = |engine, block, speed, sync_ns| Row {
            probe_before_ns: Some(sync_ns),
            probe_after_ns: Some(1.1 * sync_ns),
            ..Row::of_puts(engine, "sync", block, speed)
        };
        let rows = |lucky_ns: f64| {
            let rows = (1..=3).flat_map(|block| {
                let (speed, sync_ns) = if block == 2 { (900.0, lucky_ns) } else { (100.0, 300.0) };
                let speed = speed + f64::from(block);
                let own = row("own", block, 300.0 + f64::from(block), 300.0);
                [own, row("peer:a", block, speed, sync_ns)]
            });
            compare(&serde_json::from_str(PLAN).unwrap(), &rows.collect::<Vec<_>>()).remove(0)
        };
        let table = rows(100.0);
        assert_eq!(places(&table), [("own", true, Some(1)), ("peer:a", true, Some(2))]);
        assert!(table.lines.iter().all(|line| !line.has_disk_moved));
        // On one disk the same speeds are evidence, and show nothing.
        assert!(rows(300.0).lines.iter().all(|line| line.place == Some(1)));
    }

    #[test]
    fn one_block_of_three_that_was_not_steady_is_no_dagger() {
        assert!(table(&[]).lines.iter().all(|line| !line.is_unsteady));
    }
}
