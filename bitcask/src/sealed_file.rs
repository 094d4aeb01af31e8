//! A data file that no longer changes: reading it back whole, its hint file, and how both are checked against the
//! manifest.
//!
//! Sealing, merging, recovery, readers and `verify` share these functions. The module knows the formats of data files,
//! hint files and the manifest's entries, and no component of the engine.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use durable::log::{FrameView, SegmentHeader, scan_segment};
use durable::publish::{PublishedFile, create_afresh, publish, temporary_path};
use durable::store_dir::StoreDir;
use durable::{Access, File, Fs, Mapped, crc32, read_whole, seeded_crc32};
use kv::{Error, Result};

use crate::files::{DATA, HINT};
use crate::hint_file::HintBuilder;
use crate::record::Record;
use crate::state::{Hint, Sealed};

/// A sealed data file, with the proofs that its manifest edit needs.
#[derive(Debug)]
pub(crate) struct SealedFile {
    /// The manifest's entry for the file.
    pub(crate) facts: Sealed,
    /// The content of the hint file, whether or not the disk had space for it.
    pub(crate) hint_bytes: Vec<u8>,
    proofs: Option<Proofs>,
}

/// Proof that the data file is durable, and the hint file if the disk had space for it.
type Proofs = (PublishedFile, Option<(PublishedFile, Hint)>);

impl SealedFile {
    /// A sealed file with the `facts` and `hint_bytes` that [`describe`] returned.
    pub(crate) fn new(
        facts: Sealed,
        hint_bytes: Vec<u8>,
        file: PublishedFile,
        hint: Option<(PublishedFile, Hint)>,
    ) -> Self {
        assert_eq!(file.len_bytes(), facts.len, "the proof is of the whole file");
        let is_whole = |(_, hint): &(PublishedFile, Hint)| hint.len == hint_bytes.len() as u64;
        assert!(hint.as_ref().is_none_or(is_whole), "the hint is the one that was built");
        Self { facts, hint_bytes, proofs: Some((file, hint)) }
    }

    /// The proofs, for the one edit that names the file.
    ///
    /// # Panics
    /// When called twice.
    pub(crate) fn take_proofs(&mut self) -> Proofs {
        self.proofs.take().expect("one edit names a file")
    }
}

/// Reads `bytes`, all of a data file that no longer changes, and calls `visit` with each record. Returns the manifest's
/// entry for the file, without a hint, and the content of its hint file.
///
/// # Errors
/// `Corruption`, at the first byte that is not part of a whole batch or of the end mark.
pub(crate) fn describe(
    bytes: &[u8],
    header: SegmentHeader,
    path: &Path,
    visit: &mut dyn FnMut(&FrameView<'_>, &Record<'_>),
) -> Result<(Sealed, Vec<u8>)> {
    let mut hint = HintBuilder::default();
    let (store, id) = (header.identity.store, header.identity.id);
    let mut sealed = Sealed::new(header);
    // The sum follows the scan, so that one pass over the file is enough.
    let (mut crc, mut summed) = (0, 0);
    let scan = scan_segment(bytes, store, id, path, &mut |batch| {
        let end = batch.last().map_or(summed, |frame| frame.end() as usize);
        crc = seeded_crc32(crc, &bytes[summed..end]);
        summed = end;
        for frame in batch {
            let record = Record::decode(frame, path)?;
            sealed.count(frame, &record);
            hint.push(frame, &record);
            visit(frame, &record);
        }
        Ok(())
    })?;
    if scan.header != header {
        let what = "the header is not the one that the manifest names";
        return Err(Error::corruption(path, 0, what));
    }
    if scan.len != bytes.len() as u64 {
        return Err(Error::corruption(path, scan.len, "the frame fails its checksum"));
    }
    sealed.len = scan.len;
    sealed.crc = seeded_crc32(crc, &bytes[summed..]);
    debug_assert_eq!(sealed.crc, crc32(bytes), "the sum of the parts is that of the whole");
    debug_assert!(header.format.first_frame() <= sealed.len, "records lie in the file");
    debug_assert!(sealed.tombstone_bytes + sealed.expiring.bytes <= sealed.len, "and are counted");
    let source = sealed.source(store, id);
    Ok((sealed, hint.finish(&source)))
}

/// Maps the sealed data file `id` after it has checked the file's length against `sealed`, its entry in the manifest.
///
/// # Errors
/// `Corruption` for another length; `Io`.
pub(crate) fn map_sealed(
    dir: &StoreDir,
    id: u64,
    sealed: &Sealed,
    access: Access,
) -> Result<Arc<dyn Mapped>> {
    let file = dir.fs().open(&dir.file(&DATA.name(id)))?;
    check_len(&*file, sealed)?;
    match access {
        Access::Random => file.map(access),
        Access::Sequential => read_whole(&*file),
    }
}

/// Checks the length of a sealed data file against `sealed`, its entry in the manifest.
///
/// # Errors
/// `Corruption` for another length; `Io`.
pub(crate) fn check_len(file: &dyn File, sealed: &Sealed) -> Result<()> {
    let len = file.len()?;
    if len != sealed.len {
        let what = format!("the file has {len} bytes, and the manifest says {}", sealed.len);
        return Err(Error::corruption(file.path(), len.min(sealed.len), what));
    }
    Ok(())
}

/// Writes and publishes the hint file of data file `id`. `None`: the next opening reads the data file instead. There are
/// three cases:
/// - there is no space or no file handle for the hint;
/// - its name or that of the temporary file belongs to something other than a regular file, which stays;
/// - a file of that name cannot be opened, for want of rights or because the disk fails. It may be something other than a
///   regular file, so it stays.
///
/// # Errors
/// `Io` for any other cause, a failed sync among them.
pub(crate) fn write_hint(
    fs: &dyn Fs,
    dir: &Path,
    id: u64,
    bytes: &[u8],
) -> Result<Option<(PublishedFile, Hint)>> {
    let path = dir.join(HINT.name(id));
    if !is_replaceable(fs, &path) {
        return Ok(None);
    }
    let written = create_afresh(fs, &temporary_path(&path))
        .and_then(|file| file.write_at(0, bytes).map(|()| file));
    let file = match written {
        Err(error) if error.is_out_of_resources() => {
            // The part that was written takes space that the store needs.
            drop(fs.remove(&temporary_path(&path)));
            return Ok(None);
        }
        Err(error) if is_not_a_file(&error) => return Ok(None),
        written => match publish(fs, &*written?, &path) {
            // The directory was not synced. No manifest names the hint, so a crash may leave it or not.
            Err(error) if error.is_out_of_file_handles() => {
                drop(fs.remove(&path));
                return Ok(None);
            }
            published => published?,
        },
    };
    let hint = Hint { len: bytes.len() as u64, crc: crc32(bytes) };
    assert_eq!((file.len_bytes(), file.path()), (hint.len, &*path), "the hint was published");
    debug_assert!(check_hint(bytes, hint, &path).is_ok(), "the hint counts");
    Ok(Some((file, hint)))
}

/// Whether nothing is called `path`, or a regular file is.
fn is_replaceable(fs: &dyn Fs, path: &Path) -> bool {
    fs.open(path).map_or_else(|error| error.io_kind() == Some(ErrorKind::NotFound), |_| true)
}

/// Whether [`Fs::open`] has refused something other than a regular file.
fn is_not_a_file(error: &Error) -> bool {
    error.io_kind() == Some(ErrorKind::InvalidInput)
}

/// Checks the bytes of a hint file against the manifest.
///
/// # Errors
/// `Corruption` when length or checksum differ.
pub(crate) fn check_hint(bytes: &[u8], hint: Hint, path: &Path) -> Result<()> {
    if bytes.len() as u64 != hint.len || crc32(bytes) != hint.crc {
        return Err(Error::corruption(path, 0, "the hint is not the one that the manifest names"));
    }
    Ok(())
}
