//! The role of a phase in its workload, and its rows that count.

use super::*;

#[test]
fn the_loads_of_a_group_are_preparation_but_for_the_first_and_for_one_without_another_phase() {
    let load = r#"{"name": "load", "load": "random"}"#;
    let both = format!(r#"{load}, {{"name": "get", "mix": {{"get": 1}}}}"#);
    let workload = |name: &str, phases: &str| {
        format!(r#"["{name}", {{"about": "", "group": "g", "records": 1, "phase": [{phases}]}}]"#)
    };
    let workloads = [workload("first", &both), workload("second", &both), workload("third", load)];
    let (head, rest) = PLAN.split_once(r#""workloads""#).unwrap();
    let (_, tail) = rest.split_once(r#""blocks""#).unwrap();
    let plan = format!(r#"{head}"workloads": [{}], "blocks"{tail}"#, workloads.join(", "));
    let row = |workload: &str, phase: &str| Row {
        workload: workload.into(),
        phase: phase.into(),
        ..Row::of_puts("own", "sync", 1, 100.0)
    };
    let phases = [
        ("first", "load", false),
        ("first", "get", false),
        ("second", "load", true),
        ("second", "get", false),
        ("third", "load", false),
    ];
    let rows = phases.map(|(workload, phase, _)| row(workload, phase));
    let tables = compare(&serde_json::from_str(&plan).unwrap(), &rows);
    let role =
        |table: &PhaseTable| (table.workload.clone(), table.phase.clone(), table.is_preparation);
    let expected =
        phases.map(|(workload, phase, is)| (workload.to_string(), phase.to_string(), is));
    assert_eq!(tables.iter().map(role).collect::<Vec<_>>(), expected);
}

#[test]
fn the_time_of_the_loop_is_that_of_one_of_the_threads() {
    let plan = PLAN.replace(r#""own", "peer:a""#, r#""own", "bound:null""#);
    let row = |engine| Row { threads: 4, ..Row::of_puts(engine, "sync", 1, 1e6) };
    let rows = [row("own"), row(NULL_ENGINE)];
    let table = compare(&serde_json::from_str(&plan).unwrap(), &rows).remove(0);
    // Four threads make a million operations a second together, so each takes 4 us for one of its own.
    assert_eq!(table.loop_ns, Some(4_000.0));
}

#[test]
fn an_engine_that_did_not_fit_in_one_block_has_no_line_and_the_others_keep_theirs() {
    let rows = (1..=2).flat_map(|block| {
        let row = |engine| Row::of_puts(engine, "sync", block, 100.0 + f64::from(block));
        [Row { did_not_fit: Some(block == 1), ..row("own") }, row("peer:a")]
    });
    let table = compare(&serde_json::from_str(PLAN).unwrap(), &rows.collect::<Vec<_>>()).remove(0);
    assert_eq!(places(&table), [("peer:a", true, Some(1))]);
    assert_eq!(table.did_not_fit, ["own"]);
}

#[test]
fn a_block_without_a_speed_takes_part_in_no_figure() {
    let rows = (1..=2).map(|block| Row {
        throughput_ops_s: Some(100.0).filter(|_| block == 1),
        lat_p50_ns: Some(if block == 1 { 10 } else { 9_000 }),
        ..Row::of_puts("own", "sync", block, 0.0)
    });
    let table = compare(&serde_json::from_str(PLAN).unwrap(), &rows.collect::<Vec<_>>()).remove(0);
    assert_eq!(table.lines[0].p50_ns, Some(10.0));
}

#[test]
fn the_longest_stall_is_the_longest_of_all_blocks() {
    let rows = (1..).zip([2, 7, 5]).map(|(block, longest_ns)| Row {
        stalls: Some(1),
        lat_max_ns: Some(longest_ns),
        ..Row::of_puts("own", "sync", block, 100.0)
    });
    let table = compare(&serde_json::from_str(PLAN).unwrap(), &rows.collect::<Vec<_>>()).remove(0);
    assert_eq!(table.lines[0].longest_stall_ns, Some(7.0));
}
