//! A toy engine that replaces one file, right and in four wrong ways: the right one survives every crash, and each wrong
//! one is found.

use std::path::Path;
use std::sync::Arc;

use durable::{Access, Fs, Inject, MetadataModel, OpKind, Plan, SimFs};
use kv::Result;

const VALUES: [&[u8]; 4] = [b"", b"first value", b"second", b"the third value"];

fn value_path() -> &'static Path {
    Path::new("store/VALUE")
}

/// Replaces the value: a new file, synced, renamed over the old one, and the name synced.
fn replace(fs: &dyn Fs, value: &[u8]) -> Result<()> {
    let temp = Path::new("store/VALUE.tmp");
    fs.create_dir(Path::new("store"))?;
    if fs.list(Path::new("store"))?.iter().any(|entry| entry.name == "VALUE.tmp") {
        fs.remove(temp)?;
    }
    let file = fs.create(temp)?;
    file.write_at(0, value)?;
    file.sync()?;
    fs.rename(temp, value_path())?;
    fs.sync_dir(Path::new("store"))
}

/// Replaces the value where it is.
fn overwrite(fs: &dyn Fs, value: &[u8]) -> Result<()> {
    let file = fs.open_writable(value_path()).or_else(|_| fs.create(value_path()))?;
    file.set_len(0)?;
    file.write_at(0, value)?;
    file.sync()?;
    fs.sync_dir(Path::new("store"))
}

fn read(fs: &dyn Fs) -> Result<Vec<u8>> {
    let file = fs.open(value_path())?;
    Ok(file.map(Access::Random)?.bytes().to_vec())
}

/// A run that replaces the value three times, and the number of operations after which each was acknowledged.
fn run(plan: Plan, replace: fn(&dyn Fs, &[u8]) -> Result<()>) -> (SimFs, Vec<usize>) {
    let sim = SimFs::new();
    sim.create_dir(Path::new("store")).unwrap();
    let fs: Arc<dyn Fs> = Arc::new(Inject::over_sim(sim.clone(), plan));
    let mut acknowledged = vec![sim.ops()];
    for value in &VALUES[1..] {
        replace(&*fs, value).unwrap();
        acknowledged.push(sim.ops());
    }
    (sim, acknowledged)
}

/// How many images of a run break the promise, and how many there are.
fn count_losses(sim: &SimFs, acknowledged: &[usize]) -> (usize, usize) {
    let (mut lost, mut images) = (0, 0);
    let mut sweep = sim.sweep();
    while let Some(point) = sweep.next_point() {
        let done = acknowledged.iter().rposition(|ops| *ops <= point).unwrap_or(0);
        for variant in sweep.all_variants(20) {
            let image = sweep.image(&variant);
            images += 1;
            // The last acknowledged value, or the one that was being written.
            let found = read(&image).unwrap_or_default();
            let allowed = &VALUES[done..VALUES.len().min(done + 2)];
            if !allowed.contains(&&*found) || replace(&image, b"again").is_err() {
                lost += 1;
            }
        }
    }
    (lost, images)
}

fn losses(plan: Plan, replace: fn(&dyn Fs, &[u8]) -> Result<()>) -> usize {
    let (sim, acknowledged) = run(plan, replace);
    count_losses(&sim, &acknowledged).0
}

#[test]
fn the_right_order_survives_every_crash() {
    let (sim, acknowledged) = run(Plan::none(), replace);
    let (lost, images) = count_losses(&sim, &acknowledged);
    assert_eq!(lost, 0);
    assert!(images > 60, "{images} images");
}

#[test]
fn a_second_crash_while_the_first_is_repaired_is_survived() {
    let (sim, _) = run(Plan::none(), replace);
    let mut sweep = sim.sweep();
    while sweep.next_point().is_some() {
        for variant in sweep.all_variants(5) {
            let image = sweep.image(&variant);
            let before = read(&image).ok();
            replace(&image, b"repaired").unwrap();
            let mut second = image.sweep();
            while second.next_point().is_some() {
                for variant in second.all_variants(5) {
                    let found = read(&second.image(&variant)).ok();
                    assert!(found == before || found.as_deref() == Some(b"repaired"), "{variant}");
                }
            }
        }
    }
}

#[test]
fn a_file_that_is_not_synced_before_the_rename_is_found() {
    assert!(losses(Plan::skip(OpKind::SyncFile, ""), replace) > 0);
}

#[test]
fn a_directory_that_is_not_synced_after_the_rename_is_found() {
    assert!(losses(Plan::skip(OpKind::SyncDir, ""), replace) > 0);
}

#[test]
fn overwriting_in_place_is_found() {
    assert!(losses(Plan::none(), overwrite) > 0);
}

#[test]
fn an_acknowledgement_before_the_write_is_found() {
    assert!(losses(Plan::skip(OpKind::Write, "VALUE.tmp"), replace) > 0);
}

#[test]
fn a_journal_forgives_no_missing_directory_sync_either() {
    let (sim, _) = run(Plan::skip(OpKind::SyncDir, ""), replace);
    let mut sweep = sim.sweep();
    while sweep.next_point().is_some() {}
    let variants = sweep.variants(MetadataModel::Journalled, 0);
    let stale = |variant| read(&sweep.image(variant)).unwrap_or_default() != VALUES[3];
    assert!(variants.iter().any(stale));
}
