//! The table for the README: every engine of the workspace against the fastest engine of others, phase by phase.
//!
//! Only peers that kept the durability class that was asked for count; weaker ones stand in a column of their own.
//! Ratios are paired within blocks, as everywhere.

use super::line::Line;
use super::ranking::Verdict;
use super::{Comparison, FinishedRun, compare};
use crate::engines::{is_bound, is_peer};
use crate::quantity::{show_bytes, show_count, show_ns, show_number};

const HEAD: &str = "\
| workload / phase | threads | engine | its result | best peer | ratio | of bound | peers that keep less |
| --- | ---: | --- | ---: | --- | --- | ---: | --- |";

/// One table for each run, under a line that names its workload and its machine.
pub(crate) fn render(runs: &[FinishedRun]) -> String {
    runs.iter().map(render_run).collect::<Vec<_>>().join("\n")
}

fn render_run(run: &FinishedRun) -> String {
    let tables = compare(&run.outline, &run.rows);
    let lines = tables.iter().filter(|table| !is_load(table)).flat_map(render_phase);
    let parts = [title(run), HEAD.into()].into_iter().chain(lines);
    parts.collect::<Vec<_>>().join("\n") + "\n"
}

/// Loads in batches are preparation for all engines alike; the phase that is compared is called by its measure.
fn is_load(table: &Comparison) -> bool {
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
        run.outline.run_id,
        show_number(key_bytes),
        show_number(value_bytes),
        run.command.join(" "),
        text("cpu"),
        first_words("file_system", 1),
        text("kernel").split('-').next().unwrap_or_default(),
        first_words("rustc", 2),
        run.outline.blocks,
        show_bytes(run.outline.memory_budget_bytes as f64),
        run.outline.show_limit(),
        run.outcome,
    )
}

fn render_phase(table: &Comparison) -> Vec<String> {
    let is_ranked = |line: &&Line| line.is_ranked;
    let peers = || table.lines.iter().filter(|line| is_peer(&line.engine));
    let best = fastest(peers().filter(is_ranked));
    let weaker: Vec<_> =
        peers().filter(|line| !is_ranked(line)).map(|line| show_peer(table, line)).collect();
    let not_fitting = table.misfits.iter().map(|engine| {
        let name = engine.strip_prefix("peer:").unwrap_or(engine);
        format!("{name} did not fit in {}", table.limit)
    });
    let weaker: Vec<_> = weaker.into_iter().chain(not_fitting).collect();
    let weaker = weaker.join(", ");
    let own = table.lines.iter().filter(is_ranked);
    let own = own.filter(|line| !is_peer(&line.engine) && !is_bound(&line.engine));
    own.map(|line| {
        let Comparison { workload, phase, threads, .. } = table;
        let speed = show_speed(table, line);
        let peer = best.map_or("-".into(), |best| show_peer(table, best));
        let ratio = best.and_then(|best| table.verdict(line, best));
        let ratio = ratio.map_or(String::new(), ratio_cell);
        let share = line.share_of_bound.map(|share| format!("{:.0}%", share * 100.0));
        let share = share.unwrap_or_default();
        format!(
            "| {workload} / {phase} | {threads} | {} | {speed} | {peer} | {ratio} | {share} | {weaker} |",
            line.engine
        )
    })
    .collect()
}

fn fastest<'l>(lines: impl Iterator<Item = &'l Line>) -> Option<&'l Line> {
    lines.max_by(|left, right| left.speed.median.total_cmp(&right.speed.median))
}

fn show_peer(table: &Comparison, line: &Line) -> String {
    format!("{} {}", short(line), show_speed(table, line))
}

fn short(line: &Line) -> &str {
    line.engine.strip_prefix("peer:").unwrap_or(&line.engine)
}

fn show_speed(table: &Comparison, line: &Line) -> String {
    let cut = if line.cut_short { "*" } else { "" };
    if table.is_opening {
        return format!("{}{cut}", show_ns(1e9 / line.speed.median));
    }
    format!("{}{cut}", show_count(line.speed.median))
}

/// How much faster; bold where the blocks show that it is, `~` where they show no difference.
fn ratio_cell(verdict: Verdict) -> String {
    let interval = verdict.interval.map_or(String::new(), |(low, high)| {
        format!(" [{} .. {}]", show_number(low), show_number(high))
    });
    let number = format!("{}x", show_number(verdict.ratio));
    match (verdict.is_shown, verdict.ratio > 1.0) {
        (false, _) => format!("~{number}{interval}"),
        (true, true) => format!("**{number}**{interval}"),
        (true, false) => format!("{number}{interval}"),
    }
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
            outline: serde_json::from_str(PLAN).unwrap(),
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
            "| w / put | 1 | own | 302 | safe 100 | **3.00x** [3.00 .. 3.00] | 50% | fast 900 |"
        );
    }

    #[test]
    fn what_the_blocks_do_not_show_is_not_claimed() {
        let run = run(&[("own", "buffered", [300.0, 90.0]), ("peer:safe", "buffered", [100.0; 2])]);
        assert!(render(&[run]).lines().last().unwrap().contains("| ~1.64x ["));
    }
}
