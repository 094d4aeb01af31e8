//! The speed of the disk without an engine. On virtual machines it changes by a factor of ten and more, and the time of a
//! sync is mostly the disk's. If the disk's sync time changes during a phase, the figure of the engine is meaningless. So
//! the disk is probed before and after each synced phase.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::failure::{Failure, Outcome};
use crate::statistics::median;

/// The size of the file that the probe writes over.
const FILE_BYTES: usize = 1 << 20;
/// The size of a write.
const WRITE_BYTES: usize = 4096;
/// The probe goes on for this long.
const TIME: Duration = Duration::from_millis(50);
/// The probe makes at least so many syncs, however long they take.
const LEAST_SYNCS: usize = 5;
/// Sync times that differ by more than this factor are too different to compare.
const LARGEST_RATIO: f64 = 1.5;

/// Whether two sync times of the disk are too different to compare the phases beside them.
pub(crate) fn differ(one_ns: f64, other_ns: f64) -> bool {
    assert!(one_ns >= 0.0 && other_ns >= 0.0, "{one_ns} and {other_ns} are times");
    one_ns.max(other_ns) > LARGEST_RATIO * one_ns.min(other_ns)
}

/// The file of the probe of a cell: next to the engine's directory, so that it is on the same disk and not the engine's.
pub(crate) fn path_beside(directory: &Path) -> PathBuf {
    directory.with_extension("probe")
}

/// Measures the disk.
pub(crate) trait Probe {
    /// The time of a write of one page and its sync, in nanoseconds.
    fn sync_ns(&mut self) -> Outcome<f64>;
}

/// A loop of writes and `fdatasync` that overwrites the pages of a preallocated file, so that no sync has to allocate space.
#[derive(Debug)]
pub(crate) struct DiskProbe {
    path: PathBuf,
    /// Made by the first measurement: most cells sync nothing.
    file: Option<File>,
}

impl DiskProbe {
    /// The probe whose file is at `path`; it is removed with the probe.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    fn create(&self) -> std::io::Result<File> {
        let file = File::create(&self.path)?;
        file.write_all_at(&vec![1; FILE_BYTES], 0)?;
        file.sync_all()?;
        Ok(file)
    }
}

impl Probe for DiskProbe {
    fn sync_ns(&mut self) -> Outcome<f64> {
        let failed = |error| Failure::io("probe the disk with", &self.path, &error);
        let file = match self.file.take() {
            Some(file) => file,
            None => self.create().map_err(failed)?,
        };
        let page = [2; WRITE_BYTES];
        let begun = Instant::now();
        let mut times = Vec::new();
        while times.len() < LEAST_SYNCS || begun.elapsed() < TIME {
            let at = times.len() * WRITE_BYTES % FILE_BYTES;
            let started = Instant::now();
            file.write_all_at(&page, at as u64).and_then(|()| file.sync_data()).map_err(failed)?;
            times.push(started.elapsed().as_nanos() as f64);
        }
        self.file = Some(file);
        assert!(times.len() >= LEAST_SYNCS, "a median needs times");
        Ok(median(&times).unwrap_or_default())
    }
}

impl Drop for DiskProbe {
    fn drop(&mut self) {
        if self.file.is_some() {
            // A file that stays goes away with the folder of the run's stores.
            fs::remove_file(&self.path).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_leaves_nothing_and_a_probe_that_measured_nothing_made_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("probe");
        drop(DiskProbe::new(path.clone()));
        let mut probe = DiskProbe::new(path.clone());
        assert!(!path.exists());
        assert!(probe.sync_ns().unwrap() > 0.0);
        assert_eq!(path.metadata().unwrap().len(), FILE_BYTES as u64);
        drop(probe);
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_that_is_gone_is_an_error_that_names_the_file() {
        let mut probe = DiskProbe::new("/nowhere/probe".into());
        assert!(probe.sync_ns().unwrap_err().text.contains("/nowhere/probe"));
    }
}
