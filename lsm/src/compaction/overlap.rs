//! Key ranges of sorted files.

use std::ops::Range;

use super::file::{File, Key};

/// Whether the files are in the order of their keys and none overlaps the next.
pub(super) fn is_sorted<K: Key>(files: &[File<K>]) -> bool {
    files.iter().all(|file| file.smallest <= file.largest)
        && files.windows(2).all(|pair| pair[0].largest < pair[1].smallest)
}

/// The files with keys in `smallest..=largest`, as indices; `files` are those of a run.
pub(super) fn overlapping<K: Key>(files: &[File<K>], smallest: &K, largest: &K) -> Range<usize> {
    debug_assert!(smallest <= largest, "a range has a first and a last key");
    let start = files.partition_point(|file| file.largest < *smallest);
    let count = files[start..].partition_point(|file| file.smallest <= *largest);
    debug_assert!(start + count <= files.len(), "the range is one of the run");
    start..start + count
}

/// The bytes of the files with keys in `smallest..=largest`.
pub(super) fn overlapping_bytes<K: Key>(files: &[File<K>], smallest: &K, largest: &K) -> u64 {
    files[overlapping(files, smallest, largest)].iter().map(|file| file.bytes).sum()
}

/// The first and the last key of `files`, which need not be sorted.
pub(super) fn hull<'f, K: Key + 'f>(
    files: impl IntoIterator<Item = &'f File<K>>,
) -> Option<(K, K)> {
    let mut files = files.into_iter();
    let first = files.next()?;
    let ends = files.fold((&first.smallest, &first.largest), |(low, high), file| {
        (low.min(&file.smallest), high.max(&file.largest))
    });
    debug_assert!(ends.0 <= ends.1, "each file has a first and a last key");
    Some((ends.0.clone(), ends.1.clone()))
}

/// Whether no two of `files` overlap.
pub(super) fn are_disjoint<'f, K: Key + 'f>(files: impl Iterator<Item = &'f File<K>>) -> bool {
    let mut files: Vec<&File<K>> = files.collect();
    files.sort_by(|a, b| a.smallest.cmp(&b.smallest));
    files.windows(2).all(|pair| pair[0].largest < pair[1].smallest)
}
