//! Folders with the time in their names: two runs that begin in the same second get two folders.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Outcome};

/// Creates `folder` and returns its path. The name ends with a number if a run that began in the same second has the name
/// already.
pub(crate) fn create_afresh(folder: &Path) -> Outcome<PathBuf> {
    let parent = folder.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(parent).map_err(|error| Failure::io("create", parent, &error))?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let mut path = folder.to_path_buf();
    for number in 2.. {
        match fs::create_dir(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                path = folder.with_file_name(format!("{name}-{number}"));
            }
            made => {
                return made.map(|()| path.clone()).map_err(|e| Failure::io("create", &path, &e));
            }
        }
    }
    unreachable!("some number is free")
}
