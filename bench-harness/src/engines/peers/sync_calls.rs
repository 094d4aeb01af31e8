//! Counts the syncs of peers, which have no counter of their own, or none that counts the same calls as another's.
//!
//! A program that defines `fsync` and `fdatasync` is linked against its own definitions instead of those of the C library:
//! its Rust code, and the C and C++ code that is linked into it. The definitions here count and make the system call of
//! that name. `msync` and `sync_file_range` are not counted: the former syncs LMDB's mapping in runs that do not wait for
//! syncs, the latter makes nothing durable. Code that calls the system without the C library, such as `rustix`, is not
//! counted either; engines with counters of their own are not asked here.
#![expect(
    unsafe_code,
    reason = "two names of the C library are defined; argued in the module's text"
)]

use std::ffi::c_int;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use errno::{Errno, set_errno};
use rustix::fs;

static CALLS: AtomicU64 = AtomicU64::new(0);

/// The calls of this process so far, failed ones included.
pub(crate) fn sync_calls() -> u64 {
    CALLS.load(Ordering::Relaxed)
}

// SAFETY: the function has the name, the signature and the behaviour that POSIX gives it.
#[unsafe(no_mangle)]
extern "C" fn fsync(file: c_int) -> c_int {
    count(file, fs::fsync)
}

// SAFETY: the function has the name, the signature and the behaviour that POSIX gives it.
#[unsafe(no_mangle)]
extern "C" fn fdatasync(file: c_int) -> c_int {
    count(file, fs::fdatasync)
}

/// Counts a call, makes it, and answers as the C library does.
fn count(file: c_int, call: fn(BorrowedFd<'static>) -> rustix::io::Result<()>) -> c_int {
    CALLS.fetch_add(1, Ordering::Relaxed);
    let result = if file < 0 {
        // The one number that is no descriptor; others may be closed, and the kernel says so.
        Err(rustix::io::Errno::BADF)
    } else {
        // SAFETY: the number is handed to the kernel and to nobody else, so it need not be open.
        call(unsafe { BorrowedFd::borrow_raw(file) })
    };
    match result {
        Ok(()) => 0,
        Err(error) => {
            set_errno(Errno(error.raw_os_error()));
            -1
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::OwnedFd;

    use super::*;

    #[test]
    fn a_sync_through_the_standard_library_is_counted_and_made() {
        let file = tempfile::tempfile().unwrap();
        let before = sync_calls();
        file.sync_data().unwrap();
        file.sync_all().unwrap();
        // Tests beside this one may sync as well.
        assert!(sync_calls() >= before + 2);
    }

    #[test]
    fn a_refused_sync_gives_the_error_of_the_kernel() {
        let (_reader, writer) = std::io::pipe().unwrap();
        let pipe = File::from(OwnedFd::from(writer));
        let refused = pipe.sync_data().unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(rustix::io::Errno::INVAL.raw_os_error()));
    }
}
