//! Reading the rows of a finished run back. A file that no run can have left is refused with the line that says so.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use super::RunFacts;
use crate::failure::{Failure, Outcome};
use crate::row::{Row, SCHEMA_VERSION};

/// The line of the first row; the names of the columns come before it.
const FIRST_LINE: usize = 2;

/// Reads the rows of `run` from the file at `path`.
pub(super) fn read(path: &Path, run: &RunFacts) -> Outcome<Vec<Row>> {
    let text = fs::read_to_string(path).map_err(|error| Failure::io("read", path, &error))?;
    parse(&text, run).map_err(|error| {
        Failure::usage(format!("{} is not what a run leaves: {error}", path.display()))
    })
}

fn parse(text: &str, run: &RunFacts) -> Result<Vec<Row>, String> {
    let rows = csv::Reader::from_reader(text.as_bytes()).into_deserialize();
    let rows: Vec<Row> = rows.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    if rows.is_empty() {
        return Err("it has no row".into());
    }
    let mut seen = HashSet::new();
    for (line, row) in (FIRST_LINE..).zip(&rows) {
        check(row, run).map_err(|error| format!("line {line}: {error}"))?;
        if !seen.insert((row.block, &row.engine, &row.workload, &row.phase, &row.op)) {
            let Row { block, engine, workload, phase, op, .. } = row;
            return Err(format!(
                "line {line}: a second row of {engine}, {workload} / {phase}, {op} in block {block}"
            ));
        }
    }
    Ok(rows)
}

/// Checks a row by itself. `Err` names the mistake.
fn check(row: &Row, run: &RunFacts) -> Result<(), String> {
    if !(1..=SCHEMA_VERSION).contains(&row.schema_version) {
        return Err(format!(
            "schema_version is {}; this build reads 1 to {SCHEMA_VERSION}",
            row.schema_version
        ));
    }
    if !run.engines.contains(&row.engine) {
        return Err(format!("the plan has no engine \"{}\"", row.engine));
    }
    let workload = run.workloads.iter().find(|(name, _)| *name == row.workload);
    let Some((_, workload)) = workload else {
        return Err(format!("the plan has no workload \"{}\"", row.workload));
    };
    if !workload.phase.iter().any(|phase| phase.name == row.phase) {
        return Err(format!("{} has no phase \"{}\"", row.workload, row.phase));
    }
    if row.throughput_ops_s == Some(0.0) && row.ops > 0 {
        return Err(format!("{} operations at speed 0", row.ops));
    }
    match figures(row).into_iter().find(|(_, figure)| figure.is_some_and(is_impossible)) {
        Some((name, figure)) => Err(format!("{name} = {}", figure.unwrap_or_default())),
        None => Ok(()),
    }
}

/// The figures that tables show or compute with.
fn figures(row: &Row) -> [(&'static str, Option<f64>); 19] {
    [
        ("throughput_ops_s", row.throughput_ops_s),
        ("settled_throughput_ops_s", row.settled_throughput_ops_s),
        ("duration_s", Some(row.duration_s)),
        ("open_ms", row.open_ms),
        ("close_ms", row.close_ms),
        ("key_bytes", row.key_bytes),
        ("value_bytes", row.value_bytes),
        ("target_rate", row.target_rate),
        ("achieved_rate", row.achieved_rate),
        ("call_s", row.call_s),
        ("loop_ns", row.loop_ns),
        ("lat_mean_ns", row.lat_mean_ns),
        ("cpu_ns_per_op", row.cpu_ns_per_op),
        ("deferred_cpu_s", row.deferred_cpu_s),
        ("deferred_s", row.deferred_s),
        ("write_amp", row.write_amp),
        ("space_amp", row.space_amp),
        ("probe_before_ns", row.probe_before_ns),
        ("probe_after_ns", row.probe_after_ns),
    ]
}

fn is_impossible(figure: f64) -> bool {
    !figure.is_finite() || figure < 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = r#"{
        "run_id": "run", "engines": ["own"],
        "workloads": [["w", {"about": "", "records": 10, "phase": [{"name": "put", "mix": {"put": 1}}]}]],
        "blocks": 2, "seed": 1, "durability": "buffered", "memory_budget_bytes": 1048576
    }"#;

    fn parse_rows(rows: &[Row]) -> Result<Vec<Row>, String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in rows {
            writer.serialize(row).unwrap();
        }
        let bytes = writer.into_inner().unwrap();
        parse(&String::from_utf8(bytes).unwrap(), &serde_json::from_str(PLAN).unwrap())
    }

    fn row(block: u32) -> Row {
        Row { schema_version: SCHEMA_VERSION, ..Row::of_puts("own", "buffered", block, 300.0) }
    }

    #[test]
    fn rows_of_different_blocks_are_read_and_a_second_one_of_a_block_is_refused() {
        assert_eq!(parse_rows(&[row(1), row(2)]).unwrap().len(), 2);
        let text = parse_rows(&[row(1), row(2), row(1)]).unwrap_err();
        assert_eq!(text, "line 4: a second row of own, w / put, all in block 1");
    }

    #[test]
    fn a_file_without_rows_is_refused() {
        for text in ["", "schema_version,run_id\n"] {
            let read = parse(text, &serde_json::from_str(PLAN).unwrap());
            assert_eq!(read.unwrap_err(), "it has no row");
        }
    }

    #[test]
    fn a_figure_that_no_run_measures_is_refused() {
        for speed in [f64::INFINITY, f64::NAN, -5.0] {
            let text = parse_rows(&[Row { throughput_ops_s: Some(speed), ..row(1) }]).unwrap_err();
            assert!(text.starts_with("line 2: throughput_ops_s = "), "{text}");
        }
        let text = parse_rows(&[row(1), Row { probe_after_ns: Some(f64::NAN), ..row(2) }]);
        assert_eq!(text.unwrap_err(), "line 3: probe_after_ns = NaN");
    }

    #[test]
    fn a_speed_of_nothing_is_refused_where_something_was_done() {
        let nothing = |ops| Row { ops, throughput_ops_s: Some(0.0), ..row(1) };
        assert_eq!(parse_rows(&[nothing(7)]).unwrap_err(), "line 2: 7 operations at speed 0");
        assert!(parse_rows(&[nothing(0)]).is_ok());
    }

    #[test]
    fn rows_of_a_version_that_this_build_does_not_know_are_refused() {
        let text = parse_rows(&[Row { schema_version: 9, ..row(1) }]).unwrap_err();
        assert!(text.contains("schema_version is 9; this build reads 1 to"), "{text}");
        assert!(parse_rows(&[Row { schema_version: 1, ..row(1) }]).is_ok());
    }

    #[test]
    fn rows_of_an_engine_or_a_phase_outside_of_the_plan_are_refused() {
        let other = |engine: &str, workload: &str, phase: &str| {
            let (engine, workload, phase) = (engine.into(), workload.into(), phase.into());
            parse_rows(&[Row { engine, workload, phase, ..row(1) }]).unwrap_err()
        };
        assert_eq!(other("else", "w", "put"), "line 2: the plan has no engine \"else\"");
        assert_eq!(other("own", "else", "put"), "line 2: the plan has no workload \"else\"");
        assert_eq!(other("own", "w", "else"), "line 2: w has no phase \"else\"");
    }
}
