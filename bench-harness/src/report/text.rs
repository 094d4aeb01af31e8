//! Tables for a terminal.

use super::Comparison;
use super::comparison::Line;
use crate::plan::SetUp;
use crate::quantity::{show_bytes, show_count, show_ns, show_number};
use crate::statistics::Estimate;

/// A column: its heading and the cell of each line.
pub(super) struct Column {
    /// The heading.
    pub(super) heading: String,
    /// Whether cells begin at the left.
    pub(super) is_left: bool,
    /// One cell a line.
    pub(super) cells: Vec<String>,
}

/// The columns in the order in which they drop where a terminal is too narrow for all of them; the others stay.
const DROPPED: [&str; 10] =
    ["class", "memory", "SA", "WA", "p99.9", "CPU", "p50", "of bound", "p99", "95% interval"];

/// The table in aligned columns, at most `limit` characters wide if columns that may drop make that possible.
pub(crate) fn render(table: &Comparison, limit: usize) -> String {
    let mut columns = columns(table);
    for heading in DROPPED {
        if total_width(&columns) <= limit {
            break;
        }
        columns.retain(|column| column.heading != heading);
    }
    let widths: Vec<_> = columns.iter().map(Column::width).collect();
    let line = |cell: &dyn Fn(&Column) -> String| {
        let cells = columns.iter().zip(&widths).map(|(column, &width)| {
            let text = cell(column);
            if column.is_left { format!("{text:<width$}") } else { format!("{text:>width$}") }
        });
        format!("  {}", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    let mut lines = vec![wrap(&title(table), limit), line(&|column| column.heading.clone())];
    let ranked = table.lines.iter().filter(|line| line.place.is_some()).count();
    for at in 0..table.lines.len() {
        if at == ranked {
            lines.push(rule(table, total_width(&columns) - 2, limit));
        }
        lines.push(line(&|column| column.cells[at].clone()));
    }
    lines.join("\n") + "\n"
}

impl Column {
    fn width(&self) -> usize {
        self.cells.iter().map(String::len).chain([self.heading.len()]).max().unwrap_or(0)
    }
}

/// The width of a line with these columns, its indent included.
fn total_width(columns: &[Column]) -> usize {
    columns.iter().map(|column| 2 + column.width()).sum()
}

/// `text` in lines of at most `limit` characters, further ones indented; a longer word has a line of its own.
pub(crate) fn wrap(text: &str, limit: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= limit => {
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
pub(crate) fn render_set_ups(set_ups: &[SetUp], limit: usize) -> String {
    let line = |SetUp { engine, version, classes, settings }: &SetUp| {
        wrap(&format!("{engine} {version} ({classes}): {settings}"), limit) + "\n"
    };
    std::iter::once("engines\n".into()).chain(set_ups.iter().map(line)).collect()
}

fn rule(table: &Comparison, width: usize, limit: usize) -> String {
    let text = format!(
        "--- not ranked: yardsticks, and engines that keep less than {} ",
        table.durability
    );
    let text: String = text.chars().take(limit.saturating_sub(2)).collect();
    format!("  {text:-<width$}").trim_end().to_string()
}

/// The subject of a table, in one line.
pub(super) fn title(table: &Comparison) -> String {
    let Comparison { workload, phase, about, setting, durability, .. } = table;
    let loop_ns = table.loop_ns.map_or(String::new(), |ns| format!(", loop {}", show_ns(ns)));
    format!("{workload} / {phase}: {about} ({durability}, {setting}{loop_ns})")
}

/// The columns that have something to say.
pub(super) fn columns(table: &Comparison) -> Vec<Column> {
    let speed = if table.is_opening {
        [
            column("open", table, |line| show_ns(1e9 / line.speed.median)),
            column("95% interval", table, |line| {
                let turned = line.speed.interval.map(|(low, high)| (1e9 / high, 1e9 / low));
                turned.map_or(String::new(), |(low, high)| {
                    format!("[{} .. {}]", show_ns(low), show_ns(high))
                })
            }),
        ]
    } else {
        [
            column("ops/s", table, |line| show_count(line.speed.median)),
            column("95% interval", table, |line| {
                line.speed.interval.map_or(String::new(), |(low, high)| {
                    format!("[{} .. {}]", show_count(low), show_count(high))
                })
            }),
        ]
    };
    let [speed, interval] = speed;
    let optional = |value: Option<f64>, show: fn(f64) -> String| value.map_or(String::new(), show);
    let columns = vec![
        Column {
            is_left: true,
            ..column("#", table, |line| line.place.map_or("-".into(), |place| place.to_string()))
        },
        Column {
            is_left: true,
            ..column("engine", table, |line| {
                format!("{}{}", line.engine, if line.cut_short { "*" } else { "" })
            })
        },
        speed,
        Column { is_left: true, ..interval },
        Column {
            is_left: true,
            ..column(&format!("vs {}", table.baseline), table, |line| ratio(line, table))
        },
        column("of bound", table, |line| {
            optional(line.share_of_bound, |share| format!("{:.0}%", share * 100.0))
        }),
        column("CPU", table, |line| optional(line.cpu_ns, show_ns)),
        column("p50", table, |line| optional(line.p50_ns, show_ns)),
        column("p99", table, |line| optional(line.p99_ns, show_ns)),
        column("p99.9", table, |line| optional(line.p999_ns, show_ns)),
        column("WA", table, |line| optional(line.write_amp, show_number)),
        column("SA", table, |line| optional(line.space_amp, show_number)),
        column("memory", table, |line| optional(line.memory_bytes, show_bytes)),
        Column { is_left: true, ..column("class", table, |line| line.durability.clone()) },
    ];
    columns.into_iter().filter(|column| column.cells.iter().any(|cell| !cell.is_empty())).collect()
}

fn column(heading: &str, table: &Comparison, cell: impl Fn(&Line) -> String) -> Column {
    let cells = table.lines.iter().map(cell).collect();
    Column { heading: heading.into(), is_left: false, cells }
}

fn ratio(line: &Line, table: &Comparison) -> String {
    if line.engine == table.baseline {
        return "baseline".into();
    }
    let Some(Estimate { median, interval }) = line.ratio else { return String::new() };
    let mark = if line.ratio.is_some_and(|ratio| ratio.may_be(1.0)) { "~" } else { "" };
    let interval = interval.map_or(String::new(), |(low, high)| {
        format!(" [{} .. {}]", show_number(low), show_number(high))
    });
    format!("{mark}{}x{interval}", show_number(median))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{FinishedRun, compare};
    use crate::row::Row;

    fn table() -> Comparison {
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
            rss_peak_bytes: Some(1 << 30),
            rss_base_bytes: Some(0),
            ..Row::default()
        };
        let rows = ["own", "bound:log+hash"].into_iter().flat_map(|e| [row(e, 1), row(e, 2)]);
        let run = FinishedRun {
            outline: serde_json::from_str(plan).unwrap(),
            command: Vec::new(),
            environment: serde_json::json!({}),
            outcome: "complete".into(),
            rows: rows.collect(),
        };
        compare(&run.outline, &run.rows).remove(0)
    }

    #[test]
    fn a_table_fits_a_terminal_of_eighty_columns_and_keeps_what_matters() {
        let text = render(&table(), 80);
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        for heading in ["engine", "ops/s", "vs own"] {
            assert!(text.contains(heading), "{heading}\n{text}");
        }
        assert!(!text.contains("class") && !text.contains("memory"), "{text}");
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
