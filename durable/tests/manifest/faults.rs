//! Every call fails once, in every way; and every sync is left out once, which the crash suite has to find.

use std::sync::{Arc, Mutex};

use durable::manifest::Manifest;
use durable::{Fault, MetadataModel, OpKind, Plan, SimFs, SyncFailure, Variant};
use kv::Error;

use crate::basics::{add, reopen};
use crate::law::{Run, Step, steps};
use crate::toy::Toy;

const SYNC_FAILURES: [SyncFailure; 4] =
    [SyncFailure::KeepsNew, SyncFailure::Reverts, SyncFailure::StaysDirty, SyncFailure::KeepsPart];

const FAULTS: [Fault; 7] = [
    Fault::Eio,
    Fault::Late,
    Fault::NoSpace,
    Fault::Quota,
    Fault::TooManyFiles,
    Fault::Short,
    Fault::Torn(1),
];

/// The calls of a run without faults, and the files that they are about.
fn calls(steps: &[Step]) -> Vec<(OpKind, String)> {
    let mut probe = Run::on(&SimFs::new(), Plan::none(), &[]);
    let calls = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&calls);
    probe.inject.on_call(Arc::new(move |call| {
        log.lock().unwrap().push((call.kind, call.path.display().to_string()));
    }));
    probe.go_on(steps);
    assert!(probe.failure.is_none());
    calls.lock().unwrap().drain(..).collect()
}

#[test]
fn an_error_at_any_call_surfaces_poisons_unless_space_ran_out_and_loses_nothing() {
    let calls = calls(&steps());
    for (at, (kind, path)) in calls.iter().enumerate() {
        for fault in FAULTS {
            for behaviour in SYNC_FAILURES {
                if behaviour != SyncFailure::KeepsNew && !matches!(kind, OpKind::SyncFile) {
                    continue;
                }
                let disk = SimFs::new();
                disk.set_sync_failure(behaviour);
                let plan = Plan::once(at, fault.clone());
                let told = format!("{plan} ({kind} {path}), {behaviour:?}");
                let run = Run::on(&disk, plan, &steps());
                // What a removal leaves behind is removed by the next opening.
                let may_be_hidden = *kind == OpKind::Remove;
                let hidden = run.inject.injected() > 0 && run.failure.is_none();
                assert!(!hidden || may_be_hidden, "{told}: swallowed");
                after_a_failure(run, &told);
            }
        }
    }
}

/// The handle is poisoned, unless the disk was full and nothing was left behind (`full_disk.rs`). The store opens, with
/// everything acknowledged, and the state that it shows then stays.
fn after_a_failure(mut run: Run, told: &str) {
    let manifest = run.manifest.take();
    let was_full = run.failure.as_ref().is_some_and(Error::is_out_of_resources);
    let goes_on = |manifest: &Manifest<Toy>| was_full && manifest.check().is_ok();
    let poisoned = manifest.filter(|manifest| !goes_on(manifest));
    if let (Some(manifest), Some(failure)) = (poisoned, &run.failure) {
        let before = manifest.state();
        let refused = manifest.append(&add(1000)).unwrap_err();
        assert!(
            matches!(&refused, Error::Poisoned { cause } if cause.to_string() == failure.to_string()),
            "{told}: {refused}"
        );
        assert!(matches!(manifest.close(), Err(Error::Poisoned { .. })), "{told}");
        assert_eq!(manifest.state(), before, "{told}");
    }
    let end = run.disk.ops();
    let acknowledged = run.acknowledged_at(end);
    let check = |image: &SimFs, acknowledged, when: &str| {
        let checked = run.check_since(image, acknowledged);
        checked.unwrap_or_else(|what| panic!("{told}, {when}: {what}"))
    };
    let mut sweep = run.disk.sweep();
    while sweep.next_point() != Some(end) {}
    for variant in sweep.all_variants(4) {
        check(&sweep.image(&variant), acknowledged, &variant.to_string());
    }
    let reopened = check(&run.disk, acknowledged, "reopened");
    let mut sweep = run.disk.sweep();
    while sweep.next_point() != Some(run.disk.ops()) {}
    for model in [MetadataModel::Strict, MetadataModel::Journalled] {
        let image = sweep.image(&Variant::None(model));
        let again = check(&image, Some(reopened), "reopened, then cut off");
        assert_eq!(again.vouched, reopened.vouched, "{told}");
    }
}

#[test]
fn a_full_disk_that_empties_again_loses_nothing() {
    let steps = steps();
    let calls = calls(&steps).len();
    for at in 0..calls {
        let plan = Plan { at, fault: Fault::NoSpace, sticky: true };
        let told = plan.to_string();
        after_a_failure(Run::on(&SimFs::new(), plan, &steps), &told);
    }
}

#[test]
fn an_edit_whose_sync_failed_is_not_visible_and_may_be_there_later() {
    for behaviour in SYNC_FAILURES {
        let steps = [Step::Open, Step::Append(add(1)), Step::Append(add(2))];
        let last_sync = calls(&steps).len() - 1;
        let disk = SimFs::new();
        disk.set_sync_failure(behaviour);
        let run = Run::on(&disk, Plan::once(last_sync, Fault::Eio), &steps);
        let manifest: Manifest<Toy> = run.manifest.unwrap();
        assert_eq!(manifest.state().files.len(), 1);
        drop(manifest);
        let reopened = reopen(&disk).unwrap().state().files.len();
        assert_eq!(reopened, if behaviour == SyncFailure::Reverts { 1 } else { 2 });
    }
}

#[test]
fn leaving_out_any_single_sync_is_found_by_the_crash_suite() {
    let steps = steps();
    let mut found = 0;
    for (at, (kind, path)) in calls(&steps).into_iter().enumerate() {
        if !matches!(kind, OpKind::SyncFile | OpKind::SyncDir) {
            continue;
        }
        let fault = Fault::Skip { kind, path: String::new() };
        let run = Run::on(&SimFs::new(), Plan::once(at, fault), &steps);
        assert!(run.failure.is_none() && run.inject.injected() == 1);
        assert!(run.first_breach(8).is_some(), "call {at}, {kind} {path}, is not needed");
        found += 1;
    }
    assert!(found > 30, "{found}");
}
