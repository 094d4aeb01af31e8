//! Whether two times of the disk for a sync are those of one disk. On virtual machines the disk by itself becomes faster
//! and slower, by a factor of ten and more. The speed of an engine that waits for syncs follows it.

/// Two times of the disk for a sync that differ by more than this factor are those of different disks.
const LARGEST_RATIO: f64 = 1.5;

/// Whether two times of the disk for a sync differ too much for a comparison.
pub(crate) fn differ(one_ns: f64, other_ns: f64) -> bool {
    debug_assert!(one_ns >= 0.0 && other_ns >= 0.0, "{one_ns} and {other_ns} are times");
    one_ns.max(other_ns) > LARGEST_RATIO * one_ns.min(other_ns)
}
