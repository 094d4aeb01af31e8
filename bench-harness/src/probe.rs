//! The speed of the disk by itself. It stands beside each synced phase, because the time of a sync is mostly the disk's
//! and changes by itself: a figure of an engine says nothing where the disk was another one before it than behind it.

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

/// The file of the probe of a cell: beside the engine's directory, so that it is on the same disk and none of the engine's.
pub(crate) fn path_beside(directory: &Path) -> PathBuf {
    directory.with_extension("probe")
}

/// Measures the disk.
pub(crate) trait Probe {
    /// The time of a write of one page and its sync, in nanoseconds.
    fn sync_ns(&mut self) -> Outcome<f64>;
}

/// A loop of writes and `fdatasync` in place of a file that was written ahead, so that no sync has to allocate space.
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
