//! Engines that work when the clock of a phase has stopped.

use super::*;

/// The table of two engines that keep `sync`: one puts `deferred_cpu_s` off until after a second of work, and has not done
/// all of it in the blocks of `undone`.
fn table_of_deferred(deferred_cpu_s: f64, undone: &[u32]) -> PhaseTable {
    let rows = (1..=3).flat_map(|block| {
        let late = Row {
            cpu_user_s: Some(1.0),
            cpu_sys_s: Some(0.0),
            deferred_cpu_s: Some(deferred_cpu_s),
            is_at_rest: Some(!undone.contains(&block)),
            ..Row::of_puts("own", "sync", block, 900.0 + f64::from(block))
        };
        [late, Row::of_puts("peer:a", "sync", block, 300.0 + f64::from(block))]
    });
    compare(&serde_json::from_str(PLAN).unwrap(), &rows.collect::<Vec<_>>()).remove(0)
}

#[test]
fn a_speed_of_which_more_than_a_tenth_of_the_work_came_after_the_clock_is_marked() {
    let is_marked = |seconds| table_of_deferred(seconds, &[]).lines[0].defers_work;
    assert!(is_marked(0.12) && !is_marked(0.11));
    let text = crate::report::text::render(&table_of_deferred(0.12, &[]), 200);
    assert!(text.contains("902»"), "{text}");
}

#[test]
fn a_block_that_left_work_undone_is_not_compared_and_without_any_other_the_engine_has_no_place() {
    let some = table_of_deferred(9.0, &[2]);
    assert_eq!(places(&some), [("own", true, Some(1)), ("peer:a", true, Some(2))]);
    let all = table_of_deferred(9.0, &[1, 2, 3]);
    assert_eq!(places(&all), [("peer:a", true, Some(1)), ("own", false, None)]);
    let text = crate::report::text::render(&all, 200);
    assert!(text.contains("own∞"), "{text}");
}

#[test]
fn an_engine_that_left_work_undone_in_half_of_the_blocks_is_not_ranked_by_the_others() {
    let most = table_of_deferred(9.0, &[1, 2]);
    assert_eq!(places(&most), [("peer:a", true, Some(1)), ("own", false, None)]);
    assert_eq!((&most.baseline[..], most.lines[1].ratio), ("peer:a", None));
}

#[test]
fn half_of_the_blocks_are_enough_for_a_mark_and_to_be_left_out() {
    let table = |undone: u32, late: u32| {
        let rows = (1..=4).flat_map(|block| {
            let own = Row {
                cpu_user_s: Some(1.0),
                cpu_sys_s: Some(0.0),
                deferred_cpu_s: Some(if block <= late { 9.0 } else { 0.0 }),
                is_at_rest: Some(block > undone),
                ..Row::of_puts("own", "sync", block, 900.0 + f64::from(block))
            };
            [own, Row::of_puts("peer:a", "sync", block, 300.0 + f64::from(block))]
        });
        compare(&serde_json::from_str(PLAN).unwrap(), &rows.collect::<Vec<_>>()).remove(0)
    };
    assert!(table(1, 0).lines[0].is_ranked);
    assert_eq!(places(&table(2, 0)), [("peer:a", true, Some(1)), ("own", false, None)]);
    assert!(!table(0, 1).lines[0].defers_work && table(0, 2).lines[0].defers_work);
}

#[test]
fn an_engine_that_works_longer_after_the_clock_than_before_is_ranked_by_the_time_until_it_is_at_rest()
 {
    let table = |deferred_s| {
        let rows = (1..=3).flat_map(|block| {
            let late = Row {
                duration_s: 1.0,
                deferred_s: Some(deferred_s),
                is_at_rest: Some(true),
                settled_throughput_ops_s: Some(200.0 + f64::from(block)),
                ..Row::of_puts("own", "sync", block, 900.0 + f64::from(block))
            };
            [late, Row::of_puts("peer:a", "sync", block, 300.0 + f64::from(block))]
        });
        compare(&serde_json::from_str(PLAN).unwrap(), &rows.collect::<Vec<_>>()).remove(0)
    };
    assert_eq!(places(&table(1.0)), [("own", true, Some(1)), ("peer:a", true, Some(2))]);
    let late = table(1.01);
    assert_eq!(places(&late), [("peer:a", true, Some(1)), ("own", true, Some(2))]);
    let text = crate::report::text::render(&late, 200);
    assert!(text.contains("202…"), "{text}");
}
