//! One pass over a file that leaves the page cache as it was.
//!
//! When the pass begins, it asks which pages of the file are in memory (`mincore`). The others leave the cache again once
//! the pass has gone by (`POSIX_FADV_DONTNEED`). A page that another reader brings in while the pass runs leaves as well,
//! unless that reader has it mapped. Where the system does not tell, every page stays.

use std::fs;
use std::ops::Range;
use std::sync::Arc;

use memmap2::Mmap;

use super::mapping::{page_bytes, resident_pages};

/// Which pages of a file a pass brings into memory, and how far it has come.
#[derive(Debug)]
pub(super) struct CachePass {
    file: Arc<fs::File>,
    /// Runs of bytes that were not in memory before the pass and were not released yet, ascending. They begin at a
    /// page, and end at one or at the end of the file.
    absent: Vec<Range<u64>>,
    len: u64,
}

impl CachePass {
    /// A pass over `file`, of which `map` is a mapping that was not read yet. `None`: the file is empty.
    pub(super) fn over(file: &Arc<fs::File>, map: Option<&Mmap>) -> Self {
        let resident = map.and_then(|map| resident_pages(map).ok()).unwrap_or_default();
        let len = map.map_or(0, |map| map.len() as u64);
        Self { file: Arc::clone(file), absent: absent_runs(&resident, len), len }
    }

    /// The pass has gone by the bytes before `end`. `map` is the mapping that they were read through, if they were.
    pub(super) fn release(&mut self, end: u64, map: Option<&Mmap>) {
        // A file that grew in the meantime has bytes that this pass knows nothing of.
        let whole = if end >= self.len { self.len } else { end - end % page_bytes() as u64 };
        for run in &mut self.absent {
            let passed = run.start..run.end.min(whole);
            if passed.is_empty() {
                break;
            }
            drop_from_cache(&self.file, &passed, map);
            run.start = passed.end;
        }
        self.absent.retain(|run| !run.is_empty());
    }
}

/// The runs of pages that are not in memory, in bytes.
fn absent_runs(resident: &[bool], len: u64) -> Vec<Range<u64>> {
    let mut runs = Vec::new();
    let mut start = 0;
    for run in resident.chunk_by(|before, after| before == after) {
        let end = (start + (run.len() * page_bytes()) as u64).min(len);
        if !run[0] {
            runs.push(start..end);
        }
        start = end;
    }
    assert!(resident.is_empty() || start == len, "the runs cover the file");
    runs
}

/// Lets pages go, as far as nobody else has them mapped. A refusal leaves them in memory, which costs no correctness.
#[cfg(target_os = "linux")]
fn drop_from_cache(file: &fs::File, range: &Range<u64>, map: Option<&Mmap>) {
    use std::num::NonZeroU64;

    use rustix::fs::{Advice, fadvise};

    if let Some(map) = map {
        drop(super::mapping::forget_pages(map, range.start as usize..range.end as usize));
    }
    let len = NonZeroU64::new(range.end - range.start);
    drop(fadvise(file, range.start, len, Advice::DontNeed).map_err(std::io::Error::from));
}

/// Without the call the pages stay until the system needs their memory.
#[cfg(not(target_os = "linux"))]
fn drop_from_cache(_: &fs::File, _: &Range<u64>, _: Option<&Mmap>) {}
