//! The end of a run with several workloads: who won each phase, and what each engine costs.

use std::cmp::Ordering;

use super::alignment::align;
use super::columns::{engines_without_figures, show_memory, show_share, show_verdict};
use super::engine_line::EngineLine;
use super::text::wrap;
use super::{PhaseTable, RunFacts};
use crate::engines::{NULL_ENGINE, is_bound};
use crate::quantity::{show_bytes, show_ns, show_number};
use crate::statistics::median;

/// The headings of the costs.
const COSTS: [&str; 7] = ["engine", "CPU/op", "WA", "SA", "memory", "cache", "longest stall"];

/// How to read the costs.
const COSTS_LEGEND: &str =
    "CPU/op, WA, SA: median of the phases; memory, cache, longest stall: largest of the phases";

/// The costs in the order in which they drop where a terminal is too narrow for all of them.
const DROPPED: [&str; 5] = ["cache", "memory", "SA", "WA", "CPU/op"];

/// The summary of the phases that are not preparation; empty where there is one workload alone. Its lines have at most
/// `max_width` characters if costs that may drop make that possible.
pub(crate) fn render(run: &RunFacts, tables: &[PhaseTable], max_width: usize) -> String {
    if run.workloads.len() < 2 {
        return String::new();
    }
    let tables: Vec<_> = tables.iter().filter(|table| !table.is_preparation).collect();
    let winners = tables
        .iter()
        .map(|table| vec![format!("{} / {}", table.workload, table.phase), winner(table)]);
    let costs = run.engines.iter().filter(|engine| *engine != NULL_ENGINE);
    let costs = costs.filter_map(|engine| costs_of(engine, &tables));
    let head = COSTS.map(Into::into).to_vec();
    let costs = drop_costs(std::iter::once(head).chain(costs).collect(), max_width);
    let winners = align_all(&winners.collect::<Vec<_>>());
    let winners: String = winners.lines().map(|line| fit(line, max_width) + "\n").collect();
    let legend = fit(&format!("summary: costs ({COSTS_LEGEND})"), max_width);
    format!("summary: winners\n{winners}\n{legend}\n{}", align_all(&costs))
}

/// The line; in several lines where it is too long.
fn fit(line: &str, max_width: usize) -> String {
    if line.chars().count() <= max_width {
        return line.into();
    }
    let indent = "  ";
    let wrapped = wrap(line, max_width.saturating_sub(indent.len()));
    if line.starts_with(indent) {
        wrapped.lines().map(|part| format!("{indent}{part}")).collect::<Vec<_>>().join("\n")
    } else {
        wrapped
    }
}

/// The costs without those that drop, as long as a line of them is too long.
fn drop_costs(mut costs: Vec<Vec<String>>, max_width: usize) -> Vec<Vec<String>> {
    for heading in DROPPED {
        let widest = align_all(&costs).lines().map(|line| line.chars().count()).max();
        if widest.unwrap_or_default() <= max_width {
            break;
        }
        let Some(at) = costs[0].iter().position(|known| known == heading) else { continue };
        for line in &mut costs {
            drop(line.remove(at));
        }
    }
    costs
}

/// The winner of a phase, or the reason why there is none.
fn winner(table: &PhaseTable) -> String {
    let mut ranked: Vec<_> = table.ranked().collect();
    let is_one = ranked.len() == 1;
    // Engines that were compared with none of the others neither win nor lose.
    if ranked.iter().any(|line| line.place.is_some()) {
        ranked.retain(|line| line.place.is_some());
    }
    let Some((&first, others)) = ranked.split_first() else { return unranked(table) };
    if is_one {
        let share = first.share_of_bound.map(|share| format!(", {} of bound", show_share(share)));
        return format!("{} alone{}", first.engine, share.unwrap_or_default());
    }
    if first.is_uncompared {
        return "no block compares the engines with each other".into();
    }
    if first.place.is_none() {
        return format!("one block shows no difference; fastest: {}", first.engine);
    }
    winner_of(table, first, others)
}

/// `first` with its ratio to the next, if it is shown to be faster than all `others`; else all that are not shown to be slower.
fn winner_of(table: &PhaseTable, first: &EngineLine, others: &[&EngineLine]) -> String {
    assert!(!others.is_empty(), "a winner has somebody to beat");
    let is_beaten = |other: &&&EngineLine| {
        table.verdict(first, other).is_some_and(|verdict| verdict.is_shown && verdict.ratio > 1.0)
    };
    let equals: Vec<_> =
        others.iter().filter(|other| !is_beaten(other)).map(|other| &other.engine[..]).collect();
    if !equals.is_empty() {
        return format!("no difference shown: {}, {}", first.engine, equals.join(", "));
    }
    let next = others.iter().max_by(|a, b| a.speed.median.total_cmp(&b.speed.median));
    let ratio = next.and_then(|next| Some((next, table.verdict(first, next)?)));
    let ratio = ratio.map(|(next, verdict)| format!(" {} {}", show_verdict(verdict), next.engine));
    format!("{}{}", first.engine, ratio.unwrap_or_default())
}

/// The reason why no engine is ranked.
fn unranked(table: &PhaseTable) -> String {
    let kept: Vec<_> = table
        .lines
        .iter()
        .filter(|line| !is_bound(&line.engine) && line.durability == table.durability)
        .collect();
    let names = kept.iter().map(|line| &line.engine[..]).collect::<Vec<_>>().join(", ");
    let mut reasons = Vec::new();
    if kept.iter().any(|line| line.disk_speed_changed) {
        reasons.push("the disk speed changed in every block");
    }
    if kept.iter().any(|line| line.lacks_syncs) {
        reasons.push("too few syncs were made");
    }
    if kept.iter().any(|line| line.leaves_work_undone) {
        reasons.push("work was left undone in half of the blocks or more");
    }
    if kept.iter().any(|line| line.cut_short) {
        reasons.push("the time limit cut the work short in every block");
    }
    match (reasons.is_empty(), engines_without_figures(table)) {
        (false, _) => format!("not ranked: {names}; {}", reasons.join(" or ")),
        (true, Some(engines)) => engines,
        (true, None) => format!("no engine keeps {}", table.durability),
    }
}

/// One line of costs; `None` for an engine that was not measured.
fn costs_of(engine: &str, tables: &[&PhaseTable]) -> Option<Vec<String>> {
    let lines: Vec<_> = tables
        .iter()
        .filter_map(|table| table.lines.iter().find(|line| line.engine == engine))
        .collect();
    let values = |value: fn(&EngineLine) -> Option<f64>| {
        lines.iter().filter_map(|line| value(line)).collect::<Vec<_>>()
    };
    let middle = |value, show: fn(f64) -> String| median(&values(value)).map_or("-".into(), show);
    let largest = |value, show: fn(f64) -> String| {
        values(value).into_iter().reduce(f64::max).map_or("-".into(), show)
    };
    let measured = lines.iter().filter(|line| line.memory_bytes.is_some());
    let memory = measured
        .max_by(|a, b| a.memory_bytes.partial_cmp(&b.memory_bytes).unwrap_or(Ordering::Equal));
    let stall = |ns: f64| if ns > 0.0 { show_ns(ns) } else { "none".into() };
    (!lines.is_empty()).then(|| {
        vec![
            engine.to_string(),
            middle(|line| line.cpu_ns, show_ns),
            middle(|line| line.write_amp, show_number),
            middle(|line| line.space_amp, show_number),
            memory.map_or("-".into(), |line| show_memory(line)),
            largest(|line| line.page_cache_bytes, show_bytes),
            largest(|line| line.longest_stall_ns, stall),
        ]
    })
}

/// Lines of cells in columns, each as wide as its widest cell.
fn align_all(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    debug_assert!(lines.iter().all(|line| line.len() == columns), "lines have the same columns");
    let width =
        |at: usize| lines.iter().filter_map(|line| Some(line.get(at)?.chars().count())).max();
    let widths: Vec<_> = (0..columns).map(|at| width(at).unwrap_or_default()).collect();
    let show = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| (&cell[..], *width, true));
        align(cells) + "\n"
    };
    lines.iter().map(show).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::compare;
    use crate::row::Row;

    const PLAN: &str = r#"{
        "run_id": "run", "engines": ["own", "peer:a", "peer:b", "bound:null"],
        "workloads": [["w", {"about": "", "records": 10, "phase": [{"name": "put", "mix": {"put": 1}}]}],
                      ["v", {"about": "", "records": 10, "phase": [{"name": "get", "mix": {"get": 1}}]}]],
        "blocks": 3, "seed": 1, "durability": "buffered", "memory_budget_bytes": 1048576
    }"#;

    fn summary(speeds: &[(&str, [f64; 3])]) -> String {
        summary_within(speeds, usize::MAX)
    }

    fn summary_within(speeds: &[(&str, [f64; 3])], max_width: usize) -> String {
        let row = |engine: &str, (workload, phase): (&str, &str), block: u32, speed: f64| Row {
            engine: engine.into(),
            durability: "buffered".into(),
            block,
            workload: workload.into(),
            phase: phase.into(),
            op: "all".into(),
            threads: 1,
            throughput_ops_s: Some(speed),
            cpu_ns_per_op: Some(if phase == "put" { 300.0 } else { 100.0 }),
            write_amp: (phase == "put").then_some(1.5),
            stalls: Some(u64::from(block == 2 && phase == "put")),
            lat_max_ns: Some(u64::from(block) * 20_000_000),
            ..Row::default()
        };
        let rows = speeds.iter().flat_map(|(engine, speeds)| {
            (1..).zip(speeds).flat_map(move |(block, speed)| {
                [("w", "put"), ("v", "get")].map(|phase| row(engine, phase, block, *speed))
            })
        });
        let facts = serde_json::from_str(PLAN).unwrap();
        render(&facts, &compare(&facts, &rows.collect::<Vec<_>>()), max_width)
    }

    fn line<'s>(summary: &'s str, begin: &str) -> &'s str {
        summary.lines().find(|line| line.trim_start().starts_with(begin)).unwrap()
    }

    #[test]
    fn a_winner_stands_with_its_ratio_to_the_next_and_the_interval() {
        let summary = summary(&[
            ("own", [300.0, 303.0, 306.0]),
            ("peer:a", [100.0, 101.0, 101.0]),
            ("peer:b", [50.0, 51.0, 51.0]),
        ]);
        let line = line(&summary, "w / put");
        assert!(line.contains("own 3.01x [") && line.ends_with("peer:a"), "{summary}");
    }

    #[test]
    fn engines_that_nothing_tells_apart_have_no_winner() {
        let summary = summary(&[("own", [300.0, 90.0, 200.0]), ("peer:a", [100.0, 270.0, 190.0])]);
        let line = line(&summary, "v / get");
        assert!(line.contains("no difference shown: own, peer:a"), "{summary}");
    }

    #[test]
    fn each_engine_has_one_line_of_costs_over_all_phases() {
        let summary = summary(&[("own", [300.0; 3]), ("bound:null", [900.0; 3])]);
        let line = line(&summary, "own");
        for expected in ["200ns", "1.50", "40.0ms"] {
            assert!(line.contains(expected), "{expected}\n{summary}");
        }
        assert!(summary.contains("own alone") && !summary.contains(NULL_ENGINE), "{summary}");
    }

    /// The winner of phase `put`, from rows that `change` makes of even ones.
    fn winner_of(change: impl Fn(Row) -> Row) -> String {
        let facts = serde_json::from_str::<RunFacts>(PLAN).unwrap();
        let rows = (1..=3).flat_map(|block| {
            ["own", "peer:a"].map(|engine| {
                change(Row::of_puts(engine, "buffered", block, 100.0 + f64::from(block)))
            })
        });
        winner(&compare(&facts, &rows.collect::<Vec<_>>())[0])
    }

    #[test]
    fn engines_that_are_not_ranked_for_another_reason_are_not_said_to_miss_the_class() {
        let changed = winner_of(|row| Row {
            probe_before_ns: Some(100.0),
            probe_after_ns: Some(900.0),
            ..row
        });
        assert_eq!(changed, "not ranked: own, peer:a; the disk speed changed in every block");
        let cut = winner_of(|row| Row { cut_short: true, ..row });
        let expected = "not ranked: own, peer:a; the time limit cut the work short in every block";
        assert_eq!(cut, expected);
        let weak = winner_of(|row| Row { durability: "none".into(), ..row });
        assert_eq!(weak, "no engine keeps buffered");
    }

    #[test]
    fn a_summary_fits_a_terminal_of_forty_columns_and_loses_no_winner() {
        let speeds = [("own", [300.0, 90.0, 200.0]), ("peer:a", [100.0, 270.0, 190.0])];
        for max_width in [40, 60, 80, 100] {
            let summary = summary_within(&speeds, max_width);
            let widest = summary.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= max_width, "{max_width}\n{summary}");
            let words = summary.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.contains("v / get no difference shown: own, peer:a"), "{summary}");
            assert!(words.contains("engine") && words.contains("longest stall"), "{summary}");
        }
        assert!(!summary_within(&speeds, 40).contains("cache  "));
        assert!(summary(&speeds).lines().any(|line| line.contains("memory  cache")));
    }

    #[test]
    fn engines_that_no_block_compares_have_no_winner() {
        let apart = winner_of(|row| {
            let is_late = row.engine == "own";
            Row { block: row.block + if is_late { 3 } else { 0 }, ..row }
        });
        assert_eq!(apart, "no block compares the engines with each other");
    }
}
