//! The columns of a table, the same in a terminal and in Markdown.

use super::PhaseTable;
use super::engine_line::EngineLine;
use super::ranking::Verdict;
use crate::quantity::{show_bytes, show_count, show_ns, show_number};

/// The mark of a speed that was not steady.
pub(super) const UNSTEADY: &str = "†";
/// The mark of a speed where more than a tenth of the CPU time came after the clock.
pub(super) const DEFERRED: &str = "»";
/// The mark of an engine that had work left when the wait for it ended.
pub(super) const LEFT_UNDONE: &str = "∞";
/// The mark of a speed that counts, in some block, the time until the engine was at rest.
pub(super) const SETTLED_LATE: &str = "…";
/// The mark of an engine beside which the disk speed changed.
pub(super) const DISK_SPEED_CHANGED: &str = "!";
/// The mark of an engine that claims to sync its writes and made too few syncs.
pub(super) const UNSYNCED: &str = "§";
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
    /// The same column with cells that begin at the left.
    fn left(self) -> Self {
        Self { is_left: true, ..self }
    }

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
pub(super) fn engines_without_figures(table: &PhaseTable) -> Option<String> {
    let PhaseTable { did_not_fit, without_figure, memory_limit, .. } = table;
    let reasons = [
        (did_not_fit, format!("did not fit in {memory_limit}")),
        (without_figure, "too few operations for a figure".into()),
    ];
    let given = reasons.iter().filter(|(engines, _)| !engines.is_empty());
    let texts: Vec<_> =
        given.map(|(engines, why)| format!("{}: {why}", engines.join(", "))).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// The subject of a table, in one line.
pub(super) fn title(table: &PhaseTable) -> String {
    let PhaseTable { workload, phase, about, setting, durability, .. } = table;
    let loop_ns = table.loop_ns.map_or(String::new(), |ns| format!(", loop {}", show_ns(ns)));
    format!("{workload} / {phase}: {about} ({durability}, {setting}{loop_ns})")
}

/// The columns that have something to say.
pub(super) fn columns(table: &PhaseTable) -> Vec<Column> {
    let names =
        [column("#", table, show_place).left(), column("engine", table, marked_name).left()];
    let ratios = [
        column(&format!("vs {}", table.baseline), table, |line| ratio(line, table)).left(),
        column("of bound", table, |line| line.share_of_bound.map_or(String::new(), show_share)),
    ];
    let class = column("class", table, |line| line.durability.clone()).left();
    let columns = names.into_iter().chain(speed_columns(table)).chain(ratios);
    let columns = columns.chain(cost_columns(table)).chain([class]);
    let columns = columns.filter(|column| column.cells.iter().any(|cell| !cell.is_empty()));
    let columns: Vec<_> = columns.collect();
    assert!(columns.iter().all(|column| column.cells.len() == table.lines.len()));
    columns
}

/// Speeds with their intervals; in a table of openings, times.
fn speed_columns(table: &PhaseTable) -> [Column; 2] {
    let show: fn(f64) -> String =
        if table.is_opening { |speed: f64| show_ns(1e9 / speed) } else { show_count };
    let heading = if table.is_opening { "open" } else { "ops/s" };
    let speed = column(heading, table, |line| {
        let marks = [
            (line.is_unsteady && !table.is_opening, UNSTEADY),
            (line.defers_work && !table.is_opening, DEFERRED),
            (line.settles_late && !table.is_opening, SETTLED_LATE),
        ];
        show(line.speed.median) + &set_marks(marks)
    });
    let interval = column("95% interval", table, |line| {
        // The highest speed is the shortest time.
        let ends = line.speed.interval;
        let ends = ends.map(|(low, high)| if table.is_opening { (high, low) } else { (low, high) });
        ends.map_or(String::new(), |(from, to)| format!("[{} .. {}]", show(from), show(to)))
    });
    [speed, interval.left()]
}

/// CPU time, latencies, amplification and memory.
fn cost_columns(table: &PhaseTable) -> [Column; 8] {
    let optional = |value: Option<f64>, show: fn(f64) -> String| value.map_or(String::new(), show);
    [
        column("CPU", table, |line| optional(line.cpu_ns, show_ns)),
        column("p50", table, |line| latency(line, line.p50_ns)),
        column("p99", table, |line| latency(line, line.p99_ns)),
        column("p99.9", table, |line| latency(line, line.p999_ns)),
        column("WA", table, |line| optional(line.write_amp, show_number)),
        column("SA", table, |line| optional(line.space_amp, show_number)),
        column("memory", table, show_memory),
        column("cache", table, |line| optional(line.page_cache_bytes, show_bytes)),
    ]
}

/// A column of numbers.
fn column(heading: &str, table: &PhaseTable, cell: impl Fn(&EngineLine) -> String) -> Column {
    let cells = table.lines.iter().map(cell).collect();
    Column { heading: heading.into(), is_left: false, cells }
}

/// The name of an engine with its marks.
fn marked_name(line: &EngineLine) -> String {
    let marks = [
        (line.cut_short, "*"),
        (line.leaves_work_undone, LEFT_UNDONE),
        (line.disk_speed_changed, DISK_SPEED_CHANGED),
        (line.lacks_syncs, UNSYNCED),
    ];
    format!("{}{}", line.engine, set_marks(marks))
}

fn set_marks<const N: usize>(marks: [(bool, &str); N]) -> String {
    marks.into_iter().filter(|(is_set, _)| *is_set).map(|(_, mark)| mark).collect()
}

/// The place, `-` below the rule; for a ranked engine without a place [`UNCOMPARED`], or nothing from one block.
pub(super) fn show_place(line: &EngineLine) -> String {
    let without = match (line.is_ranked, line.is_uncompared) {
        (false, _) => "-",
        (true, true) => UNCOMPARED,
        (true, false) => "",
    };
    line.place.map_or(without.into(), |place| place.to_string())
}

/// A latency; an engine that did not keep up has none.
fn latency(line: &EngineLine, ns: Option<f64>) -> String {
    if line.is_overloaded { OVERLOADED.into() } else { ns.map_or(String::new(), show_ns) }
}

/// The memory that the engine holds, marked where its budget allows less.
pub(super) fn show_memory(line: &EngineLine) -> String {
    let mark = if line.is_over_budget { OVER_BUDGET } else { "" };
    line.memory_bytes.map_or(String::new(), |bytes| show_bytes(bytes) + mark)
}

fn ratio(line: &EngineLine, table: &PhaseTable) -> String {
    if line.engine == table.baseline {
        return "baseline".into();
    }
    line.ratio.map_or(String::new(), show_verdict)
}

/// A ratio with its interval, after `~` where no difference is shown.
pub(super) fn show_verdict(verdict: Verdict) -> String {
    let mark = if verdict.is_shown { "" } else { "~" };
    let (ratio, interval) = show_ratio(verdict);
    format!("{mark}{ratio}{interval}")
}

/// A ratio, and its interval or nothing.
pub(super) fn show_ratio(verdict: Verdict) -> (String, String) {
    let interval = verdict.interval.map_or(String::new(), |(low, high)| {
        format!(" [{} .. {}]", show_number(low), show_number(high))
    });
    (format!("{}x", show_number(verdict.ratio)), interval)
}

/// A share of the fastest yardstick. A small one is not shown as none.
pub(super) fn show_share(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        _ if percent < 0.05 => "<0.1%".into(),
        _ if percent < 0.95 => format!("{percent:.1}%"),
        _ => format!("{percent:.0}%"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_bound_that_is_not_nothing_is_not_shown_as_nothing() {
        let shares = [0.0, 1e-6, 0.000_5, 0.003_2, 0.009_4, 0.009_6, 0.74, 1.13, 17.0];
        let shown = ["<0.1%", "<0.1%", "0.1%", "0.3%", "0.9%", "1%", "74%", "113%", "1700%"];
        assert_eq!(shares.map(show_share), shown);
    }
}
