//! Random runs: both disks answer alike, and the images of a run follow from it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::{
    Access, Entropy, File, Fs, MetadataModel, OsFs, SeededEntropy, SimFs, SyncFailure, Variant,
};
use kv::Result;

const NAMES: [&str; 5] = ["a", "b", "dir/a", "dir/b", "missing/a"];

/// One call on one of a few names, chosen by a few random numbers.
#[derive(Clone, Copy, Debug)]
struct Step {
    what: u64,
    from: &'static str,
    to: &'static str,
    offset: u64,
    len: u64,
}

impl Step {
    fn random(random: &SeededEntropy) -> Self {
        let below = |bound: u64| random.next_u64() % bound;
        let (from, to) = (NAMES[below(5) as usize], NAMES[below(5) as usize]);
        Self { what: below(10), from, to, offset: below(9000), len: below(6000) }
    }

    /// Makes the call. Open files are kept, so that they lose their names.
    fn run(self, fs: &dyn Fs, dir: &Path, open: &mut Vec<Arc<dyn File>>) -> Result<u64> {
        let (from, to) = (dir.join(self.from), dir.join(self.to));
        let parent = from.parent().unwrap_or(dir);
        let any_open = open.get(self.offset as usize % open.len().max(1)).cloned();
        match (self.what, any_open) {
            (0 | 1, _) => open.push(fs.create(&from)?),
            (2, _) => open.push(fs.open_writable(&from)?),
            (3, _) => fs.rename(&from, &to)?,
            (4, _) => fs.remove(&from)?,
            (5, _) => fs.link(&from, &to)?,
            (6, _) => fs.sync_dir(parent)?,
            (7, Some(file)) => {
                file.write_at(self.offset, &vec![self.len as u8; self.len as usize])?;
            }
            (8, Some(file)) => file.set_len(self.len)?,
            (_, Some(file)) => {
                file.sync()?;
                return file.len();
            }
            (_, None) => {}
        }
        Ok(0)
    }
}

/// All files in the directories that the steps use.
fn contents(fs: &dyn Fs, dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |name: &str| {
        let file = fs.open(&dir.join(name)).ok()?;
        Some((name.to_string(), file.map(Access::Random).unwrap().bytes().to_vec()))
    };
    NAMES.into_iter().filter_map(read).collect()
}

fn kind<T>(result: Result<T>) -> std::result::Result<T, Option<ErrorKind>> {
    result.map_err(|error| error.io_kind())
}

#[test]
fn both_disks_answer_a_random_run_alike() {
    for seed in 0..8 {
        let random = SeededEntropy::new(seed);
        let os_dir = tempfile::tempdir().unwrap();
        let (os, sim, sim_dir) = (OsFs::default(), SimFs::new(), Path::new("/store"));
        os.create_dir(&os_dir.path().join("dir")).unwrap();
        sim.create_dir(&sim_dir.join("dir")).unwrap();
        let (mut os_open, mut sim_open) = (Vec::new(), Vec::new());
        for number in 0..150 {
            let step = Step::random(&random);
            // A real sync takes milliseconds and says nothing here.
            if step.what == 6 {
                continue;
            }
            let on_os = kind(step.run(&os, os_dir.path(), &mut os_open));
            let on_sim = kind(step.run(&sim, sim_dir, &mut sim_open));
            assert_eq!(on_sim, on_os, "seed {seed}, step {number}: {step:?}");
        }
        assert_eq!(contents(&sim, sim_dir), contents(&os, os_dir.path()), "seed {seed}");
    }
}

/// A random run and what its disk showed after each operation.
fn run(seed: u64, steps: usize) -> (SimFs, Vec<BTreeMap<String, Vec<u8>>>) {
    let random = SeededEntropy::new(seed);
    let (sim, dir) = (SimFs::new(), Path::new(""));
    sim.create_dir(&dir.join("dir")).unwrap();
    let mut shown = vec![BTreeMap::new(); sim.ops() + 1];
    let mut open = Vec::new();
    for _ in 0..steps {
        // Refused calls are a part of the run.
        drop(Step::random(&random).run(&sim, dir, &mut open));
        shown.resize(sim.ops() + 1, contents(&sim, dir));
    }
    (sim, shown)
}

#[test]
fn the_image_of_a_dead_process_is_what_it_saw() {
    for seed in 0..20 {
        let (sim, shown) = run(seed, 60);
        let mut sweep = sim.sweep();
        while let Some(point) = sweep.next_point() {
            let image = sweep.image(&Variant::All);
            assert_eq!(contents(&image, Path::new("")), shown[point], "seed {seed}, {point}");
            let restarted = sweep.restarted();
            assert_eq!(contents(&restarted, Path::new("")), shown[point]);
        }
    }
}

#[test]
fn once_everything_is_synced_there_is_one_image() {
    for seed in 0..20 {
        let (sim, _) = run(seed, 60);
        for file in sim.files() {
            sim.open(&file).unwrap().sync().unwrap();
        }
        sim.sync_dir(Path::new("dir")).unwrap();
        sim.sync_dir(Path::new("")).unwrap();
        let mut sweep = sim.sweep();
        while sweep.next_point().is_some() {}
        assert_eq!(sweep.all_variants(20), [Variant::All], "seed {seed}");
        let none = sweep.image(&Variant::None(MetadataModel::Strict));
        assert_eq!(contents(&none, Path::new("")), contents(&sim, Path::new("")));
    }
}

#[test]
fn a_restart_forgets_nothing_that_a_crash_could_take() {
    for seed in 0..20 {
        let (sim, _) = run(seed, 40);
        let restarted = sim.restarted();
        let (mut before, mut after) = (sim.sweep(), restarted.sweep());
        while before.next_point().is_some() {}
        after.next_point();
        for model in [MetadataModel::Strict, MetadataModel::Journalled] {
            let variants = before.variants(model, 0);
            assert_eq!(variants, after.variants(model, 0));
            for variant in variants {
                let image = contents(&before.image(&variant), Path::new(""));
                assert_eq!(image, contents(&after.image(&variant), Path::new("")));
            }
        }
    }
}

#[test]
fn a_failed_sync_leaves_only_bytes_that_were_there() {
    for mode in [
        SyncFailure::KeepsNew,
        SyncFailure::Reverts,
        SyncFailure::StaysDirty,
        SyncFailure::KeepsPart,
    ] {
        let (sim, _) = run(7, 60);
        sim.set_sync_failure(mode);
        let path = PathBuf::from("late");
        let file = sim.create(&path).unwrap();
        sim.sync_dir(Path::new("")).unwrap();
        file.write_at(0, b"lost").unwrap();
        sim.fail_sync(&path);
        file.write_at(4, b"kept").unwrap();
        file.sync().unwrap();
        let expected: &[u8] = match mode {
            SyncFailure::KeepsNew | SyncFailure::Reverts => b"\0\0\0\0kept",
            SyncFailure::StaysDirty => b"lostkept",
            SyncFailure::KeepsPart => b"lo\0\0kept",
        };
        let image = sim.crash(sim.ops(), &Variant::None(MetadataModel::Strict));
        assert_eq!(image.contents(&path).unwrap(), expected, "{mode:?}");
    }
}
