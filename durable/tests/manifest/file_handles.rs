//! A process without file handles: a directory that cannot be opened is not synced.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use durable::manifest::Manifest;
use durable::{Entry, File, Fs, Lock, LockMode, LogFile, SimFs};
use kv::{Error, Result};

use crate::basics::{ID, STORE, add, reopen, try_store};
use crate::toy::{Edit, Toy};

/// A disk on which one call to sync a directory finds no file handle.
#[derive(Clone, Debug)]
struct ShortOfHandles {
    disk: SimFs,
    /// How many syncs of directories go well before that one.
    left: Arc<AtomicUsize>,
}

impl ShortOfHandles {
    fn new() -> Self {
        Self { disk: SimFs::new(), left: Arc::new(AtomicUsize::new(usize::MAX)) }
    }

    /// From now on, `successes` syncs of directories go well, and the next one fails.
    fn fail_after(&self, successes: usize) {
        self.left.store(successes, Ordering::SeqCst);
    }
}

impl Fs for ShortOfHandles {
    fn sync_dir(&self, dir: &Path) -> Result<()> {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            const EMFILE: i32 = 24;
            return Err(Error::io("open", dir, io::Error::from_raw_os_error(EMFILE)));
        }
        self.disk.sync_dir(dir)
    }

    fn create_dir(&self, path: &Path) -> Result<()> {
        self.disk.create_dir(path)
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        self.disk.list(dir)
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn File>> {
        self.disk.open(path)
    }

    fn open_writable(&self, path: &Path) -> Result<Arc<dyn File>> {
        self.disk.open_writable(path)
    }

    fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        self.disk.create(path)
    }

    fn create_log(&self, path: &Path, capacity: u64) -> Result<Arc<dyn LogFile>> {
        self.disk.create_log(path, capacity)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.disk.remove(path)
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        self.disk.link(from, to)
    }

    fn lock(&self, path: &Path, mode: LockMode) -> Result<Box<dyn Lock>> {
        self.disk.lock(path, mode)
    }

    fn free_space(&self, dir: &Path) -> Result<u64> {
        self.disk.free_space(dir)
    }
}

/// A manifest with one edit, and an edit that begins a new generation.
fn manifest_and_large_edit(fs: &ShortOfHandles) -> (Manifest<Toy>, Edit) {
    let manifest = Manifest::create(&try_store(fs).unwrap(), ID).unwrap();
    manifest.append(&add(1)).unwrap();
    (manifest, Edit::Note("n".repeat(9_000)))
}

fn has(disk: &SimFs, name: &str) -> bool {
    disk.files().contains(&Path::new(STORE).join(name))
}

#[test]
fn an_edit_whose_generation_gets_no_handle_for_its_directory_is_not_durable_and_the_next_one_is() {
    let fs = ShortOfHandles::new();
    let (manifest, large) = manifest_and_large_edit(&fs);
    let before = manifest.state();
    fs.fail_after(0);
    let refused = manifest.append(&large).unwrap_err();
    assert!(refused.is_out_of_file_handles(), "{refused}");
    manifest.check().unwrap();
    assert_eq!(manifest.state(), before);
    assert!(!has(&fs.disk, "MANIFEST-000002") && !has(&fs.disk, "CURRENT.tmp"));
    let failed = fs.disk.ops();
    manifest.append(&large).unwrap();
    let after = manifest.state();
    drop(manifest);
    // No crash before the second attempt brings back the edit that was refused.
    let mut sweep = fs.disk.sweep();
    while let Some(point) = sweep.next_point() {
        if point > failed {
            break;
        }
        for variant in sweep.all_variants(4) {
            let image = sweep.image(&variant);
            let state = reopen(&image).map(|manifest| manifest.state());
            let has_edit = state.is_ok_and(|state| state.note.len() == 9_000);
            assert!(!has_edit, "{point}, {variant}");
        }
    }
    assert_eq!(reopen(&fs.disk).unwrap().state(), after);
}

/// `CURRENT` names the new generation by then, and a crash may bring the old one back.
#[test]
fn a_directory_that_gets_no_handle_after_the_rename_of_current_poisons() {
    let fs = ShortOfHandles::new();
    let (manifest, large) = manifest_and_large_edit(&fs);
    fs.fail_after(1);
    let failed = manifest.append(&large).unwrap_err();
    assert!(failed.is_out_of_file_handles(), "{failed}");
    assert!(matches!(manifest.check(), Err(Error::Poisoned { .. })));
    assert!(matches!(manifest.append(&add(2)), Err(Error::Poisoned { .. })));
    drop(manifest);
    assert_eq!(reopen(&fs.disk).unwrap().state().note.len(), 9_000);
}
