//! Whether a directory has a store.

use std::io::ErrorKind;

use kv::{Error, Result};

use super::format::{CURRENT_FILE, GENERATION_FILES};
use super::{Manifest, State};
use crate::publish::temporary_paths;
use crate::store_dir::StoreDir;

impl<S: State> Manifest<S> {
    /// Whether `store` has a manifest. If not, one can be created, unless the store is damaged.
    ///
    /// # Errors
    /// `Io`.
    pub fn exists(store: &StoreDir) -> Result<bool> {
        Ok(store.list()?.iter().any(|entry| entry.name == CURRENT_FILE))
    }

    /// Checks that `store` has a manifest, and was not left unfinished.
    ///
    /// # Errors
    /// `Io`, with `NotFound` when there is no store; `InvalidArgument` for an unfinished one; `Corruption` of a file of the
    /// engine in a directory without a manifest.
    pub fn check_exists(store: &StoreDir) -> Result<()> {
        store.check_finished()?;
        if Self::exists(store)? {
            return Ok(());
        }
        if let Some(name) = Self::file_of_engine(store)? {
            let what = "a file of a store in a directory without a manifest";
            return Err(Error::corruption(store.file(&name), 0, what));
        }
        let nothing = std::io::Error::new(ErrorKind::NotFound, "there is no store in here");
        Err(Error::io("open", store.path(), nothing))
    }

    /// Whether a manifest makes files called `name`.
    pub(crate) fn owns(name: &str) -> bool {
        let is_current = |path: &std::path::Path| path.as_os_str() == name;
        is_current(CURRENT_FILE.as_ref())
            || GENERATION_FILES.parse(name).is_some()
            || temporary_paths(CURRENT_FILE.as_ref()).any(|path| is_current(&path))
    }

    /// The name of a file in `store` that is named as the engine names its own.
    pub(super) fn file_of_engine(store: &StoreDir) -> Result<Option<String>> {
        let entries = store.list()?;
        let first =
            S::FILES.iter().find_map(|files| Some((files, files.numbers(&entries).next()?)));
        Ok(first.map(|(files, number)| files.name(number)))
    }
}
