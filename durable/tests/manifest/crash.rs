//! A crash at every operation, with everything that it can leave behind.

use durable::manifest::{Manifest, State};
use durable::{MetadataModel, SimFs, Variant};

use crate::basics::{add, reopen, store};
use crate::law::{Run, Step, steps};
use crate::toy::Toy;

/// Random images for each crash point, besides the systematic ones.
const RANDOM: usize = 32;

#[test]
fn a_crash_anywhere_keeps_every_acknowledged_edit() {
    let run = Run::of(&steps());
    let mut images = 0;
    let mut sweep = run.disk.sweep();
    while let Some(point) = sweep.next_point() {
        for variant in sweep.all_variants(RANDOM) {
            images += 1;
            let image = sweep.image(&variant);
            let checked = run.check(&image, point);
            assert!(
                checked.is_ok(),
                "point {point}, {}: {}",
                sweep.explain(&variant),
                checked.unwrap_err()
            );
            images += second_crash(&run, &sweep.image(&variant), point);
        }
        // Killed, and then the power fails: what recovery showed must have been made durable by it.
        images += second_crash(&run, &sweep.restarted(), point);
    }
    assert!(images > 10_000, "{images}");
}

/// Crashes the recovery of `image` at every operation. What it has acknowledged by then stays. Counts the images.
fn second_crash(run: &Run, image: &SimFs, point: usize) -> usize {
    let before = run.acknowledged_at(point);
    let recovered = run.check(image, point).unwrap();
    let (end, mut sweep) = (image.ops(), image.sweep());
    let mut images = 0;
    while let Some(second) = sweep.next_point() {
        let acknowledged = if second == end { Some(recovered) } else { before };
        for variant in sweep.all_variants(2) {
            images += 1;
            let checked = run.check_since(&sweep.image(&variant), acknowledged);
            let told = sweep.explain(&variant);
            assert!(checked.is_ok(), "{point}, then {second}, {told}: {}", checked.unwrap_err());
        }
    }
    images
}

#[test]
fn a_recovered_store_takes_edits_and_keeps_them() {
    let run = Run::of(&steps());
    let mut sweep = run.disk.sweep();
    while let Some(point) = sweep.next_point() {
        for model in [MetadataModel::Strict, MetadataModel::Journalled] {
            let image = sweep.image(&Variant::None(model));
            run.check(&image, point).unwrap();
            let manifest = reopen(&image).unwrap();
            manifest.append(&add(100)).unwrap();
            let (state, stamp) = (manifest.state(), manifest.stamp());
            drop(manifest);
            let found = Manifest::<Toy>::read(&store(&image)).unwrap();
            assert_eq!((found.state(), found.stamp()), (&*state, stamp));
        }
    }
}

#[test]
fn a_crash_during_creation_leaves_nothing_that_creation_cannot_start_over() {
    let run = Run::of(&[Step::Open]);
    let mut sweep = run.disk.sweep();
    let mut started_over = 0;
    while let Some(point) = sweep.next_point() {
        for variant in sweep.all_variants(RANDOM) {
            let image = sweep.image(&variant);
            let promise = run.check(&image, point).unwrap();
            started_over += usize::from(promise.stamp.open_epoch == 1);
            let names = image.files().len();
            assert_eq!(names, 3, "LOCK, CURRENT and one generation: {:?}", image.files());
        }
    }
    assert!(started_over > 10, "{started_over}");
}

#[test]
fn a_random_history_survives_crashes_anywhere() {
    for seed in 0..6_u64 {
        let run = Run::of(&random_steps(seed));
        let mut sweep = run.disk.sweep();
        while let Some(point) = sweep.next_point() {
            for variant in sweep.variants(MetadataModel::Strict, 2) {
                let checked = run.check(&sweep.image(&variant), point);
                assert!(checked.is_ok(), "seed {seed}, {point}, {variant}: {checked:?}");
            }
        }
    }
}

/// Edits of all sizes with openings and closings in between.
fn random_steps(seed: u64) -> Vec<Step> {
    use durable::{Entropy as _, SeededEntropy};
    let entropy = SeededEntropy::new(seed);
    let mut steps = vec![Step::Open];
    let mut state = Toy::default();
    for file in 0..30 {
        let edit = match entropy.next_u64() % 8 {
            0 => {
                steps.push(Step::Close);
                steps.push(Step::Open);
                continue;
            }
            1 => {
                steps.push(Step::Open);
                continue;
            }
            2..5 => crate::toy::Edit::Note("x".repeat((entropy.next_u64() % 5000) as usize)),
            _ => add(file),
        };
        state.apply(&edit).unwrap();
        steps.push(Step::Append(edit));
    }
    steps
}
