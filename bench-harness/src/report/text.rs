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

/// The table in aligned columns.
pub(crate) fn render(table: &Comparison) -> String {
    let columns = columns(table);
    let widths: Vec<_> = columns
        .iter()
        .map(|column| {
            column.cells.iter().map(String::len).chain([column.heading.len()]).max().unwrap_or(0)
        })
        .collect();
    let line = |cell: &dyn Fn(&Column) -> String| {
        let cells = columns.iter().zip(&widths).map(|(column, &width)| {
            let text = cell(column);
            if column.is_left { format!("{text:<width$}") } else { format!("{text:>width$}") }
        });
        format!("  {}", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    let mut lines = vec![title(table), line(&|column| column.heading.clone())];
    let ranked = table.lines.iter().filter(|line| line.place.is_some()).count();
    let width = widths.iter().sum::<usize>() + 2 * widths.len() - 2;
    for at in 0..table.lines.len() {
        if at == ranked {
            lines.push(rule(table, width));
        }
        lines.push(line(&|column| column.cells[at].clone()));
    }
    lines.join("\n") + "\n"
}

/// How the engines were set up, a line each.
pub(crate) fn render_set_ups(set_ups: &[SetUp]) -> String {
    let line = |SetUp { engine, version, classes, settings }: &SetUp| {
        format!("  {engine} {version} ({classes}): {settings}\n")
    };
    std::iter::once("engines\n".into()).chain(set_ups.iter().map(line)).collect()
}

fn rule(table: &Comparison, width: usize) -> String {
    let text = format!(
        "--- not ranked: yardsticks, and engines that keep less than {} ",
        table.durability
    );
    format!("  {text:-<width$}")
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
