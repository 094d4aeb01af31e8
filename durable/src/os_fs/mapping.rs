//! Memory mappings, and advice about memory, behind a safe interface. The only `unsafe` code of this crate.
//!
//! **Read mappings** are of files that no longer change. They are shared and read-only, so they hold no page of their own:
//! taking pages out of the page table ([`forget_pages`]) changes no byte that a reader sees.
//!
//! **Append mappings** are of log files: a region of which a prefix has been written and published and never changes
//! again, and the rest belongs to the one appender.
//!
//! Two calls of the system that no safe wrapper offers stand here as well: `mincore` and `sync_file_range`. The former
//! writes one byte for each page into a vector of that length; the latter takes numbers only. [`page_cache_bytes`] asks the
//! former about files of anybody: its mapping is never read.
//!
//! The argument for an append mapping, which is about this process only:
//! 1. The region is reached through a raw pointer; no `&mut [u8]` to it ever exists, and a `&[u8]` only to a published
//!    prefix.
//! 2. [`Region::append`] checks that the new bytes start exactly at the published length, under a lock that admits one
//!    appender at a time. It writes behind the published length, where no slice points, and then publishes with a
//!    release store.
//! 3. [`Region::published`] loads the length with acquire order, so its slice covers bytes whose writes
//!    happened before. No later append touches them.
//!
//! The argument cannot cover another process that writes to or truncates the file: the store's lock keeps
//! well-behaved ones out, and the documentation of [`Fs`](crate::Fs) has the consequences.
//!
//! The protocol does not depend on the kind of memory, so the tests run it on the heap, where Miri can follow:
//!
//! ```text
//! MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-many-seeds=0..16" cargo +nightly miri test -p durable --lib os_fs::mapping
//! ```
#![expect(unsafe_code, reason = "file mappings; argued above, safe interface below")]

use std::ffi::{c_int, c_uint, c_void};
#[cfg(target_os = "linux")]
use std::ops::Range;
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, io, ptr, slice};

#[cfg(target_os = "linux")]
use memmap2::UncheckedAdvice;
use memmap2::{Advice, Mmap, MmapOptions, MmapRaw};
use parking_lot::Mutex;

/// Maps a whole file for reading. `None` for an empty file, which cannot be mapped.
pub(super) fn map_file(file: &fs::File) -> io::Result<Option<Mmap>> {
    if file.metadata()?.len() == 0 {
        return Ok(None);
    }
    // SAFETY: the file is sealed: no code of ours writes to it or cuts it while a mapping can exist, and the directory
    // lock keeps other processes of ours out. Foreign truncation is documented at `File::map`.
    unsafe { MmapOptions::new().map(file) }.map(Some)
}

unsafe extern "C" {
    safe fn getpagesize() -> c_int;
    #[cfg(target_os = "linux")]
    safe fn sync_file_range(file: c_int, offset: i64, len: i64, flags: c_uint) -> c_int;
    fn mincore(start: *mut c_void, len: usize, pages: *mut u8) -> c_int;
}

/// Advises the kernel to back the whole pages in `memory` with huge ones.
pub(crate) fn advise_huge_pages(memory: &mut [u8]) {
    let page = page_bytes();
    let before = memory.as_ptr().align_offset(page).min(memory.len());
    let len = (memory.len() - before) / page * page;
    let pages = &mut memory[before..before + len];
    #[cfg(all(target_os = "linux", not(miri)))]
    if !pages.is_empty() {
        use rustix::mm::{Advice, madvise};
        // SAFETY: the range consists of whole pages that the caller has borrowed exclusively, and this advice changes
        // which memory backs them and none of their bytes.
        let advised = unsafe { madvise(pages.as_mut_ptr().cast(), len, Advice::LinuxHugepage) };
        // A kernel that refuses goes on with small pages.
        let _is_refused = advised.is_err();
    }
    #[cfg(not(all(target_os = "linux", not(miri))))]
    let _: &mut [u8] = pages;
}

/// Bytes of a cache line of the processors that this crate knows.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const LINE_BYTES: usize = 64;

/// Asks the processor for the cache lines of the first byte of `memory` and of every 64th after it.
#[inline]
pub(crate) fn prefetch_lines(memory: &[u8]) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    for line in memory.chunks(LINE_BYTES) {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the instruction is part of every x86-64, reads no byte for the program and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _: &[u8] = memory;
}

/// Bytes in a page of this machine.
pub(super) fn page_bytes() -> usize {
    let bytes = getpagesize();
    assert!(bytes > 0 && bytes.count_ones() == 1, "a page has a power of two of bytes");
    bytes.unsigned_abs() as usize
}

/// Whether each page of `map` is in memory.
pub(super) fn resident_pages(map: &Mmap) -> io::Result<Vec<bool>> {
    let mut pages = vec![0; map.len().div_ceil(page_bytes())];
    // SAFETY: `map` begins at a page and lives during the call; `pages` has a byte for each page of it. The call changes
    // `pages` and nothing else.
    let code = unsafe { mincore(map.as_ptr().cast_mut().cast(), map.len(), pages.as_mut_ptr()) };
    if code != 0 {
        return Err(io::Error::last_os_error());
    }
    // The other bits are reserved.
    Ok(pages.iter().map(|page| page & 1 == 1).collect())
}

/// Pages that one question about a file asks for: the answer takes a byte for each.
const PAGES_AT_ONCE: usize = 1 << 16;

/// How many bytes of memory the page cache holds for `file`, in whole pages. Reads none of them: the file may be written,
/// mapped and cut by anybody meanwhile, and a page behind its end counts as absent.
///
/// # Errors
/// A file that cannot be mapped for reading: one that is not open for reading, or no regular file.
pub fn page_cache_bytes(file: &fs::File) -> io::Result<u64> {
    if file.metadata()?.len() == 0 {
        return Ok(0);
    }
    // A raw mapping hands out no reference, so nothing is promised about the bytes behind it.
    let map = MmapOptions::new().map_raw_read_only(file)?;
    let (page, len) = (page_bytes(), map.len());
    let mut pages = vec![0; len.div_ceil(page).min(PAGES_AT_ONCE)];
    let mut resident = 0;
    for from in (0..len).step_by(PAGES_AT_ONCE * page) {
        let asked = (len - from).min(PAGES_AT_ONCE * page);
        // Each page has a byte for its answer.
        let answers = &mut pages[..asked.div_ceil(page)];
        let start = map.as_mut_ptr().wrapping_add(from);
        // SAFETY: `asked` bytes from `start` lie in the mapping, which lives during the call, and `from` is a multiple of
        // the page. `answers` has a byte for each page of them. The call changes `answers` and nothing else.
        let code = unsafe { mincore(start.cast(), asked, answers.as_mut_ptr()) };
        if code != 0 {
            return Err(io::Error::last_os_error());
        }
        resident += answers.iter().filter(|answer| **answer & 1 == 1).count();
    }
    Ok((resident * page) as u64)
}

/// Takes the pages of `range` out of the page table of the process. The next access finds them again.
#[cfg(target_os = "linux")]
pub(super) fn forget_pages(map: &Mmap, range: Range<usize>) -> io::Result<()> {
    assert!(range.start <= range.end && range.end <= map.len(), "the range lies in the mapping");
    // SAFETY: the mapping is of a file, shared and read-only, so it has no page of its own: an access after the call
    // reads the same bytes of the file again.
    unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, range.start, range.len()) }
}

/// Has the kernel begin to write the dirty pages between two offsets of `file` to the disk. Makes nothing durable, and
/// may wait for the queue of the disk. A failure to write is reported by the next sync.
pub(super) fn start_writeback(file: &fs::File, from: u64, to: u64) {
    assert!(from < to, "some bytes are written");
    #[cfg(target_os = "linux")]
    {
        const SYNC_FILE_RANGE_WRITE: c_uint = 2;
        let (offset, len) = (from.cast_signed(), (to - from).cast_signed());
        sync_file_range(file.as_raw_fd(), offset, len, SYNC_FILE_RANGE_WRITE);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}

/// Memory that is appended to by one thread at a time and read by any number.
#[derive(Debug)]
pub(super) struct Region {
    memory: Memory,
    published: AtomicUsize,
    /// Admits one appender.
    appender: Mutex<()>,
}

/// The memory that a region lies in.
#[derive(Debug)]
enum Memory {
    File(MmapRaw),
    #[cfg(test)]
    Heap(HeapMemory),
}

impl Region {
    /// A region over the first `len` bytes of `file`, which may not have them yet. Its owner gives the file its bytes
    /// before it appends to them: behind the end of a file, access ends the process.
    ///
    /// Values of the log are read in any order, so a page that left memory comes back without its neighbours: the
    /// read-ahead of some disks is 8 MiB for one page.
    pub(super) fn over_file(file: &fs::File, len: usize) -> io::Result<Self> {
        let map = MmapOptions::new().len(len).map_raw(file)?;
        // A kernel that refuses reads ahead.
        let _is_refused = map.advise(Advice::Random).is_err();
        Ok(Self::new(Memory::File(map)))
    }

    fn new(memory: Memory) -> Self {
        Self { memory, published: AtomicUsize::new(0), appender: Mutex::new(()) }
    }

    #[inline]
    fn parts(&self) -> (*mut u8, usize) {
        match &self.memory {
            Memory::File(map) => (map.as_mut_ptr(), map.len()),
            #[cfg(test)]
            Memory::Heap(heap) => heap.parts(),
        }
    }

    /// Writes `bytes` at `offset` and publishes them.
    ///
    /// # Panics
    /// When `offset` is not the published length, or the bytes do not fit.
    #[inline]
    pub(super) fn append(&self, offset: usize, bytes: &[u8]) {
        let _one = self.appender.lock();
        let (start, len) = self.parts();
        assert_eq!(offset, self.published.load(Ordering::Relaxed), "appends leave no gap");
        assert!(bytes.len() <= len - offset, "the bytes fit into the capacity");
        // SAFETY: offset <= len by the assertions, so the pointer stays inside the region.
        let target = unsafe { start.add(offset) };
        // SAFETY: `bytes.len()` bytes from `target` lie in the region; nobody reads them before the store below, and
        // the lock keeps other appenders out. `bytes` cannot overlap them: slices of the region end before `offset`.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) };
        self.published.store(offset + bytes.len(), Ordering::Release);
    }

    /// Takes the whole pages between two offsets out of the page table of the process. The next access finds them again in
    /// the file, with everything that was written to them.
    pub(super) fn forget_pages(&self, from: usize, to: usize) {
        assert!(from <= to && to <= self.parts().1, "the range lies in the region");
        let (from, to) = (from.next_multiple_of(page_bytes()), to / page_bytes() * page_bytes());
        match &self.memory {
            #[cfg(target_os = "linux")]
            Memory::File(map) if from < to => {
                // SAFETY: the mapping is of a file and shared, so it has no page of its own: the bytes written through it are
                // in the pages of the file, and an access during or after the call reads or writes them there.
                let forgotten = unsafe {
                    map.unchecked_advise_range(UncheckedAdvice::DontNeed, from, to - from)
                };
                // Otherwise the pages stay where they are.
                let _is_refused = forgotten.is_err();
            }
            _ => {}
        }
    }

    /// Calls `act` with the published length while no append is running.
    pub(super) fn between_appends<T>(&self, act: impl FnOnce(usize) -> T) -> T {
        let _one = self.appender.lock();
        act(self.published.load(Ordering::Relaxed))
    }

    /// How many bytes were published so far.
    #[inline]
    pub(super) fn published_len(&self) -> usize {
        self.published.load(Ordering::Acquire)
    }

    /// `len` bytes from `offset`. `None` when they were not all published. The slice covers no other byte: a log rewrites
    /// the slots of its witness through the file, and reads them never.
    #[inline]
    pub(super) fn published(&self, offset: usize, len: usize) -> Option<&[u8]> {
        let end = offset.checked_add(len)?;
        if end > self.published_len() {
            return None;
        }
        let (start, _) = self.parts();
        // SAFETY: `offset` is at most the published length, so the pointer stays inside the region.
        let start = unsafe { start.add(offset) };
        // SAFETY: the bytes up to `end` were written before the release store that the load above has seen, and are never
        // written again through the region. The region lives as long as `self`.
        Some(unsafe { slice::from_raw_parts(start, len) })
    }
}

#[cfg(test)]
#[derive(Debug)]
struct HeapMemory(Box<[std::cell::UnsafeCell<u8>]>);

#[cfg(test)]
impl HeapMemory {
    fn new(len: usize) -> Self {
        Self((0..len).map(|_| std::cell::UnsafeCell::new(0)).collect())
    }

    #[inline]
    fn parts(&self) -> (*mut u8, usize) {
        (std::cell::UnsafeCell::raw_get(self.0.as_ptr()), self.0.len())
    }
}

#[cfg(test)]
// SAFETY: the cells are reached through `Region` only, whose protocol is argued at the top of this file.
unsafe impl Sync for HeapMemory {}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn readers_see_whole_appends_while_the_region_grows() {
        let region = Region::new(Memory::Heap(HeapMemory::new(8 * 64)));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut seen = 0;
                while seen < 64 {
                    let published = region.published(0, region.published_len()).expect("published");
                    assert_eq!(published.len() % 8, 0);
                    for (at, chunk) in published.chunks_exact(8).enumerate() {
                        assert_eq!(chunk, [at as u8; 8]);
                    }
                    seen = published.len() / 8;
                    std::thread::yield_now();
                }
            });
            for at in 0..64 {
                region.append(at * 8, &[at as u8; 8]);
            }
        });
    }

    #[test]
    #[cfg_attr(miri, ignore = "maps a file")]
    fn forgotten_pages_are_found_again_with_what_was_written_to_them() {
        let file = tempfile::tempfile().expect("a temporary file");
        let page = page_bytes();
        file.set_len(8 * page as u64).expect("the file grows");
        let region = Region::over_file(&file, 8 * page).expect("the file is mapped");
        region.append(0, &vec![1; 3 * page + 7]);
        let before = region.published(0, 3 * page + 7).expect("it was appended");
        region.forget_pages(0, 3 * page + 7);
        assert!(before.iter().all(|&byte| byte == 1), "a slice from before stays valid");
        region.append(3 * page + 7, &vec![2; 2 * page]);
        region.forget_pages(page + 1, 8 * page);
        let bytes = region.published(0, 5 * page + 7).expect("it was appended");
        let (first, second) = bytes.split_at(3 * page + 7);
        assert!(first.iter().all(|&byte| byte == 1) && second.iter().all(|&byte| byte == 2));
    }

    #[test]
    #[cfg_attr(miri, ignore = "maps a file")]
    fn the_page_cache_of_a_file_is_its_written_pages_and_none_of_its_holes() {
        use std::os::unix::fs::FileExt as _;

        let file = tempfile::tempfile().expect("a temporary file");
        assert_eq!(page_cache_bytes(&file).expect("an empty file"), 0);
        let page = page_bytes();
        let end = (PAGES_AT_ONCE + 100) * page;
        file.write_all_at(&vec![1; 10 * page], 0).expect("the first pages are written");
        file.write_all_at(&[1; 7], end as u64).expect("a last page behind a hole is written");
        // The kernel may hold more around a written page, and never the whole hole.
        let held = page_cache_bytes(&file).expect("the file is asked about");
        assert!((11 * page as u64..end as u64 / 2).contains(&held), "{held}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    #[cfg_attr(miri, ignore = "maps a file")]
    fn a_read_of_a_region_that_left_memory_fetches_its_own_pages_and_no_others() {
        use rustix::fs::fadvise;

        // Large enough for the read-ahead of any disk to fetch much of it, wherever it begins.
        let len = 16 << 20;
        let file = tempfile::tempfile().expect("a temporary file");
        file.set_len(len as u64).expect("the file grows");
        let region = Region::over_file(&file, len).expect("the file is mapped");
        region.append(0, &vec![1; len]);
        region.forget_pages(0, len);
        file.sync_all().expect("the bytes reach the disk");
        fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("the pages leave memory");
        let held = || page_cache_bytes(&file).expect("the file is asked about");
        if held() > 0 {
            println!("skipped: the folder for temporary files is on a file system in memory");
            return;
        }
        assert_eq!(region.published(len / 2, 1), Some(&[1][..]));
        assert!(held() <= 16 * page_bytes() as u64, "{}", held());
    }

    #[test]
    #[should_panic(expected = "fit into the capacity")]
    fn an_append_past_the_end_is_refused() {
        Region::new(Memory::Heap(HeapMemory::new(4))).append(0, &[0; 5]);
    }

    #[test]
    #[should_panic(expected = "leave no gap")]
    fn an_append_that_would_leave_a_gap_is_refused() {
        Region::new(Memory::Heap(HeapMemory::new(4))).append(1, &[0; 1]);
    }
}
