//! Checking a whole store, deeper than any read does.

use durable::read_whole;
use kv::{Cursor as _, Error, KeyRange, Result};

use crate::engine::Inner;
use crate::files::{DATA, HINT};
use crate::sealed_file::{check_hint, describe};
use crate::state::Sealed;

/// What was checked and found right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// Sealed data files whose length, checksum and records are right.
    pub data_files: u64,
    /// Hint files that say of their data file just what it holds.
    pub hint_files: u64,
    /// Records in those data files.
    pub records: u64,
    /// Keys that have a value, whose record was read and is of that key.
    pub keys: u64,
}

/// Checks everything. Writers and background work go on meanwhile.
pub(crate) fn verify(inner: &Inner) -> Result<Verification> {
    let mut verification = Verification::default();
    // Opened first: what the manifest names from here on stays on the disk as long as the view is open.
    let frozen = inner.freeze()?;
    let state = inner.manifest.state();
    for (&id, sealed) in &state.files {
        if let Some(sealed) = sealed {
            verify_file(inner, id, sealed, &mut verification)?;
        }
    }
    let mut cursor = frozen.cursor(&KeyRange::all())?;
    while cursor.next()? {
        verification.keys += 1;
    }
    Ok(verification)
}

fn verify_file(
    inner: &Inner,
    id: u64,
    sealed: &Sealed,
    verification: &mut Verification,
) -> Result<()> {
    let fs = &inner.options.env.fs;
    let store = inner.manifest.store_id();
    let path = inner.dir_path.join(DATA.name(id));
    let bytes = read_whole(&*fs.open(&path)?)?;
    let identity = sealed.identity(store, id);
    let (found, hint) = describe(bytes.bytes(), identity, &path, &mut |_, _| ())?;
    if (Sealed { hint: sealed.hint, ..found }) != *sealed {
        return Err(Error::corruption(&path, 0, "the file is not the one that the manifest names"));
    }
    verification.data_files += 1;
    verification.records += found.records;
    if let Some(named) = sealed.hint {
        let path = inner.dir_path.join(HINT.name(id));
        let bytes = read_whole(&*fs.open(&path)?)?;
        check_hint(bytes.bytes(), named, &path)?;
        if bytes.bytes() != hint {
            return Err(Error::corruption(&path, 0, "the hint does not say what the data says"));
        }
        verification.hint_files += 1;
    }
    Ok(())
}
