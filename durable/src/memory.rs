//! Memory of the process that holds much and is read at random.

use crate::os_fs::{advise_huge_pages, load_lines};

/// Asks the kernel to back `memory` with huge pages, so that reading it at random misses the processor's table of
/// addresses less often. Call it before the first access: a page that is backed already stays as it is for a while.
///
/// It is advice, on Linux only, and changes no byte. A kernel without huge pages, or without a free one, goes on with small
/// pages. A huge page of 2 MiB is taken as a whole by the first access to any byte of it.
pub fn prefer_huge_pages(memory: &mut [u8]) {
    advise_huge_pages(memory);
}

/// Asks the processor to load the cache lines of the first byte of `memory` and of every 64th after it, so that later reads
/// of several lines wait at the same time. Bytes that share a line with none of these are not asked for.
///
/// It is advice, on x86-64 only, and changes no byte. A page that is not in memory is not fetched.
#[inline]
pub fn prefetch_lines(memory: &[u8]) {
    load_lines(memory);
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn the_advice_changes_no_byte_whatever_the_slice() {
        let mut memory: Vec<u8> = (0..5_usize << 20).map(|at| at as u8).collect();
        for range in [0..0, 0..1, 1..4_097, 4_000..9_000, 17..5 << 20, 0..5 << 20] {
            prefer_huge_pages(&mut memory[range]);
        }
        assert!(memory.iter().enumerate().all(|(at, &byte)| byte == at as u8));
    }

    #[test]
    fn a_prefetch_takes_any_slice_and_changes_no_byte() {
        let memory: Vec<u8> = (0..300_u16).map(|at| at as u8).collect();
        for range in [0..0, 0..1, 63..65, 1..300] {
            prefetch_lines(&memory[range]);
        }
        assert!(memory.iter().enumerate().all(|(at, &byte)| byte == at as u8));
    }
}
