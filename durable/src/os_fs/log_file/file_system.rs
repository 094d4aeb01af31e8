//! The calls by which a log owns space, and the file systems on which that does not last.
//!
//! On most file systems the first write to allocated space, and every later one, needs no further space. A copy-on-write
//! file system writes each change to a new place, so a write to space that the log owns may find the disk full. Through a
//! mapping that would end the process.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;

/// How a file system gives space to a log. Tests replace it.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileSystem {
    /// Gives the bytes between two offsets of a file space.
    pub(super) allocate: fn(&fs::File, u64, u64) -> io::Result<()>,
    /// Whether a write to space that the file owns may need further space.
    pub(super) is_copy_on_write: fn(&fs::File) -> bool,
}

impl FileSystem {
    /// The calls of the operating system.
    pub(super) const REAL: Self = Self { allocate, is_copy_on_write };
}

static ZEROS: [u8; 1 << 20] = [0; 1 << 20];

/// Up to `len` zeros, a mebibyte at most.
pub(super) fn zeros(len: u64) -> &'static [u8] {
    &ZEROS[..len.min(ZEROS.len() as u64) as usize]
}

/// Allocates with the call that the system has for it.
pub(super) fn allocate(file: &fs::File, from: u64, to: u64) -> io::Result<()> {
    debug_assert!(from < to, "some space is allocated");
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{FallocateFlags, fallocate};

        Ok(fallocate(file, FallocateFlags::empty(), from, to - from)?)
    }
    #[cfg(not(target_os = "linux"))]
    write_zeros(file, from, to)
}

/// Whether the file system refuses to allocate because it does not know how to.
pub(super) fn is_unsupported(error: &io::Error) -> bool {
    use rustix::io::Errno;

    let code = error.raw_os_error();
    code == Some(Errno::OPNOTSUPP.raw_os_error()) || code == Some(Errno::NOSYS.raw_os_error())
}

/// Gives the bytes between two offsets space by writing zeros there.
pub(super) fn write_zeros(file: &fs::File, from: u64, to: u64) -> io::Result<()> {
    let mut at = from;
    while at < to {
        let piece = zeros(to - at);
        file.write_all_at(piece, at)?;
        at += piece.len() as u64;
    }
    assert_eq!(at, to.max(from), "the zeros fill the space");
    Ok(())
}

/// Whether `file` is on a copy-on-write file system that this module knows. A layer above one, such as an overlay, hides it.
#[cfg(target_os = "linux")]
pub(super) fn is_copy_on_write(file: &fs::File) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|stat| is_copy_on_write_magic(stat.f_type.cast_unsigned()))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_copy_on_write(_: &fs::File) -> bool {
    false
}

/// The magic numbers of btrfs, bcachefs, NILFS and ZFS (`statfs(2)` has the table).
#[cfg(target_os = "linux")]
fn is_copy_on_write_magic(magic: u64) -> bool {
    matches!(magic & 0xffff_ffff, 0x9123_683e | 0xca45_1a4e | 0x3434 | 0x2fc1_2fc1)
}

#[cfg(all(test, target_os = "linux", not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn btrfs_is_copy_on_write_and_ext4_xfs_and_tmpfs_are_not() {
        // A 32-bit field extends the sign of the magic.
        for magic in [0x9123_683e, 0xffff_ffff_9123_683e] {
            assert!(is_copy_on_write_magic(magic), "{magic:#x}");
        }
        for magic in [0xef53, 0x5846_5342, 0x0102_1994] {
            assert!(!is_copy_on_write_magic(magic), "{magic:#x}");
        }
    }
}
