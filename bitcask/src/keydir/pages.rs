//! Pages of memory for all shards of a keydir.
//!
//! A large keydir is read at random, so nearly each access misses the processor's address cache (TLB). The walk through the
//! page table then costs as much as the memory access itself. In huge pages the walk is short: with 10 million keys a
//! look-up took 450 ns of processor time instead of 720 ns.
//!
//! A shard alone is too small for huge pages: rounding each of 256 shards up to 2 MiB would double the memory of 10 million
//! keys. So the shards share **slabs** of [`SLAB_PAGES`] pages that are backed by huge pages, and take single pages from
//! them. A new slab is allocated when the last one is used up. Only pages that were taken use memory, in whole huge
//! pages. The first [`SMALL_PAGES`] pages of a keydir come one by one, so that a small store does not pay for any of this.
//!
//! Pages that a shard gives back serve all shards. Their memory returns to the system with the keydir.

use bytes::BytesMut;
use durable::prefer_huge_pages;
use durable::sync::Mutex;

use crate::lock_order::Lock;

/// Bytes of a page.
pub(super) const PAGE: usize = 4 << 10;

/// Pages of a slab: 64 MiB, which the allocator takes from the system as it is, zeroed and not touched.
const SLAB_PAGES: usize = 16 << 10;

/// So many pages are allocated one by one: 32 MiB, which an ordinary page table reaches well.
const SMALL_PAGES: usize = 8 << 10;

/// Where the pages come from. Its lock is taken last.
pub(super) struct PagePool {
    slab_pages: usize,
    single_pages: usize,
    pages: Mutex<Pages>,
}

impl Default for PagePool {
    fn default() -> Self {
        Self::new(SMALL_PAGES, SLAB_PAGES)
    }
}

#[derive(Default)]
struct Pages {
    /// Pages that were given back.
    free: Vec<BytesMut>,
    /// The rest of the newest slab.
    slab: BytesMut,
    /// Pages that were allocated one by one.
    single: usize,
}

impl PagePool {
    fn new(single_pages: usize, slab_pages: usize) -> Self {
        assert!(slab_pages > 0, "a slab has pages");
        let pages = Mutex::ranked(Lock::Pages.rank(), Pages::default());
        Self { slab_pages, single_pages, pages }
    }

    /// A page of zeros.
    pub(super) fn take(&self) -> BytesMut {
        let mut pages = self.pages.lock();
        if let Some(mut page) = pages.free.pop() {
            drop(pages);
            page.fill(0);
            return page;
        }
        if pages.single < self.single_pages {
            pages.single += 1;
            drop(pages);
            return BytesMut::zeroed(PAGE);
        }
        if pages.slab.is_empty() {
            pages.slab = BytesMut::zeroed(self.slab_pages * PAGE);
            prefer_huge_pages(&mut pages.slab);
        }
        let page = pages.slab.split_to(PAGE);
        assert_eq!(page.len(), PAGE, "a slab has whole pages");
        page
    }

    /// Takes `chunks` back. Those that are no page are freed.
    pub(super) fn give_back(&self, chunks: impl Iterator<Item = BytesMut>) {
        let mut pages = self.pages.lock();
        pages.free.extend(chunks.filter(|chunk| chunk.len() == PAGE));
    }

    /// Bytes of pages that no shard has.
    pub(super) fn spare_bytes(&self) -> usize {
        let pages = self.pages.lock();
        pages.free.len() * PAGE + pages.free.capacity() * size_of::<BytesMut>()
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn pages_are_zeroed_and_never_shared_wherever_they_come_from() {
        let pool = PagePool::new(20, 64);
        let count = 20 + 2 * 64 + 5;
        for round in 0..2 {
            let mut pages: Vec<BytesMut> = (0..count).map(|_| pool.take()).collect();
            for (at, page) in pages.iter_mut().enumerate() {
                assert!(page.len() == PAGE && page.iter().all(|&byte| byte == 0), "round {round}");
                page.fill(at as u8);
            }
            let is_whole = |(at, page): (usize, &BytesMut)| page.iter().all(|&b| b == at as u8);
            assert!(pages.iter().enumerate().all(is_whole));
            // The chunks of long keys are no pages.
            pages.extend([BytesMut::zeroed(100), BytesMut::zeroed(2 * PAGE)]);
            pool.give_back(pages.into_iter());
            assert_eq!(pool.pages.lock().free.len(), count);
            assert!(pool.spare_bytes() >= count * PAGE);
        }
    }
}
