//! Each planted bug is found by the suite that is there for it, and its line repeats it.

use durable::OpKind;
use torture::SUITES;
use torture::planted::{Planted, must_find};
use torture::toy::{Bug, ToySubject};
use torture::{Subject, crash, strays, threads};

const TOY: ToySubject = ToySubject { bug: None };

/// The bug is found by the suite called `suite`.
fn is_found_by(suite: &str, planted: &Planted) {
    let suites: Vec<_> = SUITES.iter().copied().filter(|known| known.name == suite).collect();
    let found = must_find(planted, &suites).unwrap();
    assert!(found.failure.replay.starts_with(suite), "{}", found.failure);
}

fn built(name: &'static str, step: &'static str, bug: Bug) -> Planted {
    Planted::built(name, step, ToySubject { bug: Some(bug) })
}

#[test]
fn stories_find_what_breaks_a_promise_every_time() {
    for (name, step, bug) in [
        ("numbers-restart", "numbers go on after an opening", Bug::NumbersRestart),
        ("unlocked", "a store is open once", Bug::Unlocked),
    ] {
        is_found_by("conformance", &built(name, step, bug));
    }
}

#[test]
fn histories_find_what_breaks_a_promise_now_and_then() {
    let step = "recovery applies deletes";
    is_found_by("histories", &built("deletes-forgotten", step, Bug::DeletesForgotten));
}

#[test]
fn crashes_find_steps_left_out_and_steps_in_the_wrong_order() {
    for (name, step, kind, path) in [
        ("no-directory-sync", "names become durable", OpKind::SyncDir, ""),
        ("no-log-sync", "a write is durable before its answer", OpKind::SyncFile, ".log"),
        ("no-current-sync", "CURRENT is durable before its rename", OpKind::SyncFile, "CURRENT"),
    ] {
        is_found_by("crash", &Planted::skipping(name, step, TOY, kind, path));
    }
    for (name, step, bug) in [
        ("batch-in-pieces", "a batch is one frame", Bug::BatchInPieces),
        ("old-log-removed-first", "CURRENT changes before the log goes", Bug::OldLogRemovedFirst),
        ("torn-tail-kept", "recovery begins a new log", Bug::TornTailKept),
        ("names-not-synced", "recovery syncs names first", Bug::NamesNotSyncedAtOpening),
        ("not-durable", "served content survives a power cut", Bug::ServesWhatIsNotDurable),
    ] {
        is_found_by("crash", &built(name, step, bug));
    }
}

#[test]
fn faults_find_errors_that_are_not_taken_seriously() {
    for (name, step, bug) in [
        (
            "failure-swallowed",
            "what fails behind the scenes is told",
            Bug::CompactionFailureSwallowed,
        ),
        ("writes-after-failed-sync", "a failed sync ends writing", Bug::WritesAfterFailedSync),
    ] {
        is_found_by("faults", &built(name, step, bug));
    }
}

#[test]
fn damage_finds_what_is_believed_unchecked() {
    for (name, step, bug) in [
        ("checksums-ignored", "a frame is checked before it is believed", Bug::ChecksumsIgnored),
        ("damage-as-torn-tail", "a torn tail is told from damage", Bug::DamageTakenForTornTail),
    ] {
        is_found_by("damage", &built(name, step, bug));
    }
}

#[test]
fn threads_find_half_of_a_batch() {
    let step = "a batch becomes visible at once";
    let planted = built("visible-in-pieces", step, Bug::BatchVisibleInPieces);
    // Readers see halves all the time; the threads need not run long.
    let few = |subject: &dyn Subject| {
        threads::run(subject, &threads::Options { batches: 60, ..threads::Options::default() })
    };
    must_find(&planted, &[threads::SUITE.with_run(few)]).unwrap();
}

#[test]
fn held_writers_find_what_is_visible_and_not_durable() {
    for (name, step, bug) in [
        ("whole-queue-published", "only what is durable is published", Bug::WholeQueuePublished),
        (
            "visible-before-sync",
            "a synced batch is durable before it is seen",
            Bug::VisibleBeforeSync,
        ),
        (
            "published-despite-failed-sync",
            "a batch whose sync failed is not visible",
            Bug::PublishedDespiteFailedSync,
        ),
    ] {
        is_found_by("visibility", &built(name, step, bug));
    }
}

#[test]
fn full_disks_find_what_a_refused_write_leaves_behind() {
    for (name, step, bug) in [
        ("poisoned", "an append without space is undone", Bug::FullDiskPoisons),
        ("length-advances", "the log ends where it did", Bug::LengthAdvancesWithoutSpace),
        ("refused-and-shown", "a refused batch is not visible", Bug::RefusedBatchShown),
        ("orphans-kept", "an opening removes orphans", Bug::OrphansKept),
    ] {
        is_found_by("full-disk", &built(name, step, bug));
    }
}

#[test]
fn strays_find_what_takes_them_for_its_own() {
    for (name, step, bug) in [
        ("starts-over", "only CURRENT says which log counts", Bug::StartsOverAtUnknownLog),
        ("large-numbers", "an error names the entry", Bug::LargeNumbersRefused),
        ("foreign-removed", "foreign files are left alone", Bug::ForeignFilesRemoved),
    ] {
        is_found_by("strays", &built(name, step, bug));
    }
}

/// Without second crashes at each operation of a recovery, which would find it too.
#[test]
fn a_power_cut_after_an_opening_finds_content_that_is_not_durable() {
    let toy = ToySubject { bug: Some(Bug::ServesWhatIsNotDurable) };
    let options = crash::Options { second_one_in: u64::MAX, ..crash::Options::default() };
    let failure = crash::run(&toy, &options).unwrap_err();
    assert!(failure.what.contains("was served"), "{failure}");
}

#[test]
fn strays_find_content_that_is_lost_beside_an_entry() {
    let toy = ToySubject { bug: Some(Bug::StartsOverAtUnknownLog) };
    let failure = strays::run(&toy, &strays::Options::default()).unwrap_err();
    assert!(failure.what.contains("is lost or changed"), "{failure}");
}
