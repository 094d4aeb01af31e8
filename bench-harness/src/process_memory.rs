//! The memory of this process, as the operating system counts it. Read between phases: the kernel walks every page.

use std::fs;

use crate::proc_text::field;

/// Resident memory of this process, by where its pages come from.
#[expect(clippy::struct_field_names, reason = "the unit ends the name of each quantity")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resident {
    /// Pages that no file backs: the heap, stacks, shared memory and huge pages, also while they are swapped out. The
    /// kernel cannot drop them.
    pub(crate) anonymous_bytes: u64,
    /// Pages of mapped files. A page that is mapped twice counts twice.
    pub(crate) mapped_bytes: u64,
    /// The part of `anonymous_bytes` that is mapped shared memory.
    pub(crate) shared_bytes: u64,
}

impl Resident {
    /// The memory as it is now; `None` where the system does not tell.
    pub(crate) fn now() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/smaps_rollup").ok()?)
    }

    /// Reads the text of `smaps_rollup`.
    fn parse(rollup: &str) -> Option<Self> {
        let bytes = |name| Some(field(rollup, name)? * 1024);
        let (resident, anonymous) = (bytes("Rss")?, bytes("Anonymous")?);
        // Shared memory has no file on a disk, so nothing can drop it either. `Rss` counts it among the files.
        let shared = bytes("Pss_Shmem").unwrap_or_default();
        // Pages of hugetlbfs stand outside of `Rss`; transparent huge pages are part of `Anonymous`.
        let outside = ["Private_Hugetlb", "Shared_Hugetlb", "Swap"];
        let outside: u64 = outside.into_iter().filter_map(bytes).sum();
        Some(Self {
            anonymous_bytes: anonymous + shared + outside,
            mapped_bytes: resident.saturating_sub(anonymous + shared),
            shared_bytes: shared,
        })
    }

    /// How much more there is than in `earlier`. A part that has shrunk since then counts as 0.
    pub(crate) fn beyond(self, earlier: Self) -> Self {
        debug_assert!(self.shared_bytes <= self.anonymous_bytes, "shared memory is a part");
        Self {
            anonymous_bytes: self.anonymous_bytes.saturating_sub(earlier.anonymous_bytes),
            mapped_bytes: self.mapped_bytes.saturating_sub(earlier.mapped_bytes),
            shared_bytes: self.shared_bytes.saturating_sub(earlier.shared_bytes),
        }
    }
}

/// Forgets the peak of resident memory, so that the next peak belongs to the next phase.
pub(crate) fn forget_peak() {
    // Refused on some systems; the peak is then the one since the start of the process, which is a young one.
    fs::write("/proc/self/clear_refs", "5").unwrap_or_default();
}

/// The most memory that was resident since [`forget_peak`], in bytes.
pub(crate) fn peak_bytes() -> Option<u64> {
    status_bytes("VmHWM")
}

/// The memory that is resident now, in bytes.
pub(crate) fn resident_bytes() -> Option<u64> {
    status_bytes("VmRSS")
}

fn status_bytes(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    field(&status, name).map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLLUP: &str = "\
555555554000-7ffffffff000 ---p 00000000 00:00 0                          [rollup]
Rss:               10000 kB
Pss:                9000 kB
Pss_Shmem:           100 kB
Anonymous:          6000 kB
AnonHugePages:      2048 kB
Shared_Hugetlb:        4 kB
Private_Hugetlb:    2044 kB
Swap:                  8 kB
";

    #[test]
    fn memory_that_no_file_backs_counts_once_and_apart_from_mapped_files() {
        let resident = Resident::parse(ROLLUP).unwrap();
        assert_eq!(resident.anonymous_bytes, (6000 + 100 + 4 + 2044 + 8) * 1024);
        assert_eq!(resident.mapped_bytes, (10000 - 6000 - 100) * 1024);
        assert_eq!(Resident::parse("Rss: 1 kB\n"), None);
    }

    #[test]
    fn memory_on_the_heap_is_anonymous() {
        const BYTES: usize = 64 << 20;
        let grows_by_the_heap_alone = || {
            let before = Resident::now().unwrap();
            let heap = std::hint::black_box(vec![1_u8; BYTES]);
            let grown = Resident::now().unwrap().beyond(before);
            drop(heap);
            grown.anonymous_bytes >= BYTES as u64 * 9 / 10 && grown.mapped_bytes < BYTES as u64 / 2
        };
        // Other tests of this process map files meanwhile.
        assert!((0..50).any(|_| grows_by_the_heap_alone()));
    }
}
