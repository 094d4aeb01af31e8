//! Mappings of files that no longer change: for reads anywhere, and for one pass.

use std::ops::Range;
use std::sync::Arc;
use std::{fs, io};

use memmap2::{Advice, Mmap};
use parking_lot::Mutex;

use super::cache_pass::CachePass;
use super::mapping::{map_file, page_bytes, resident_pages};
use crate::fs::{Access, Mapped};

/// How many bytes are populated in one call, which keeps other threads from mapping files meanwhile.
const POPULATED_AT_ONCE: usize = 2 << 20;

/// Maps `file`, with the advice for `access`. A system that refuses the advice serves the mapping all the same.
pub(super) fn map(file: &Arc<fs::File>, access: Access) -> io::Result<Arc<dyn Mapped>> {
    let map = map_file(file)?;
    let advise = |advice| map.as_ref().map(|map| map.advise(advice));
    match access {
        Access::Random => {
            drop(advise(Advice::Random));
            Ok(Arc::new(RandomMapping { map }))
        }
        Access::Sequential => {
            let pass = Mutex::new(CachePass::over(file, map.as_ref()));
            drop(advise(Advice::Sequential));
            Ok(Arc::new(SequentialMapping { map, pass }))
        }
    }
}

/// A view of a file for reads anywhere.
#[derive(Debug)]
struct RandomMapping {
    map: Option<Mmap>,
}

impl Mapped for RandomMapping {
    fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or(&[])
    }

    fn populate(&self) {
        #[cfg(target_os = "linux")]
        if let Some(map) = &self.map {
            // Populating is a hint: where it is refused, a page is entered at its first access.
            drop(populate(map));
        }
    }

    fn prefetch(&self, range: Range<usize>) {
        assert!(range.end <= self.bytes().len(), "only bytes of the file are read");
        let start = range.start - range.start % page_bytes();
        if let Some(map) = self.map.as_ref().filter(|_| !range.is_empty()) {
            // Where the advice is refused, each page is read at its first access.
            drop(map.advise_range(Advice::WillNeed, start, range.end - start));
        }
    }
}

/// Populates the pages that are in memory, run by run.
#[cfg(target_os = "linux")]
fn populate(map: &Mmap) -> io::Result<()> {
    let pages = resident_pages(map)?;
    for (number, step) in pages.chunks(POPULATED_AT_ONCE / page_bytes()).enumerate() {
        let mut offset = number * POPULATED_AT_ONCE;
        for run in step.chunk_by(|before, after| before == after) {
            let end = (offset + run.len() * page_bytes()).min(map.len());
            if run[0] {
                map.advise_range(Advice::PopulateRead, offset, end - offset)?;
            }
            offset = end;
        }
    }
    Ok(())
}

/// A view of a file for one pass. The pages that the pass brought into memory leave it when they are released.
#[derive(Debug)]
struct SequentialMapping {
    map: Option<Mmap>,
    pass: Mutex<CachePass>,
}

impl Mapped for SequentialMapping {
    fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or(&[])
    }

    fn release(&self, end: usize) {
        assert!(end <= self.bytes().len(), "only bytes of the file are released");
        self.pass.lock().release(end as u64, self.map.as_ref());
    }
}

impl Drop for SequentialMapping {
    fn drop(&mut self) {
        let len = self.bytes().len() as u64;
        self.pass.get_mut().release(len, self.map.as_ref());
    }
}

#[cfg(all(test, target_os = "linux", not(shuttle)))]
mod tests {
    use std::os::unix::fs::FileExt as _;
    use std::path::Path;

    use rustix::fs::fadvise;

    use super::*;
    use crate::fs::{Fs as _, copy_whole, read_whole};
    use crate::os_fs::OsFs;

    const LEN: usize = (6 << 20) + 100;

    #[expect(clippy::unwrap_used, clippy::print_stdout, reason = "as in a test")]
    /// A file on the disk of which only the pages 500 to 600 are in memory. `None`, with a notice, on a file system that
    /// lives in memory.
    fn cold_file(path: &Path) -> Option<Arc<fs::File>> {
        let bytes: Vec<u8> = (0..LEN).map(|at| (at / 4096) as u8).collect();
        fs::write(path, bytes).unwrap();
        let file = fs::File::open(path).unwrap();
        file.sync_all().unwrap();
        fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        fadvise(&file, 0, None, rustix::fs::Advice::Random).unwrap();
        file.read_exact_at(&mut vec![0; 100 * page_bytes()], 500 * page_bytes() as u64).unwrap();
        let file = Arc::new(file);
        let resident = resident(&file);
        if resident.len() > 200 {
            println!("skipped: the file system of {} keeps files in memory", path.display());
            return None;
        }
        assert!((500..600).all(|page| resident.contains(&page)), "{resident:?}");
        Some(file)
    }

    #[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    /// The pages of `file` that are in memory.
    fn resident(file: &fs::File) -> Vec<usize> {
        let map = map_file(file).unwrap().unwrap();
        let pages = resident_pages(&map).unwrap();
        (0..pages.len()).filter(|page| pages[*page]).collect()
    }

    #[test]
    fn a_pass_over_a_file_leaves_the_page_cache_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let Some(file) = cold_file(&path) else { return };
        let before = resident(&file);
        let opened = OsFs::default().open(&path).unwrap();
        assert_eq!(copy_whole(&*opened).unwrap().len(), LEN);
        assert_eq!(resident(&file), before, "after a pass by position");
        let mapped = read_whole(&*opened).unwrap();
        let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        let total = sum(mapped.bytes());
        assert_eq!(resident(&file).len(), LEN.div_ceil(page_bytes()));
        drop(mapped);
        assert_eq!(resident(&file), before, "after a pass through a mapping");
        assert_eq!(total, sum(&copy_whole(&*opened).unwrap()));
    }

    #[test]
    fn released_pages_leave_the_cache_and_stay_readable() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let Some(file) = cold_file(&path) else { return };
        let mapped = map(&file, Access::Sequential).unwrap();
        let copy = mapped.bytes().to_vec();
        mapped.release(300 * page_bytes() + 7);
        let left = resident(&file);
        assert!(!left.contains(&0) && !left.contains(&299), "{left:?}");
        assert!(left.contains(&300) && left.contains(&(LEN / page_bytes())));
        assert_eq!(copy, mapped.bytes());
    }

    #[test]
    fn a_random_read_brings_one_page_into_memory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let Some(file) = cold_file(&path) else { return };
        let before = resident(&file).len();
        let mapped = map(&file, Access::Random).unwrap();
        assert_eq!(mapped.bytes()[1000 * page_bytes()], (1000 * page_bytes() / 4096) as u8);
        assert_eq!(resident(&file).len(), before + 1);
    }

    #[test]
    fn a_prefetch_brings_its_pages_into_memory_and_changes_no_byte() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let Some(file) = cold_file(&path) else { return };
        let mapped = map(&file, Access::Random).unwrap();
        let wanted = 1000 * page_bytes() + 9..1010 * page_bytes() + 1;
        mapped.prefetch(wanted.clone());
        // The pages arrive while the caller goes on; reading them waits for each.
        for at in wanted.step_by(page_bytes()) {
            assert_eq!(mapped.bytes()[at], (at / 4096) as u8);
        }
        mapped.prefetch(5..5);
        mapped.prefetch(LEN - 1..LEN);
        let resident = resident(&file);
        assert!((1000..=1010).all(|page| resident.contains(&page)), "{resident:?}");
    }

    #[test]
    fn populating_reads_nothing_from_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let Some(file) = cold_file(&path) else { return };
        let before = resident(&file);
        let mapped = map(&file, Access::Random).unwrap();
        mapped.populate();
        assert_eq!(resident(&file), before);
        let (start, len) = (500 * page_bytes(), 100 * page_bytes());
        assert!(mapped.bytes()[start..start + len].iter().any(|byte| *byte != 0));
    }

    #[test]
    fn an_empty_file_has_no_bytes_to_map() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, b"").unwrap();
        let file = Arc::new(fs::File::open(&path).unwrap());
        for access in [Access::Random, Access::Sequential] {
            let mapped = map(&file, access).unwrap();
            mapped.populate();
            mapped.release(0);
            assert_eq!(mapped.bytes(), b"");
        }
    }
}
