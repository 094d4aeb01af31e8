//! Counts the calls of this process that sync a file: the same figure for every engine, whoever makes the calls.
//!
//! A program that defines `fsync`, `fdatasync` and `msync` is linked against its own definitions instead of those of the C
//! library: its Rust code, whose standard library calls these names, and the C and C++ code that is linked into it. The
//! definitions here make the system call of that name, and count it if it succeeds. An `msync` counts where it waits
//! (`MS_SYNC`).
//!
//! Four ways to the disk are not counted. A write to a file that was opened with `O_DSYNC` syncs without a call: LMDB commits
//! with one sync of its pages and one such write. `sync_file_range` makes nothing durable. Code that calls the kernel without
//! the C library passes the definitions by: of the engines here none syncs like that. `sync` and `syncfs` sync more than
//! the files of an engine, and no engine calls them.
//!
//! Only Linux is counted: the system calls are made by number.
#![expect(
    unsafe_code,
    reason = "three names of the C library are defined; argued in the module's text"
)]

use std::ffi::{c_int, c_long, c_void};
use std::sync::atomic::{AtomicU64, Ordering};

static CALLS: AtomicU64 = AtomicU64::new(0);

/// The calls of this process so far that succeeded.
pub(crate) fn sync_calls() -> u64 {
    CALLS.load(Ordering::Relaxed)
}

/// Counts a sync that ended with `answer`, and passes it on.
fn counted(answer: c_long) -> c_int {
    if answer == 0 {
        CALLS.fetch_add(1, Ordering::Relaxed);
    }
    answer as c_int
}

/// Makes the system call of `fsync` or `fdatasync`.
fn sync_file(call: c_long, file: c_int) -> c_int {
    // SAFETY: both calls take one number. The kernel refuses a number that is no open file, and neither call reads or
    // writes memory of the process.
    counted(unsafe { libc::syscall(call, c_long::from(file)) })
}

// SAFETY: the function has the name, the signature, the answers and, through `syscall`, the `errno` that POSIX gives it.
#[unsafe(no_mangle)]
extern "C" fn fsync(file: c_int) -> c_int {
    sync_file(libc::SYS_fsync, file)
}

// SAFETY: the function has the name, the signature, the answers and, through `syscall`, the `errno` that POSIX gives it.
#[unsafe(no_mangle)]
extern "C" fn fdatasync(file: c_int) -> c_int {
    sync_file(libc::SYS_fdatasync, file)
}

// SAFETY: the function has the name, the signature, the answers and, through `syscall`, the `errno` that POSIX gives it.
#[unsafe(no_mangle)]
extern "C" fn msync(start: *mut c_void, len: usize, flags: c_int) -> c_int {
    // SAFETY: the kernel checks that the range is mapped, and the call changes no memory of the process.
    let answer = unsafe { libc::syscall(libc::SYS_msync, start, len, c_long::from(flags)) };
    if flags & libc::MS_SYNC == 0 { answer as c_int } else { counted(answer) }
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
        assert_eq!(refused.raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn a_sync_that_the_kernel_refuses_is_not_counted() {
        let counts_nothing = || {
            let before = sync_calls();
            assert_eq!((fsync(-1), fdatasync(-1)), (-1, -1));
            sync_calls() == before
        };
        // Tests beside this one may sync as well.
        assert!((0..1_000).any(|_| counts_nothing()));
    }

    #[test]
    fn a_sync_of_a_mapping_is_counted_where_it_waits() {
        const CALLS: u64 = 1_000;
        let (access, kind) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at a place of the kernel's choice changes no memory that is in use.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, access, kind, -1, 0) };
        assert_ne!(page, libc::MAP_FAILED);
        let counted = |flags| {
            let before = sync_calls();
            (0..CALLS).for_each(|_| assert_eq!(msync(page, 4096, flags), 0));
            sync_calls() - before
        };
        // Tests beside this one may sync as well, but not so often.
        assert!(counted(libc::MS_SYNC) >= CALLS && counted(libc::MS_ASYNC) < CALLS);
    }

    #[test]
    fn a_sync_of_a_range_that_is_not_mapped_gets_the_error_of_the_kernel() {
        let nowhere = std::ptr::without_provenance_mut(1 << 46);
        assert_eq!(msync(nowhere, 4096, libc::MS_ASYNC), -1);
        assert_eq!(msync(nowhere, 4096, libc::MS_SYNC), -1);
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::ENOMEM));
    }
}
