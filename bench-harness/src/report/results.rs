//! The results of a run, in the form that was asked for.

use super::markdown::{self, LEGEND};
use super::{PhaseTable, RunFacts, summary, text};
use crate::cli::Format;
use crate::csv_text::to_csv;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::row::Row;

/// The legend is text, and text has short lines.
const LEGEND_WIDTH: usize = 120;

/// The results of `run`, which `ended` in this way.
pub(crate) fn render(
    format: Format,
    run: &RunFacts,
    tables: &[PhaseTable],
    rows: &[Row],
    ended: &str,
) -> Outcome<String> {
    match format {
        Format::Table => Ok(render_tables(run, tables, output::width())),
        Format::Md => Ok(markdown::render(run, tables, ended)),
        Format::Csv => to_csv(rows, "the rows"),
        Format::Json => {
            let lines = rows.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>();
            let broken = |error| Failure::usage(format!("cannot show the rows: {error}"));
            Ok(lines.map_err(broken)?.join("\n") + "\n")
        }
    }
}

/// The tables that are not preparation, then the settings of the engines and the summary.
fn render_tables(run: &RunFacts, tables: &[PhaseTable], width: usize) -> String {
    let legend = text::wrap(LEGEND, width.min(LEGEND_WIDTH));
    let RunFacts { run_id, blocks, seed, .. } = run;
    let limit = run.show_limit();
    let head = format!("{run_id}, blocks: {blocks}, seed: {seed}{limit}\n{legend}\n");
    let shown = tables.iter().filter(|table| !table.is_preparation);
    let shown = shown.map(|table| text::render(table, width));
    let settings = text::render_settings(&run.engine_settings, width);
    let summary = summary::render(run, tables, width);
    let last = (!summary.is_empty()).then_some(summary);
    let parts = std::iter::once(head).chain(shown).chain([settings]).chain(last);
    parts.collect::<Vec<_>>().join("\n")
}
