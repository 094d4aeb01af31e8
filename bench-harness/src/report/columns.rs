//! The columns of a table, the same in a terminal and in Markdown.

use super::Comparison;
use super::line::Line;
use super::ranking::Verdict;
use crate::quantity::{show_bytes, show_count, show_ns, show_number};

/// The mark of a speed that was not steady.
pub(super) const UNSTEADY: &str = "†";
/// The mark of an engine beside which the disk itself became faster or slower.
pub(super) const DISK_MOVED: &str = "!";
/// The mark of an engine that holds more memory than its budget.
pub(super) const OVER_BUDGET: &str = "‡";
/// The mark in the place of an engine that no test connects with those that have places.
pub(super) const UNCOMPARED: &str = "?";
/// The text in the place of latencies of an engine that did not reach the asked rate.
pub(super) const OVERLOADED: &str = "overloaded";

/// A column: its heading and the cell of each line.
pub(super) struct Column {
    /// The heading.
    pub(super) heading: String,
    /// Whether cells begin at the left.
    pub(super) is_left: bool,
    /// One cell a line.
    pub(super) cells: Vec<String>,
}

impl Column {
    /// Characters of the widest cell, or of the heading.
    pub(super) fn width(&self) -> usize {
        self.cells
            .iter()
            .map(|cell| cell.chars().count())
            .chain([self.heading.chars().count()])
            .max()
            .unwrap_or(0)
    }
}

/// The engines that have no figures, with the reason: they did not fit into their memory, or had too little time.
pub(super) fn misfits(table: &Comparison) -> Option<String> {
    let Comparison { misfits, without_figure, limit, .. } = table;
    let reasons = [
        (misfits, format!("did not fit in {limit}")),
        (without_figure, "too few operations for a figure".into()),
    ];
    let given = reasons.iter().filter(|(engines, _)| !engines.is_empty());
    let texts: Vec<_> =
        given.map(|(engines, why)| format!("{}: {why}", engines.join(", "))).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
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
            column("ops/s", table, |line| {
                format!(
                    "{}{}",
                    show_count(line.speed.median),
                    if line.is_unsteady { UNSTEADY } else { "" }
                )
            }),
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
        Column { is_left: true, ..column("#", table, show_place) },
        Column {
            is_left: true,
            ..column("engine", table, |line| {
                let cut = if line.cut_short { "*" } else { "" };
                format!("{}{cut}{}", line.engine, if line.has_disk_moved { DISK_MOVED } else { "" })
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
        column("p50", table, |line| latency(line, line.p50_ns)),
        column("p99", table, |line| latency(line, line.p99_ns)),
        column("p99.9", table, |line| latency(line, line.p999_ns)),
        column("WA", table, |line| optional(line.write_amp, show_number)),
        column("SA", table, |line| optional(line.space_amp, show_number)),
        column("memory", table, show_memory),
        column("cache", table, |line| optional(line.page_cache_bytes, show_bytes)),
        Column { is_left: true, ..column("class", table, |line| line.durability.clone()) },
    ];
    columns.into_iter().filter(|column| column.cells.iter().any(|cell| !cell.is_empty())).collect()
}

fn column(heading: &str, table: &Comparison, cell: impl Fn(&Line) -> String) -> Column {
    let cells = table.lines.iter().map(cell).collect();
    Column { heading: heading.into(), is_left: false, cells }
}

/// The place, `-` below the rule; for a ranked engine without a place [`UNCOMPARED`], or nothing from one block.
pub(super) fn show_place(line: &Line) -> String {
    let without = match (line.is_ranked, line.is_uncompared) {
        (false, _) => "-",
        (true, true) => UNCOMPARED,
        (true, false) => "",
    };
    line.place.map_or(without.into(), |place| place.to_string())
}

/// A latency; an engine that did not keep up has none.
fn latency(line: &Line, ns: Option<f64>) -> String {
    if line.is_overloaded { OVERLOADED.into() } else { ns.map_or(String::new(), show_ns) }
}

/// The memory that the engine holds, marked where its budget allows less.
pub(super) fn show_memory(line: &Line) -> String {
    let mark = if line.is_over_budget { OVER_BUDGET } else { "" };
    line.memory_bytes.map_or(String::new(), |bytes| show_bytes(bytes) + mark)
}

fn ratio(line: &Line, table: &Comparison) -> String {
    if line.engine == table.baseline {
        return "baseline".into();
    }
    line.ratio.map_or(String::new(), show_verdict)
}

/// A ratio with its interval, behind `~` where no difference is shown.
pub(super) fn show_verdict(verdict: Verdict) -> String {
    let mark = if verdict.is_shown { "" } else { "~" };
    let interval = verdict.interval.map_or(String::new(), |(low, high)| {
        format!(" [{} .. {}]", show_number(low), show_number(high))
    });
    format!("{mark}{}x{interval}", show_number(verdict.ratio))
}
