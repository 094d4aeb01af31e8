//! The schedules of the literature.

use kv::ConflictKind;
use torture::schedules::{ISOLATION, parse};

use crate::{RULES, engine, engine_on_lsm};

#[test]
fn each_schedule_ends_as_its_certifier_says_on_both_stores() {
    for rule in RULES {
        let mut ran = 0;
        for schedule in parse(ISOLATION).unwrap() {
            if !schedule.has_verdict_for(rule) {
                continue;
            }
            for engine in [engine(rule), engine_on_lsm(rule)] {
                let done = schedule.run(&engine, rule).unwrap_or_else(|why| panic!("{why}"));
                for lost in &done.lost {
                    let kind = lost.conflict.kind;
                    let expected = match rule {
                        "rsv" => kind == ConflictKind::Read,
                        _ => matches!(kind, ConflictKind::Write | ConflictKind::DangerousStructure),
                    };
                    assert!(expected, "{} under {rule}: {}", schedule.name, lost.conflict);
                    assert!(!lost.conflict.edges.is_empty(), "{}", lost.conflict);
                }
            }
            ran += 1;
        }
        assert!(ran >= 40, "{ran} schedules for {rule}");
    }
}

/// The runner must notice: under the verdicts of snapshot isolation the same engines fail.
#[test]
fn the_verdicts_of_snapshot_isolation_do_not_hold() {
    for rule in RULES {
        let schedules = parse(ISOLATION).unwrap();
        let common = schedules
            .into_iter()
            .filter(|schedule| schedule.has_verdict_for(rule) && schedule.has_verdict_for("si"));
        let failed = common.filter(|schedule| schedule.run(&engine(rule), "si").is_err()).count();
        assert!(failed >= 10, "{failed} for {rule}");
    }
}
