//! Tables of hand-made rows.

use super::*;

const PLAN: &str = r#"{
    "run_id": "run", "engines": ["own", "peer:a"],
    "workloads": [["w", {"about": "", "records": 10, "phase": [{"name": "put", "mix": {"put": 1}}]}]],
    "blocks": 3, "seed": 1, "durability": "sync", "memory_budget_bytes": 1048576
}"#;

/// The table of two engines of which one is three times as fast; the disk speed changes in those blocks of the slower one.
fn table(changed: &[u32]) -> PhaseTable {
    let row = |engine, block, speed, probe_after| Row {
        probe_before_ns: Some(100.0),
        probe_after_ns: Some(probe_after),
        steady: Some(block > 1),
        ..Row::of_puts(engine, "sync", block, speed)
    };
    let rows = (1..=3).flat_map(|block| {
        let (speed, after) = if changed.contains(&block) { (900.0, 200.0) } else { (100.0, 99.0) };
        let slow = row("peer:a", block, speed + f64::from(block), after);
        [row("own", block, 300.0 + f64::from(block), 101.0), slow]
    });
    compare(&serde_json::from_str(PLAN).unwrap(), &rows.collect::<Vec<_>>()).remove(0)
}

fn places(table: &PhaseTable) -> Vec<(&str, bool, Option<usize>)> {
    table.lines.iter().map(|line| (&line.engine[..], line.is_ranked, line.place)).collect()
}

#[test]
fn a_block_in_which_the_disk_speed_changed_is_not_compared() {
    let table = table(&[2]);
    assert_eq!(places(&table), [("own", true, Some(1)), ("peer:a", true, Some(2))]);
    let slow = &table.lines[1];
    assert!(slow.disk_speed_changed && (101.0..104.0).contains(&slow.speed.median), "{slow:?}");
}

#[test]
fn an_engine_beside_which_the_disk_speed_changed_in_every_block_is_not_ranked() {
    let table = table(&[1, 2, 3]);
    assert_eq!(places(&table), [("own", true, Some(1)), ("peer:a", false, None)]);
    assert!(table.lines[1].speed.median > 900.0);
}

#[test]
fn a_block_in_which_two_engines_ran_at_different_disk_speeds_does_not_compare_them() {
    // In block 2 the disk beside `peer:a` was three times as fast from begin to end, and so was the engine.
    let row = |engine, block, speed, sync_ns| Row {
        probe_before_ns: Some(sync_ns),
        probe_after_ns: Some(1.1 * sync_ns),
        ..Row::of_puts(engine, "sync", block, speed)
    };
    let rows = |lucky_ns: f64| {
        let rows = (1..=3).flat_map(|block| {
            let (speed, sync_ns) = if block == 2 { (900.0, lucky_ns) } else { (100.0, 300.0) };
            let speed = speed + f64::from(block);
            let own = row("own", block, 300.0 + f64::from(block), 300.0);
            [own, row("peer:a", block, speed, sync_ns)]
        });
        compare(&serde_json::from_str(PLAN).unwrap(), &rows.collect::<Vec<_>>()).remove(0)
    };
    let table = rows(100.0);
    assert_eq!(places(&table), [("own", true, Some(1)), ("peer:a", true, Some(2))]);
    assert!(table.lines.iter().all(|line| !line.disk_speed_changed));
    // At one disk speed the same figures are evidence, and show nothing.
    assert!(rows(300.0).lines.iter().all(|line| line.place == Some(1)));
}

#[test]
fn one_block_of_three_that_was_not_steady_is_no_dagger() {
    assert!(table(&[]).lines.iter().all(|line| !line.is_unsteady));
}

/// The table of `rows` whose workload has the phase `put`, a reopening.
fn openings(rows: &[Row]) -> PhaseTable {
    let plan = PLAN.replace(r#""mix": {"put": 1}"#, r#""reopen": true"#);
    compare(&serde_json::from_str(&plan).unwrap(), rows).remove(0)
}

#[test]
fn openings_stay_openings_where_the_first_engine_did_not_fit() {
    let misfit = Row { did_not_fit: Some(true), ..Row::of_puts("own", "sync", 1, 0.0) };
    let opened = Row { open_ms: Some(2.0), ..Row::of_puts("peer:a", "sync", 1, 0.0) };
    let table = openings(&[misfit, opened]);
    assert!(table.is_opening, "{table:?}");
    assert_eq!(table.did_not_fit, ["own"]);
    assert!((table.lines[0].speed.median - 500.0).abs() < 1e-9);
}

#[test]
fn an_engine_without_a_place_follows_those_that_have_one() {
    // The disk changed its speed in two of three blocks of the faster engine, so that one block is left.
    let plan = PLAN.replace(r#""own", "peer:a""#, r#""own", "peer:a", "peer:b""#);
    let row = |engine, block, speed: f64, after| Row {
        probe_before_ns: Some(100.0),
        probe_after_ns: Some(after),
        ..Row::of_puts(engine, "sync", block, speed + f64::from(block))
    };
    let rows = (1..=3).flat_map(|block| {
        let after = if block == 1 { 100.0 } else { 300.0 };
        let fast = row("own", block, 900.0, after);
        [fast, row("peer:a", block, 300.0, 100.0), row("peer:b", block, 100.0, 100.0)]
    });
    let table = compare(&serde_json::from_str(&plan).unwrap(), &rows.collect::<Vec<_>>()).remove(0);
    let expected = [("peer:a", true, Some(1)), ("peer:b", true, Some(2)), ("own", true, None)];
    assert_eq!(places(&table), expected);
}

#[test]
fn a_block_in_which_the_disk_speed_changed_takes_part_in_no_figure() {
    let rows = (1..=3).map(|block| {
        let has_changed = block > 1;
        let figure = if has_changed { 9_000 } else { 10 };
        Row {
            probe_before_ns: Some(100.0),
            probe_after_ns: Some(if has_changed { 900.0 } else { 100.0 }),
            lat_p50_ns: Some(figure),
            lat_p99_ns: Some(figure),
            lat_p999_ns: Some(figure),
            lat_max_ns: Some(figure),
            stalls: Some(1),
            cpu_ns_per_op: Some(figure as f64),
            write_amp: Some(figure as f64),
            space_amp: Some(figure as f64),
            memory_anon_bytes: Some(figure << 20),
            page_cache_bytes: Some(figure),
            steady: Some(!has_changed),
            ..Row::of_puts("own", "sync", block, 100.0)
        }
    });
    let table = compare(&serde_json::from_str(PLAN).unwrap(), &rows.collect::<Vec<_>>()).remove(0);
    let line = &table.lines[0];
    let latencies = [line.p50_ns, line.p99_ns, line.p999_ns, line.longest_stall_ns];
    let costs = [line.cpu_ns, line.write_amp, line.space_amp, line.page_cache_bytes];
    assert_eq!((latencies, costs), ([Some(10.0); 4], [Some(10.0); 4]));
    assert_eq!(line.memory_bytes, Some(f64::from(10 << 20)));
    assert!(line.disk_speed_changed && !line.is_unsteady, "{line:?}");
}

#[test]
fn a_block_that_was_cut_short_is_not_compared_and_takes_part_in_no_figure() {
    let table = |cut: &[u32]| {
        let rows = (1..=3).flat_map(|block| {
            let is_cut = cut.contains(&block);
            let speed = f64::from(block) + if is_cut { 900.0 } else { 100.0 };
            let slow = Row { cut_short: is_cut, ..Row::of_puts("peer:a", "sync", block, speed) };
            [Row::of_puts("own", "sync", block, 300.0 + f64::from(block)), slow]
        });
        compare(&serde_json::from_str(PLAN).unwrap(), &rows.collect::<Vec<_>>()).remove(0)
    };
    let one = table(&[2]);
    assert_eq!(places(&one), [("own", true, Some(1)), ("peer:a", true, Some(2))]);
    assert!(one.lines[1].cut_short && (101.0..104.0).contains(&one.lines[1].speed.median));
    let all = table(&[1, 2, 3]);
    assert_eq!(places(&all), [("own", true, Some(1)), ("peer:a", false, None)]);
    assert!(all.lines[1].ratio.is_none() && all.lines[1].speed.median > 900.0);
}

#[test]
fn an_engine_without_a_figure_is_named_and_has_no_line() {
    let rows = (1..=2).flat_map(|block| {
        let none = Row { throughput_ops_s: None, ..Row::of_puts("peer:a", "sync", block, 0.0) };
        [Row::of_puts("own", "sync", block, 300.0), none]
    });
    let table = compare(&serde_json::from_str(PLAN).unwrap(), &rows.collect::<Vec<_>>()).remove(0);
    assert_eq!((table.lines.len(), &table.without_figure[..]), (1, &["peer:a".to_string()][..]));
    let text = crate::report::text::render(&table, 200);
    assert!(text.contains("peer:a: too few operations for a figure"), "{text}");
}

#[test]
fn the_time_between_arrivals_is_not_the_time_of_the_loop() {
    let plan = PLAN.replace(r#""own", "peer:a""#, r#""own", "bound:null""#);
    let loop_ns = |target_rate| {
        let row = |engine| Row { target_rate, ..Row::of_puts(engine, "sync", 1, 100.0) };
        let rows = [row("own"), row("bound:null")];
        compare(&serde_json::from_str(&plan).unwrap(), &rows).remove(0).loop_ns
    };
    assert_eq!((loop_ns(None), loop_ns(Some(100.0))), (Some(1e7), None));
}

#[test]
fn an_engine_that_claims_sync_and_makes_too_few_syncs_is_marked_and_not_ranked() {
    let row = |engine, block, speed, fsyncs| Row {
        fsyncs,
        least_fsyncs: Some(50),
        ..Row::of_puts(engine, "sync", block, speed)
    };
    let table = |fsyncs| {
        let rows = (1..=3).flat_map(|block| {
            let jitter = f64::from(block);
            [
                row("own", block, 300.0 + jitter, Some(50)),
                row("peer:a", block, 9e3 + jitter, fsyncs),
            ]
        });
        compare(&serde_json::from_str(PLAN).unwrap(), &rows.collect::<Vec<_>>()).remove(0)
    };
    let without = table(Some(0));
    assert_eq!(places(&without), [("own", true, Some(1)), ("peer:a", false, None)]);
    assert!(without.lines[1].lacks_syncs && !without.lines[0].lacks_syncs);
    // A number that nobody knows accuses nobody.
    assert_eq!(places(&table(None)), [("peer:a", true, Some(1)), ("own", true, Some(2))]);
}

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
    assert_eq!(most.lines[1].ratio, None);
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
fn an_engine_that_made_too_few_syncs_in_one_block_is_not_compared() {
    let rows = (1..=3).flat_map(|block| {
        let row = |engine, speed, fsyncs| Row {
            fsyncs: Some(fsyncs),
            least_fsyncs: Some(50),
            ..Row::of_puts(engine, "sync", block, speed + f64::from(block))
        };
        [row("own", 300.0, 50), row("peer:a", 9e3, if block == 2 { 49 } else { 50 })]
    });
    let table = compare(&serde_json::from_str(PLAN).unwrap(), &rows.collect::<Vec<_>>()).remove(0);
    assert_eq!(places(&table), [("own", true, Some(1)), ("peer:a", false, None)]);
    assert_eq!(table.lines[1].ratio, None);
}

#[test]
fn the_share_of_the_bound_is_paired_within_blocks() {
    let plan = PLAN.replace(r#""own", "peer:a""#, r#""own", "bound:log+hash""#);
    // The machine is four times slower in the second block; each engine misses one block, so medians would say something else.
    let speeds = [
        ("own", [Some(100.0), Some(25.0), None]),
        ("bound:log+hash", [None, Some(50.0), Some(200.0)]),
    ];
    let rows = speeds.iter().flat_map(|(engine, speeds)| {
        (1..)
            .zip(speeds)
            .filter_map(|(block, speed)| Some(Row::of_puts(engine, "sync", block, (*speed)?)))
    });
    let table = compare(&serde_json::from_str(&plan).unwrap(), &rows.collect::<Vec<_>>()).remove(0);
    let own = table.lines.iter().find(|line| line.engine == "own").unwrap();
    assert!((own.share_of_bound.unwrap() - 0.5).abs() < 1e-12);
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

#[test]
fn an_engine_above_its_budget_for_a_moment_or_in_files_elsewhere_is_marked() {
    let is_marked = |peak: u64, elsewhere: u64| {
        let rows = [Row {
            memory_anon_bytes: Some(1 << 19),
            memory_peak_bytes: Some(peak),
            memory_elsewhere_bytes: Some(elsewhere),
            ..Row::of_puts("own", "sync", 1, 900.0)
        }];
        let table = compare(&serde_json::from_str(PLAN).unwrap(), &rows).remove(0);
        table.lines[0].is_over_budget
    };
    // The plan allows 1 MiB.
    assert!(!is_marked(1 << 20, 0) && is_marked(2 << 20, 0) && is_marked(1 << 20, 1 << 20));
}
