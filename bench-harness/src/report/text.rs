//! Tables for a terminal.

use super::PhaseTable;
use super::alignment::align;
use super::columns::{Column, columns, engines_without_figures, title};
use crate::plan::EngineSettings;

/// The columns in the order in which they drop where a terminal is too narrow for all of them; the others stay.
const DROPPED: [&str; 11] = [
    "class",
    "cache",
    "memory",
    "SA",
    "WA",
    "p99.9",
    "CPU",
    "p50",
    "of bound",
    "p99",
    "95% interval",
];

/// The beginning of the heading of ratios; the engine that they refer to follows.
const RATIO: &str = "vs ";
/// The least characters of a cell that is cut.
const LEAST_WIDTH: usize = 6;

/// The table in aligned columns, at most `max_width` characters wide if columns that may drop make that possible.
pub(crate) fn render(table: &PhaseTable, max_width: usize) -> String {
    let mut columns = columns(table);
    for heading in DROPPED {
        if total_width(&columns) <= max_width {
            break;
        }
        columns.retain(|column| column.heading != heading);
    }
    narrow(&mut columns, max_width);
    let widths: Vec<_> = columns.iter().map(Column::width).collect();
    debug_assert!(columns.iter().all(|column| column.cells.len() == table.lines.len()));
    let line = |cell: &dyn Fn(&Column) -> String| {
        let texts: Vec<_> = columns.iter().map(cell).collect();
        let cells = texts.iter().zip(&columns).zip(&widths);
        align(cells.map(|((text, column), width)| (&text[..], *width, column.is_left)))
    };
    let mut lines = vec![wrap(&title(table), max_width), line(&|column| column.heading.clone())];
    let ranked = table.ranked().count();
    for at in 0..table.lines.len() {
        if at == ranked {
            lines.push(rule(table, total_width(&columns) - 2, max_width));
        }
        lines.push(line(&|column| column.cells[at].clone()));
    }
    lines.extend(engines_without_figures(table).map(|text| wrap(&format!("- {text}"), max_width)));
    lines.join("\n") + "\n"
}

/// Makes the columns that stay narrower, step by step, as long as a line is too long: the ratio without its interval, no
/// ratio, long words cut.
fn narrow(columns: &mut Vec<Column>, max_width: usize) {
    let is_ratio = |column: &Column| column.heading.starts_with(RATIO);
    if total_width(columns) > max_width {
        for column in columns.iter_mut().filter(|column| is_ratio(column)) {
            for cell in &mut column.cells {
                cell.truncate(cell.find(" [").unwrap_or(cell.len()));
            }
        }
    }
    if total_width(columns) > max_width {
        columns.retain(|column| !is_ratio(column));
    }
    while total_width(columns) > max_width {
        let Some(widest) = columns.iter_mut().max_by_key(|column| column.width()) else { return };
        let width = widest.width() - 1;
        if width < LEAST_WIDTH {
            return;
        }
        for text in widest.cells.iter_mut().chain([&mut widest.heading]) {
            if text.chars().count() > width {
                *text = text.chars().take(width - 1).chain(['…']).collect();
            }
        }
    }
}

/// The width of a line with these columns, its indent included.
fn total_width(columns: &[Column]) -> usize {
    columns.iter().map(|column| 2 + column.width()).sum()
}

/// `text` in lines of at most `max_width` characters, further ones indented; a longer word has a line of its own.
pub(crate) fn wrap(text: &str, max_width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= max_width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) => lines.push(format!("    {word}")),
            None => lines.push(word.into()),
        }
    }
    lines.join("\n")
}

/// How the engines were set up, a line each.
pub(crate) fn render_settings(engine_settings: &[EngineSettings], max_width: usize) -> String {
    let line = |EngineSettings { engine, version, classes, settings }: &EngineSettings| {
        wrap(&format!("{engine} {version} ({classes}): {settings}"), max_width) + "\n"
    };
    std::iter::once("engines\n".into()).chain(engine_settings.iter().map(line)).collect()
}

fn rule(table: &PhaseTable, width: usize, max_width: usize) -> String {
    let text = format!(
        "--- not ranked: yardsticks, and engines that keep less than {}, made too few syncs, left work undone, were cut \
         short, or ran while the disk speed changed ",
        table.durability
    );
    let text: String = text.chars().take(max_width.saturating_sub(2)).collect();
    format!("  {text:-<width$}").trim_end().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::columns::{
        DEFERRED, DISK_SPEED_CHANGED, LEFT_UNDONE, OVER_BUDGET, OVERLOADED, UNSTEADY, UNSYNCED,
        show_place,
    };
    use crate::report::{FinishedRun, compare};
    use crate::row::Row;

    fn table() -> PhaseTable {
        let plan = r#"{
            "run_id": "run", "engines": ["own", "bound:log+hash"],
            "workloads": [["w", {"about": "a workload with a long description that no narrow terminal can show",
                "records": 10, "phase": [{"name": "put", "mix": {"put": 1}}]}]],
            "blocks": 2, "seed": 1, "durability": "buffered", "memory_budget_bytes": 1048576
        }"#;
        let row = |engine: &str, block: u32| Row {
            engine: engine.into(),
            durability: "buffered".into(),
            block,
            workload: "w".into(),
            phase: "put".into(),
            op: "all".into(),
            threads: 1,
            throughput_ops_s: Some(1234.0 + f64::from(block)),
            lat_p50_ns: Some(1),
            lat_p99_ns: Some(2),
            lat_p999_ns: Some(3),
            cpu_ns_per_op: Some(5.0),
            write_amp: Some(1.5),
            space_amp: Some(1.5),
            memory_anon_bytes: Some(if engine == "own" { 1 << 30 } else { 1 << 20 }),
            page_cache_bytes: Some(1 << 29),
            ..Row::default()
        };
        let rows = ["own", "bound:log+hash"].into_iter().flat_map(|e| [row(e, 1), row(e, 2)]);
        let run = FinishedRun {
            facts: serde_json::from_str(plan).unwrap(),
            command: Vec::new(),
            environment: serde_json::json!({}),
            outcome: "complete".into(),
            rows: rows.collect(),
        };
        compare(&run.facts, &run.rows).remove(0)
    }

    /// The line of an engine; the title and the headings name engines, too.
    fn line_of<'t>(text: &'t str, engine: &str) -> &'t str {
        let is_line = |line: &&str| line.split_whitespace().nth(1) == Some(engine);
        text.lines().rfind(is_line).unwrap()
    }

    #[test]
    fn an_engine_below_the_asked_rate_is_overloaded_and_has_no_percentiles() {
        let mut table = table();
        table.lines[0].is_overloaded = true;
        let text = render(&table, usize::MAX);
        assert_eq!(line_of(&text, "own").matches(OVERLOADED).count(), 3, "{text}");
        let other = line_of(&text, "bound:log+hash");
        assert!(!other.contains(OVERLOADED) && other.contains("1.00ns"), "{text}");
    }

    #[test]
    fn a_speed_that_was_not_steady_has_a_dagger_and_columns_stay_aligned() {
        let mut table = table();
        table.lines[0].is_unsteady = true;
        let text = render(&table, usize::MAX);
        let own = line_of(&text, "own");
        assert_eq!(text.matches(UNSTEADY).count(), 1, "{text}");
        assert!(own.contains("k†"), "{own}");
        let interval = |line: &str| line.chars().position(|character| character == '[');
        assert_eq!(interval(own), interval(line_of(&text, "bound:log+hash")), "{text}");
        for mark in
            [UNSTEADY, DEFERRED, LEFT_UNDONE, OVERLOADED, DISK_SPEED_CHANGED, OVER_BUDGET, UNSYNCED]
        {
            assert!(crate::report::markdown::LEGEND.contains(&format!("{mark}: ")), "{mark}");
        }
    }

    #[test]
    fn an_engine_that_holds_more_than_its_budget_is_marked() {
        let text = render(&table(), usize::MAX);
        assert!(line_of(&text, "own").contains("1.00G‡"), "{text}");
        let other = line_of(&text, "bound:log+hash");
        assert!(other.contains("1.00M") && !other.contains(OVER_BUDGET), "{text}");
        assert!(text.lines().nth(1).is_some_and(|head| head.contains("memory  cache")), "{text}");
    }

    #[test]
    fn one_block_leaves_the_place_empty_above_the_rule() {
        let mut table = table();
        table.lines[0].place = None;
        assert_eq!(
            (show_place(&table.lines[0]), show_place(&table.lines[1])),
            (String::new(), "-".into())
        );
    }

    #[test]
    fn a_table_fits_a_terminal_of_eighty_columns_and_keeps_what_matters() {
        let text = render(&table(), 80);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        for heading in ["engine", "ops/s", "vs own"] {
            assert!(text.contains(heading), "{heading}\n{text}");
        }
        assert!(!text.contains("class") && !text.contains("memory"), "{text}");
    }

    #[test]
    fn a_table_fits_a_terminal_of_forty_columns_whatever_its_numbers() {
        let mut table = table();
        let mut noisy = table.lines[0].clone();
        noisy.speed.median = 1e9;
        noisy.speed.interval = Some((1e-7, 1.096_971_217_9e20));
        table.lines.push(noisy);
        let widest = |text: &str| text.lines().map(|line| line.chars().count()).max();
        for max_width in [20, 30, 40, 60] {
            let text = render(&table, max_width);
            let rows = text.lines().skip_while(|line| !line.contains("engine")).collect::<Vec<_>>();
            assert!(widest(&rows.join("\n")) <= Some(max_width), "{max_width}\n{text}");
        }
        assert!(render(&table, 40).contains("bound:log+hash"), "{}", render(&table, 40));
        let wide = render(&table, usize::MAX);
        assert!(wide.contains("[1.00e-7 .. 1.10e11G]"), "{wide}");
    }

    #[test]
    fn a_table_without_a_limit_has_every_column() {
        let text = render(&table(), usize::MAX);
        assert!(DROPPED.iter().all(|heading| text.contains(heading)), "{text}");
    }

    #[test]
    fn words_are_wrapped_and_none_is_lost() {
        assert_eq!(wrap("one two three", 9), "one two\n    three");
        assert_eq!(wrap("a verylongword b", 5), "a\n    verylongword\n    b");
    }
}
