//! Engines of different classes, and yardsticks, in one table.

use super::*;

/// The table of these engines, each with its class and its speed, in the order of the registry.
fn table_of(engines: &[(&str, &str, f64)]) -> PhaseTable {
    let names: Vec<_> = engines.iter().map(|(name, _, _)| format!("\"{name}\"")).collect();
    let plan = PLAN.replace(r#""own", "peer:a""#, &names.join(", "));
    let rows = (1..=3).flat_map(|block| {
        let row = move |(name, class, speed): &(&str, &str, f64)| {
            Row::of_puts(name, class, block, speed + f64::from(block))
        };
        engines.iter().map(row)
    });
    compare(&serde_json::from_str(&plan).unwrap(), &rows.collect::<Vec<_>>()).remove(0)
}

fn share_of_bound(table: &PhaseTable, engine: &str) -> Option<f64> {
    table.lines.iter().find(|line| line.engine == engine).unwrap().share_of_bound
}

#[test]
fn an_engine_of_a_weaker_class_is_neither_ranked_nor_the_baseline() {
    let table = table_of(&[("own", "buffered", 900.0), ("peer:a", "sync", 300.0)]);
    assert_eq!(places(&table), [("peer:a", true, Some(1)), ("own", false, None)]);
    assert_eq!(table.baseline, "peer:a");
}

#[test]
fn a_yardstick_is_the_baseline_of_no_table_that_has_a_contestant() {
    let table = table_of(&[("bound:log+hash", "sync", 900.0), ("own", "sync", 300.0)]);
    assert_eq!(table.baseline, "own");
}

#[test]
fn the_cost_of_a_sync_bounds_no_engine_that_never_waits_for_one() {
    let share = |own, bound| {
        let table = table_of(&[("own", own, 100.0), ("bound:log+hash", bound, 200.0)]);
        share_of_bound(&table, "own")
    };
    assert_eq!((share("buffered", "sync"), share("sync", "buffered")), (None, None));
    assert!(share("sync", "sync").is_some() && share("none", "buffered").is_some());
}

#[test]
fn the_fastest_yardstick_bounds_the_others_and_the_engine_that_does_nothing_is_none() {
    let table = table_of(&[
        ("own", "sync", 100.0),
        ("bound:log+hash", "sync", 1_000.0),
        ("bound:btree", "sync", 200.0),
        (NULL_ENGINE, "sync", 9e6),
    ]);
    // From 101 of 1,001 to 103 of 1,003.
    assert!((0.1..0.11).contains(&share_of_bound(&table, "own").unwrap()), "{table:?}");
    assert_eq!(share_of_bound(&table, NULL_ENGINE), None);
}
