//! The last line of a run: how many answers, stores and cells were checked.

use std::collections::BTreeSet;

use crate::engines::{NULL_ENGINE, is_bound};
use crate::quantity::show_whole;
use crate::report::PhaseTable;
use crate::row::Row;

/// Whether engines did not fit into their memory, and none but yardsticks has a figure.
pub(super) fn has_none_fitted(tables: &[PhaseTable]) -> bool {
    let has_engine = |table: &PhaseTable| table.lines.iter().any(|line| !is_bound(&line.engine));
    let is_one_too_large =
        |table: &PhaseTable| table.did_not_fit.iter().any(|engine| !is_bound(engine));
    tables.iter().any(is_one_too_large) && !tables.iter().any(has_engine)
}

/// The checks of a run, in words. A cell that did not fit into its memory was not checked. Each other cell of an engine that
/// keeps its writes was opened again after a kill.
pub(super) fn describe_checks(rows: &[Row]) -> String {
    let sums = || rows.iter().filter(|row| row.op == "all");
    let checked = match sums().map(|row| row.verified).sum::<u64>() {
        0 if sums().all(did_not_fit) => "nothing was measured".into(),
        0 => "nothing was read while it was measured; the content at the end was right".into(),
        answers => format!("all {} answers right", show_whole(answers as f64)),
    };
    let is_kept =
        |row: &Row| !did_not_fit(row) && row.durability != "none" && row.engine != NULL_ENGINE;
    let survived = match cells(rows, is_kept).len() {
        0 => String::new(),
        1 => "; 1 store had every write after a kill".into(),
        count => format!("; {count} stores had every write after a kill"),
    };
    let killed = cells(rows, did_not_fit);
    let names = killed.iter().map(|(_, _, engine)| *engine).collect::<BTreeSet<_>>();
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    let unchecked = match killed.len() {
        0 => String::new(),
        1 => format!("; 1 cell did not fit into its memory and was not checked: {names}"),
        count => {
            format!("; {count} cells did not fit into their memory and were not checked: {names}")
        }
    };
    checked + &survived + &unchecked
}

fn did_not_fit(row: &Row) -> bool {
    row.did_not_fit == Some(true)
}

/// Block, workload and engine of the cells that have a sum for which `is_wanted` holds.
fn cells(rows: &[Row], is_wanted: impl Fn(&Row) -> bool) -> BTreeSet<(u32, &str, &str)> {
    let wanted = rows.iter().filter(|row| row.op == "all" && is_wanted(row));
    wanted.map(|row| (row.block, &row.workload[..], &row.engine[..])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_answers_does_not_say_that_they_were_right() {
        let durability = "none".to_string();
        let row = |verified| Row {
            op: "all".into(),
            verified,
            durability: durability.clone(),
            ..Row::default()
        };
        assert!(!describe_checks(&[row(0)]).contains("answers right"));
        assert_eq!(describe_checks(&[row(12), row(0)]), "all 12 answers right");
    }

    #[test]
    fn nothing_is_said_to_be_right_of_cells_that_did_not_fit() {
        let killed = |block, phase: &str| Row {
            block,
            engine: "big".into(),
            phase: phase.into(),
            op: "all".into(),
            durability: "buffered".into(),
            did_not_fit: Some(true),
            ..Row::default()
        };
        let read = Row {
            op: "all".into(),
            verified: 12,
            engine: "other".into(),
            durability: "none".into(),
            ..Row::default()
        };
        let text = describe_checks(&[killed(1, "load"), killed(1, "get"), killed(2, "load")]);
        let unchecked = "2 cells did not fit into their memory and were not checked: big";
        assert_eq!(text, format!("nothing was measured; {unchecked}"));
        assert!(
            describe_checks(&[read, killed(1, "load")])
                .starts_with("all 12 answers right; 1 cell did")
        );
    }

    #[test]
    fn a_store_is_counted_once_a_block_if_its_writes_had_to_survive_a_kill() {
        let row =
            |engine: &str, durability: &str, block| Row::of_puts(engine, durability, block, 1.0);
        let rows = [
            row("own", "buffered", 1),
            row("own", "buffered", 1),
            row("own", "sync", 2),
            row("memory", "none", 1),
            row(NULL_ENGINE, "buffered", 1),
        ];
        assert!(describe_checks(&rows).ends_with("; 2 stores had every write after a kill"));
    }
}
