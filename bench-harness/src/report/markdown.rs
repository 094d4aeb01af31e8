//! The report of a run in Markdown: every table, preparation included.

use super::columns::{Column, columns, engines_without_figures, title};
use super::{PhaseTable, RunFacts};
use crate::plan::EngineSettings;

/// How to read the tables; printed once.
pub(crate) const LEGEND: &str = "\
ops/s: operations divided by wall time; median of the blocks; loop: time that the harness takes for an operation, a
part of that; of bound: share of the fastest yardstick, paired within blocks; CPU: time of all threads for an
operation, without the loop; p50 to p99.9: of the timed calls; #: one more than the engines that the blocks show to be
faster, empty from one block, ? if no block compares the engine with those that have places; ~: no difference from the
baseline is shown, Holm's adjustment for all ranked pairs of a phase included; WA, SA: bytes written and kept per user
byte; memory: that of the engine without the mapped files of its directory, at the end of the phase; ‡: more than 1.1
times --mem, then or at its peak; cache: page cache of the engine's files; *: in some block the time limit ended the
phase or one before it, and that block is not compared; †: not steady in half of the blocks or more; »: in half of the
blocks or more, more than a tenth of the CPU time came after the clock; …: in some block the engine worked longer after
the clock than before and than 20 ms, so the time until it was at rest counts in the speed of that block; ∞: in some
block it still worked when the wait for that ended; that block is not compared, and from half of the blocks on none is;
!: in some block the disk speed changed by more than 1.5 times, and that block is not compared; nor are two engines in
a block in which they ran at different disk speeds; §: claims sync and made fewer syncs in some block than its writes
take, and is not compared; overloaded: less than 99 % of the operations due at the asked rate were made, so latencies
say nothing.";

/// The whole report.
pub(crate) fn render(run: &RunFacts, tables: &[PhaseTable], ended: &str) -> String {
    let head = format!(
        "# {}\n\nblocks: {}, seed: {}, memory for each engine: {} MiB{}; {ended}.\n\n{LEGEND}\n",
        run.run_id,
        run.blocks,
        run.seed,
        run.memory_budget_bytes >> 20,
        run.show_limit(),
    );
    let summary = super::summary::render(run, tables, usize::MAX);
    let tables = tables.iter().map(render_table);
    let summary = (!summary.is_empty()).then(|| format!("## Summary\n\n```text\n{summary}```\n"));
    let engine_settings = render_settings(&run.engine_settings);
    let parts = std::iter::once(head).chain(summary).chain(tables).chain([engine_settings]);
    parts.collect::<Vec<_>>().join("\n")
}

/// How the engines were set up.
fn render_settings(engine_settings: &[EngineSettings]) -> String {
    let lines =
        engine_settings.iter().map(|EngineSettings { engine, version, classes, settings }| {
            format!("| {engine} | {version} | {classes} | {settings} |")
        });
    let head =
        ["## Engines\n", "| engine | version | class | settings |", "| --- | --- | --- | --- |"];
    head.map(Into::into).into_iter().chain(lines).collect::<Vec<_>>().join("\n") + "\n"
}

fn render_table(table: &PhaseTable) -> String {
    let columns = columns(table);
    let row = |cell: &dyn Fn(&Column) -> String| {
        format!("| {} |", columns.iter().map(cell).collect::<Vec<_>>().join(" | "))
    };
    let mut lines = vec![
        format!("## {}\n", title(table)),
        row(&|column| column.heading.clone()),
        row(&|column| if column.is_left { "---".into() } else { "---:".into() }),
    ];
    lines.extend((0..table.lines.len()).map(|at| row(&|column| column.cells[at].clone())));
    if let Some(engines) = engines_without_figures(table) {
        lines.push(format!("\n{engines}"));
    }
    lines.join("\n") + "\n"
}
