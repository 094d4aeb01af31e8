//! Checking a whole store, deeper than any read does.

use durable::read_whole;
use kv::{Cursor as _, Error, KeyRange, Result};

use crate::sealed_file::{check_hint, describe};
use crate::snapshot::BitcaskSnapshot;
use crate::state::{Hint, Sealed};
use crate::store::Store;

/// The numbers of things that were checked and found right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// Sealed data files whose length, checksum and records are right.
    pub data_files: u64,
    /// Hint files that list exactly the records of their data file.
    pub hint_files: u64,
    /// Records in those data files.
    pub records: u64,
    /// Keys that have a value, whose record was read and is of that key.
    pub keys: u64,
}

/// Checks everything. Writers and background work go on meanwhile. `frozen` was opened before the call: the files that the
/// manifest names from then on stay on the disk as long as it is open.
pub(crate) fn verify(store: &Store, frozen: &BitcaskSnapshot) -> Result<Verification> {
    let mut verification = Verification::default();
    for (&id, sealed) in &store.state().files {
        if let Some(sealed) = sealed {
            verify_file(store, id, sealed, &mut verification)?;
        }
    }
    let mut cursor = frozen.cursor(&KeyRange::all())?;
    while cursor.next()? {
        // Reads the record and checks its sum; the walk alone reads keys. Files that are being written are checked only here.
        cursor.entry()?;
        verification.keys += 1;
    }
    Ok(verification)
}

fn verify_file(
    store: &Store,
    id: u64,
    sealed: &Sealed,
    verification: &mut Verification,
) -> Result<()> {
    let path = store.data_path(id);
    let bytes = read_whole(&*store.fs().open(&path)?)?;
    let header = sealed.header(store.id(), id);
    let (found, hint) = describe(bytes.bytes(), header, &path, &mut |_, _| ())?;
    if (Sealed { hint: sealed.hint, ..found }) != *sealed {
        return Err(Error::corruption(&path, 0, "the file is not the one that the manifest names"));
    }
    verification.data_files += 1;
    verification.records += found.records;
    if let Some(named) = sealed.hint {
        verify_hint(store, id, named, &hint)?;
        verification.hint_files += 1;
    }
    Ok(())
}

fn verify_hint(store: &Store, id: u64, named: Hint, expected: &[u8]) -> Result<()> {
    let path = store.hint_path(id);
    let bytes = read_whole(&*store.fs().open(&path)?)?;
    check_hint(bytes.bytes(), named, &path)?;
    if bytes.bytes() != expected {
        return Err(Error::corruption(&path, 0, "the hint does not list the records of the data"));
    }
    Ok(())
}
