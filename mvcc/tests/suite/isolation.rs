//! The schedules of the literature.

use mvcc::{HistoryWindow, Options};
use torture::schedules::{ISOLATION, parse};

use crate::{engine, engine_with};

#[test]
fn each_schedule_ends_as_snapshot_isolation_says() {
    let mut ran = 0;
    for schedule in parse(ISOLATION).unwrap() {
        if schedule.has_verdict_for("si") {
            let options = Options::new().history(HistoryWindow::commits(10));
            let engine = engine_with(options);
            if let Err(why) = schedule.run(&engine, "si") {
                panic!("{why}");
            }
            ran += 1;
        }
    }
    assert!(ran >= 40, "{ran} schedules");
}

/// The runner must notice: under the verdicts of another rule the same engine fails.
#[test]
fn the_verdicts_of_serializable_isolation_do_not_hold() {
    let failed: Vec<_> = parse(ISOLATION)
        .unwrap()
        .into_iter()
        .filter(|schedule| schedule.has_verdict_for("pssi"))
        .filter(|schedule| {
            let engine = engine();
            schedule.run(&engine, "pssi").is_err()
        })
        .map(|schedule| schedule.name)
        .collect();
    assert_eq!(
        failed,
        [
            "G1C",
            "G2-ITEM",
            "G2-ITEM-ABSENT",
            "G2",
            "G2-DEL",
            "G2-CROSS",
            "G2-TWO-EDGES",
            "RO-ANOMALY",
            "BATCH",
            "G2-3",
            "SAME-VALUE",
            "RO-ANOMALY-DECLARED",
            "LATE-READ",
            "COMMITTED-PIVOT-CYCLE",
        ]
    );
}
