//! The table for the README: every engine of the workspace against the fastest engine of others, phase by phase.
//!
//! Only ranked peers count. The others stand in a column of their own, with the class that they kept if it is weaker.
//! Ratios are paired within blocks, as everywhere.

use super::columns::{LEFT_UNDONE, SETTLED_LATE, show_ratio, show_share, show_verdict};
use super::engine_line::EngineLine;
use super::ranking::Verdict;
use super::{FinishedRun, PhaseTable, compare};
use crate::engines::{is_bound, is_peer};
use crate::quantity::{show_bytes, show_count, show_ns, show_number};

const HEAD: &str = "\
| workload / phase | threads | engine | its result | best peer | ratio | of bound | peers without a place |
| --- | ---: | --- | ---: | --- | --- | ---: | --- |";

/// One table for each run, under a line that names its workload and its machine.
pub(crate) fn render(runs: &[FinishedRun]) -> String {
    runs.iter().map(render_run).collect::<Vec<_>>().join("\n")
}

fn render_run(run: &FinishedRun) -> String {
    let tables = compare(&run.facts, &run.rows);
    let lines = tables.iter().filter(|table| !is_load(table)).flat_map(render_phase);
    let parts = [title(run), HEAD.into()].into_iter().chain(lines);
    parts.collect::<Vec<_>>().join("\n") + "\n"
}

/// Loads in batches are preparation for all engines alike; the phase that is compared is called by its measure.
fn is_load(table: &PhaseTable) -> bool {
    table.is_preparation || table.phase == "load"
}

fn title(run: &FinishedRun) -> String {
    let text = |name: &str| run.environment[name].as_str().unwrap_or("?");
    let first_words =
        |name: &str, count: usize| text(name).split(' ').take(count).collect::<Vec<_>>().join(" ");
    let cores = run.environment["cores"].as_u64().unwrap_or_default();
    let record = run.rows.iter().find_map(|row| Some((row.key_bytes?, row.value_bytes?)));
    let (key_bytes, value_bytes) = record.unwrap_or_default();
    format!(
        "**{}**: keys of {} B, values of {} B. `kvbench {}`; {cores} cores ({}), {}, Linux {}, {}; blocks: {}, memory \
         for each engine: {}{}; {}.\n",
        run.facts.run_id,
        show_number(key_bytes),
        show_number(value_bytes),
        run.command.join(" "),
        text("cpu"),
        first_words("file_system", 1),
        text("kernel").split('-').next().unwrap_or_default(),
        first_words("rustc", 2),
        run.facts.blocks,
        show_bytes(run.facts.memory_budget_bytes as f64),
        run.facts.show_limit(),
        run.outcome,
    )
}

fn render_phase(table: &PhaseTable) -> Vec<String> {
    let is_ranked = |line: &&EngineLine| line.is_ranked;
    let peers = || table.lines.iter().filter(|line| is_peer(&line.engine));
    let best = fastest(peers().filter(is_ranked));
    let unranked = peers().filter(|line| !is_ranked(line)).map(|line| {
        let reason =
            if line.durability == table.durability { "not compared" } else { &line.durability };
        format!("{} ({reason})", show_peer(table, line))
    });
    let unranked = unranked.chain(not_fitting(table)).collect::<Vec<_>>().join(", ");
    // An own engine without a place keeps its line, and has no ratio.
    let keeps_class = |line: &&EngineLine| line.durability == table.durability;
    let own = table.lines.iter().filter(keeps_class);
    let own = own.filter(|line| !is_peer(&line.engine) && !is_bound(&line.engine));
    own.map(|line| {
        let PhaseTable { workload, phase, threads, .. } = table;
        let speed = show_speed(table, line);
        let peer = best.map_or("-".into(), |best| show_peer(table, best));
        let ratio = best.filter(|_| line.is_ranked).and_then(|best| table.verdict(line, best));
        let ratio = ratio.map_or(String::new(), ratio_cell);
        let share = line.share_of_bound.map_or(String::new(), show_share);
        format!(
            "| {workload} / {phase} | {threads} | {} | {speed} | {peer} | {ratio} | {share} | {unranked} |",
            line.engine
        )
    })
    .collect()
}

/// The peers that did not fit into the memory of a cell, as one text.
fn not_fitting(table: &PhaseTable) -> Option<String> {
    let peers =
        table.did_not_fit.iter().filter(|engine| is_peer(engine)).map(|name| without_prefix(name));
    let names = peers.collect::<Vec<_>>().join(", ");
    (!names.is_empty()).then(|| format!("did not fit in {}: {names}", table.memory_limit))
}

fn fastest<'l>(lines: impl Iterator<Item = &'l EngineLine>) -> Option<&'l EngineLine> {
    lines.max_by(|left, right| left.speed.median.total_cmp(&right.speed.median))
}

fn show_peer(table: &PhaseTable, line: &EngineLine) -> String {
    format!("{} {}", without_prefix(&line.engine), show_speed(table, line))
}

fn without_prefix(engine: &str) -> &str {
    engine.strip_prefix("peer:").unwrap_or(engine)
}

fn show_speed(table: &PhaseTable, line: &EngineLine) -> String {
    let cut = if line.cut_short { "*" } else { "" };
    let undone = if line.leaves_work_undone { LEFT_UNDONE } else { "" };
    let late = if line.settles_late && !table.is_opening { SETTLED_LATE } else { "" };
    let speed = line.speed.median;
    let speed = if table.is_opening { show_ns(1e9 / speed) } else { show_count(speed) };
    format!("{speed}{late}{cut}{undone}")
}

/// How much faster; bold where the blocks show that it is, `~` where they show no difference.
fn ratio_cell(verdict: Verdict) -> String {
    if !verdict.is_shown || verdict.ratio <= 1.0 {
        return show_verdict(verdict);
    }
    let (ratio, interval) = show_ratio(verdict);
    format!("**{ratio}**{interval}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Row;

    const PLAN: &str = r#"{
        "run_id": "run", "engines": ["own", "peer:fast", "peer:safe", "bound:log"],
        "workloads": [["w", {"about": "", "records": 10, "phase": [{"name": "put", "mix": {"put": 1}}]}]],
        "blocks": 2, "seed": 1, "durability": "buffered", "memory_budget_bytes": 1048576
    }"#;

    fn run(speeds: &[(&str, &str, [f64; 2])]) -> FinishedRun {
        let rows = speeds.iter().flat_map(|(engine, durability, speeds)| {
            let row = |block, speed| Row::of_puts(engine, durability, block, speed);
            [row(1, speeds[0]), row(2, speeds[1])]
        });
        FinishedRun {
            facts: serde_json::from_str(PLAN).unwrap(),
            command: vec!["run".into()],
            environment: serde_json::json!({}),
            outcome: "complete".into(),
            rows: rows.collect(),
        }
    }

    #[test]
    fn a_peer_that_keeps_less_is_shown_and_never_the_best() {
        let run = run(&[
            ("own", "buffered", [300.0, 303.0]),
            ("peer:fast", "none", [900.0, 900.0]),
            ("peer:safe", "buffered", [100.0, 101.0]),
            ("bound:log", "buffered", [600.0, 606.0]),
        ]);
        let table = render(&[run]);
        let line = table.lines().last().unwrap();
        assert_eq!(
            line,
            "| w / put | 1 | own | 302 | safe 100 | **3.00x** [3.00 .. 3.00] | 50% | fast 900 (none) |"
        );
    }

    /// The last line of the table where `engine` still worked after each phase.
    fn line_without_a_place_for(engine: &str) -> String {
        let mut run =
            run(&[("own", "buffered", [300.0, 303.0]), ("peer:safe", "buffered", [100.0, 101.0])]);
        let rows = run.rows.iter_mut().filter(|row| row.engine == engine);
        rows.for_each(|row| row.is_at_rest = Some(false));
        render(&[run]).lines().last().unwrap().into()
    }

    #[test]
    fn a_peer_that_keeps_the_class_and_has_no_place_is_not_said_to_keep_less() {
        let line = line_without_a_place_for("peer:safe");
        assert!(!line.ends_with("| safe 100 |"), "{line}");
    }

    #[test]
    fn a_phase_in_which_the_own_engine_has_no_place_keeps_its_line() {
        let line = line_without_a_place_for("own");
        assert!(line.starts_with("| w / put | 1 | own |"), "{line}");
    }

    #[test]
    fn an_engine_that_left_work_undone_has_its_mark() {
        let line = line_without_a_place_for("own");
        assert!(line.contains("| 302∞ |"), "{line}");
    }

    #[test]
    fn an_engine_that_settles_late_is_compared_by_the_time_until_it_is_at_rest_and_has_its_mark() {
        let mut run =
            run(&[("own", "buffered", [300.0, 303.0]), ("peer:safe", "buffered", [100.0, 101.0])]);
        for row in run.rows.iter_mut().filter(|row| row.engine == "own") {
            row.duration_s = 1.0;
            row.deferred_s = Some(2.0);
            row.settled_throughput_ops_s = row.throughput_ops_s.map(|speed| speed / 3.0);
        }
        let table = render(&[run]);
        assert!(table.contains("| own | 100… | safe 100 | ~1.00x "), "{table}");
    }

    #[test]
    fn an_engine_whose_figures_are_without_some_block_has_the_mark_and_a_ratio() {
        let mut run =
            run(&[("own", "buffered", [300.0, 303.0]), ("peer:safe", "buffered", [100.0, 101.0])]);
        run.rows.push(Row::of_puts("peer:safe", "buffered", 3, 102.0));
        let undone = Row { is_at_rest: Some(false), ..Row::of_puts("own", "buffered", 3, 900.0) };
        run.rows.push(undone);
        let table = render(&[run]);
        assert!(table.contains("| own | 302∞ | safe 101 | **3.00x** "), "{table}");
    }

    #[test]
    fn peers_that_did_not_fit_are_named_once_and_yardsticks_are_not() {
        let mut run =
            run(&[("own", "buffered", [300.0, 303.0]), ("peer:safe", "buffered", [1.0; 2])]);
        let without = |engine: &str| Row {
            did_not_fit: Some(true),
            ..Row::of_puts(engine, "buffered", 1, 1.0)
        };
        run.rows.extend(["peer:fast", "bound:log"].map(without));
        run.facts.engines.push("peer:slow".into());
        run.rows.push(without("peer:slow"));
        let table = render(&[run]);
        assert!(table.ends_with(" did not fit in : fast, slow |\n"), "{table}");
    }

    #[test]
    fn what_the_blocks_do_not_show_is_not_claimed() {
        let run = run(&[("own", "buffered", [300.0, 90.0]), ("peer:safe", "buffered", [100.0; 2])]);
        assert!(render(&[run]).lines().last().unwrap().contains("| ~1.64x ["));
    }
}
