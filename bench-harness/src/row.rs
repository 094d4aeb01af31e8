//! One row of `summary.csv`: the measurements of one operation of one phase of one cell.
//!
//! [`COLUMNS`] is the dictionary of the file; `results/README.md` is made from it, and a test holds all three together.

use serde::{Deserialize, Serialize};

use crate::probe;

/// Grows when a column changes its meaning, not when one is added.
pub(crate) const SCHEMA_VERSION: u32 = 5;

macro_rules! row {
    ($($(#[$attribute:meta])* $name:ident: $type:ty = $about:literal,)*) => {
        /// One row. Empty means not measured; it never means 0.
        #[expect(clippy::doc_markdown, reason = "the descriptions are plain text in the dictionary")]
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        pub(crate) struct Row {
            $(#[doc = $about] pub(crate) $name: $type,)*
        }

        /// Every column with its meaning, in the order of the file.
        #[cfg(test)]
        pub(crate) const COLUMNS: &[(&str, &str)] = &[$((stringify!($name), $about),)*];
    };
}

row! {
    schema_version: u32 = "version of this dictionary; grows when a column changes its meaning",
    run_id: String = "name of the run's folder",
    block: u32 = "repetition, from 1; every block runs each engine once, in a fresh order",
    order: u32 = "place of the cell within its block, from 1",
    engine: String = "name of the engine; `bound:` is a yardstick, `peer:` an engine of others",
    engine_version: String = "version of the engine's crate",
    workload: String = "name of the workload",
    threads: u32 = "threads that ran the operations",
    durability: String = "class that the engine really kept: the weaker of what was asked for and what it can do",
    phase: String = "name of the phase within the workload",
    op: String = "operation; `all` is the sum of a phase, `rmw-get` and `rmw-put` are parts of `rmw`, `background:` ran on a second thread and is not in the sum",
    records: u64 = "entries present at the end of the phase",
    key_bytes: Option<f64> = "mean size of their keys",
    value_bytes: Option<f64> = "mean size of their values",
    target_rate: Option<f64> = "operations a second asked for; empty: as many as possible",
    ops: u64 = "calls; in a sweep, entries; in batches, the writes that they carry",
    errors: u64 = "calls that failed; a run with one has no summary, so this is 0",
    not_found: u64 = "reads that rightly found nothing",
    retries: u64 = "writes that the engine asked to try again",
    duration_s: f64 = "wall time from the first call to the end of the last, without warm-up and pauses; in a sweep, with the begin and, from version 3 on, the end of the scan; in version 1, time inside the engine per thread",
    throughput_ops_s: Option<f64> = "ops of all threads divided by duration_s: the ranked figure, unless deferred_s is longer than duration_s and than 20 ms: then settled_throughput_ops_s is, for classes other than none",
    settled_throughput_ops_s: Option<f64> = "ops of all threads divided by duration_s and the time of a final sync together; from version 4 on, by duration_s and the longer of deferred_s and the time of that sync with the work after it",
    call_s: Option<f64> = "time inside the calls, per thread: the mean of the timed ones times all calls; an estimate, which a stall among the timed ones may raise above duration_s",
    timed_calls: Option<u64> = "calls that were timed: one in 17, or all where calls are synced, scans, batches or on a schedule",
    loop_ns: Option<f64> = "time that the loop takes for an operation of this phase on an engine that does nothing; from version 3 on, its gets return values of the mean size present, or nothing for keys that are never put",
    paused_s: Option<f64> = "time that the clock stood still because a full window of answers was judged",
    warm_up_s: Option<f64> = "time of the same operations before the clock was started; up to version 4, the time that was asked for; only in phases that time alone ends",
    entries: u64 = "entries that scans read",
    user_bytes_written: u64 = "bytes of keys and values put, and of keys deleted",
    user_bytes_read: u64 = "bytes of keys and values returned",
    lat_mean_ns: Option<f64> = "mean latency of the timed calls; the call alone, reads with every byte of the value folded; in batches, the whole batch; with a target rate, from the intended start",
    lat_p50_ns: Option<u64> = "median latency; a percentile p is given from 10 / (1 - p) samples on",
    lat_p90_ns: Option<u64> = "90th percentile",
    lat_p99_ns: Option<u64> = "99th percentile",
    lat_p999_ns: Option<u64> = "99.9th percentile",
    lat_p9999_ns: Option<u64> = "99.99th percentile",
    lat_max_ns: Option<u64> = "longest timed call; in the sum also the longest stretch of untimed calls, if it took 10 ms or more",
    service_p99_ns: Option<u64> = "99th percentile from the actual start of a call; only with a target rate",
    achieved_rate: Option<f64> = "operations a second reached; only with a target rate",
    late_ops: Option<u64> = "calls that began more than 1 ms late; only with a target rate",
    missed_ops: Option<u64> = "operations of the schedule that were due before the end of the phase and had not begun, without the one of each thread that the last call hid; only with a target rate, in the sum",
    cpu_user_s: Option<f64> = "CPU time of the process in user mode during duration_s; steps of 10 ms",
    cpu_sys_s: Option<f64> = "CPU time of the process in the kernel, the same way",
    cpu_ns_per_op: Option<f64> = "CPU time of all threads for an operation, without the loop's; from version 3 on, operations of the background count, and from version 4 on deferred_cpu_s; not with a target rate",
    deferred_cpu_s: Option<f64> = "CPU time of the engine for the phase while the clock stood still: in pauses, in the final sync, and after it until the engine was at rest (all threads below 10 % of one core for 20 ms, and none waiting for a core or, from version 5 on, for the disk); only in phases that write",
    deferred_s: Option<f64> = "wall time of that work; a wait for the disk is none",
    is_at_rest: Option<bool> = "whether the engine came to rest within the duration of the phase (at least 1 s, at most 5 s) after the final sync; if not, the phase is not ranked, unless its class is none",
    rss_peak_bytes: Option<u64> = "most resident memory of the process in the phase (VmHWM), the harness and pages of mapped files included",
    rss_base_bytes: Option<u64> = "resident memory of the process before the engine was opened, its program included",
    memory_anon_bytes: Option<u64> = "memory of the engine that no file backs (heap, stacks, shared memory, huge pages), resident or swapped out, at the end of the phase: that of the process without harness_bytes",
    memory_elsewhere_bytes: Option<u64> = "memory in files outside of the engine's directory that the engine has open or mapped, deleted ones included, at the end of the phase; mapped shared memory is part of memory_anon_bytes instead",
    memory_peak_bytes: Option<u64> = "most of both in the phase: samples every 5 ms of the memory without a file behind it, with memory_elsewhere_bytes of the end",
    memory_mapped_bytes: Option<u64> = "resident pages of mapped files at the end of the phase, without those from before the engine was opened; a page that is mapped twice counts twice",
    page_cache_bytes: Option<u64> = "pages of the engine's files in memory after the phase and its final sync, mapped or not, with those of deleted files that are still open; the system drops them where it needs memory",
    harness_bytes: Option<u64> = "memory of the harness that no file backs: operations, pool, room for stamps, model; all of it is allocated and written to before the engine is opened",
    memory_limit_bytes: Option<u64> = "limit of the memory of the process, page cache included: that of --limit-memory, raised by harness_bytes",
    did_not_fit: Option<bool> = "true where the system killed the process because it needed more than its limit, in a phase, in the last writes, or, in class `none`, in the comparison of the content at the end or while it closed the store; no phase of the cell then has figures",
    io_write_bytes: Option<u64> = "bytes of pages dirtied minus those dropped again, after a final sync",
    io_read_bytes: Option<u64> = "bytes fetched from the device",
    io_wchar: Option<u64> = "bytes that write calls took; blind to mappings",
    io_rchar: Option<u64> = "bytes that read calls returned; blind to mappings",
    fsyncs: Option<u64> = "syncs in the phase and in the final sync. Builds with peers count the calls of `fsync`, `fdatasync` and waiting `msync` that succeed; builds without them take the number of rounds that the engine counts, and leave the column empty where it counts none. A write to a file opened with `O_DSYNC` is not counted: LMDB makes one for each commit that syncs",
    least_fsyncs: Option<u64> = "syncs without which the acknowledged puts of the phase cannot be durable: its calls that put, divided by the threads that may share a sync; only in class `sync`, in the sum; an engine that made fewer fsyncs is not ranked",
    disk_alloc_bytes: Option<u64> = "bytes allocated to the engine's files at the end of the phase",
    disk_apparent_bytes: Option<u64> = "length of the engine's files at the end of the phase",
    live_bytes: u64 = "bytes of the newest keys and values present at the end of the phase",
    write_amp: Option<f64> = "io_write_bytes / user_bytes_written, both with the background's from version 3 on; only where the phase wrote",
    read_amp: Option<f64> = "io_rchar / user_bytes_read; blind to mappings; only where the phase read",
    space_amp: Option<f64> = "disk_alloc_bytes / live_bytes; only for engines that keep anything",
    stall_ms: Option<f64> = "sum of the timed calls, and of the stretches of untimed ones, longer than 10 ms and than 100 medians",
    stalls: Option<u64> = "number of such calls and stretches",
    open_ms: Option<f64> = "time to open the store after a clean close, until the first key was read",
    close_ms: Option<f64> = "time of that close, which no other figure holds",
    verified: u64 = "answers and entries that were compared with what was written; 0 for `bound:null`, whose answers are wrong, from version 3 on",
    verify_errors: u64 = "wrong ones; a run with one has no summary, so this is 0",
    steady: Option<bool> = "whether the last five tenths of the phase vary by at most 5 % and do not drift, and phases that write have written the data three times since the store was made",
    probe_before_ns: Option<f64> = "median time of a write of one page and its fdatasync in place of a file beside the engine's, before the phase; only in synced phases that write, and not beside `bound:null`",
    probe_after_ns: Option<f64> = "the same after the phase; where the two differ by more than 1.5 times, the cell is repeated once, and then the phase is not ranked; where their geometric mean differs by more than that between two engines of a block, the block does not compare these two",
    cut_short: bool = "whether the time limit of the run, or a lack of new keys to insert, ended the phase early, or, from version 3 on, one before it that writes or rests; the phase is then not ranked, and has a throughput only from 10 ms and 1,000 operations, or a tenth of its asked time and 100 operations on",
}

/// The share of the CPU time of a phase that may come while the clock stands still without a mark.
const DEFERRED_SHARE: f64 = 0.1;
/// Less work after the clock is no sign of a queue: a phase of a few operations is shorter than its final sync.
const LEAST_LATE_S: f64 = 0.02;
/// The resolution of `cpu_user_s` and `cpu_sys_s`.
const CPU_STEP_S: f64 = 0.01;

/// The share of the due operations that must be made: below it, latencies say how long the phase was and nothing else.
const LEAST_RATE: f64 = 0.99;

impl Row {
    /// A row of tests: the sum of phase `put` of workload `w` on one thread.
    #[cfg(test)]
    pub(crate) fn of_puts(engine: &str, durability: &str, block: u32, speed: f64) -> Self {
        Self {
            engine: engine.into(),
            durability: durability.into(),
            block,
            workload: "w".into(),
            phase: "put".into(),
            op: "all".into(),
            threads: 1,
            throughput_ops_s: Some(speed),
            ..Self::default()
        }
    }

    /// Whether the disk became too much faster or slower during the phase.
    pub(crate) fn disk_speed_changed(&self) -> bool {
        let both = self.probe_before_ns.zip(self.probe_after_ns);
        both.is_some_and(|(before, after)| probe::differ(before, after))
    }

    /// The disk's sync time beside the phase: the geometric mean of the times before and after it.
    pub(crate) fn disk_sync_ns(&self) -> Option<f64> {
        let (before, after) = self.probe_before_ns.zip(self.probe_after_ns)?;
        Some((before * after).sqrt())
    }

    /// Whether the engine claims to sync its writes and made fewer syncs than that takes. An unknown number accuses nobody.
    pub(crate) fn lacks_syncs(&self) -> bool {
        self.fsyncs.zip(self.least_fsyncs).is_some_and(|(made, least)| made < least)
    }

    /// Whether the row may be compared: the disk kept its speed, no limit ended the work, none was left undone, and the
    /// syncs were made.
    pub(crate) fn is_comparable(&self) -> bool {
        let is_whole = !self.cut_short && !self.leaves_work_undone();
        is_whole && !self.disk_speed_changed() && !self.lacks_syncs()
    }

    /// Whether the engine still worked when the wait for it ended, so that nobody knows the time that its operations take. An
    /// engine that promises nothing may leave work undone.
    pub(crate) fn leaves_work_undone(&self) -> bool {
        self.is_at_rest == Some(false) && self.durability != "none"
    }

    /// Whether the engine worked longer after the clock than before, and longer than [`LEAST_LATE_S`]: operations over the time
    /// of the clock are then the speed of a queue. An engine that promises nothing may put off as much as it likes.
    pub(crate) fn settles_late(&self) -> bool {
        let longest_s = self.duration_s.max(LEAST_LATE_S);
        self.deferred_s.is_some_and(|time| time > longest_s) && self.durability != "none"
    }

    /// The speed that is ranked: operations over the time of the clock. For an engine that settles late, the time until it
    /// was at rest counts, too.
    pub(crate) fn ranked_speed(&self) -> Option<f64> {
        if self.settles_late() { self.settled_throughput_ops_s } else { self.throughput_ops_s }
    }

    /// Whether more than [`DEFERRED_SHARE`] of the CPU time of the phase came while the clock stood still; `None` where it was
    /// not measured.
    pub(crate) fn defers_work(&self) -> Option<bool> {
        let timed = self.cpu_user_s? + self.cpu_sys_s?;
        let deferred = self.deferred_cpu_s?;
        Some(deferred > DEFERRED_SHARE * (timed + deferred) && deferred > CPU_STEP_S)
    }

    /// The memory that the engine holds at the end of the phase, mapped files of its directory aside.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        Some(self.memory_anon_bytes? + self.memory_elsewhere_bytes.unwrap_or_default())
    }

    /// Whether a rate was asked for and not reached. Only the row of the sum has the whole rate.
    pub(crate) fn is_overloaded(&self) -> bool {
        let Some(target) = self.target_rate else { return false };
        match self.missed_ops {
            Some(missed) => !keeps_up(self.ops, missed),
            // Rows from before version 3 do not say how many operations the schedule had.
            None => self.achieved_rate.is_none_or(|achieved| achieved < LEAST_RATE * target),
        }
    }

    /// The longest stall in nanoseconds, 0 without one; `None` where calls were not timed.
    pub(crate) fn longest_stall_ns(&self) -> Option<f64> {
        let has_stalled = self.stalls? > 0;
        Some(if has_stalled { self.lat_max_ns? as f64 } else { 0.0 })
    }
}

/// Whether an engine that made `ops` operations of a schedule and did not begin `missed` due ones keeps up with it.
pub(crate) fn keeps_up(ops: u64, missed: u64) -> bool {
    ops as f64 >= LEAST_RATE * (ops + missed) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_promises_nothing_may_leave_work_undone() {
        let row =
            |durability| Row { is_at_rest: Some(false), ..Row::of_puts("own", durability, 1, 1.0) };
        assert!(row("buffered").leaves_work_undone() && !row("none").leaves_work_undone());
    }

    #[test]
    fn a_sync_that_takes_longer_than_a_phase_of_a_few_operations_does_not_settle_late() {
        let row = |duration_s, deferred_s| deferring("buffered", duration_s, deferred_s);
        assert!(!row(0.000_002, 0.001).settles_late());
        assert!(!row(0.000_002, LEAST_LATE_S).settles_late());
        assert!(row(0.000_002, 0.021).settles_late() && row(1.0, 1.001).settles_late());
        assert!(!row(1.0, 0.999).settles_late());
    }

    #[test]
    fn the_time_until_it_is_at_rest_counts_for_an_engine_that_works_longer_after_the_clock_than_before()
     {
        let speed = |class, deferred_s| deferring(class, 1.0, deferred_s).ranked_speed();
        assert_eq!((speed("buffered", 0.9), speed("buffered", 1.1)), (Some(100.0), Some(40.0)));
        // One that promises nothing puts off as much as it likes.
        assert_eq!(speed("none", 1.1), Some(100.0));
        let unknown = Row { settled_throughput_ops_s: None, ..deferring("buffered", 1.0, 1.1) };
        assert_eq!(unknown.ranked_speed(), None);
    }

    /// 100 operations a second, 40 until the engine was at rest.
    fn deferring(class: &str, duration_s: f64, deferred_s: f64) -> Row {
        Row {
            duration_s,
            deferred_s: Some(deferred_s),
            is_at_rest: Some(true),
            settled_throughput_ops_s: Some(40.0),
            ..Row::of_puts("own", class, 1, 100.0)
        }
    }

    #[test]
    fn work_after_the_clock_that_the_clock_of_the_process_cannot_show_is_no_mark() {
        let row = |timed: f64, deferred: f64| Row {
            cpu_user_s: Some(timed),
            cpu_sys_s: Some(0.0),
            deferred_cpu_s: Some(deferred),
            ..Row::default()
        };
        assert_eq!(row(0.0, CPU_STEP_S).defers_work(), Some(false));
        assert_eq!(row(0.0, 2.0 * CPU_STEP_S).defers_work(), Some(true));
    }

    fn dictionary() -> String {
        let head = include_str!("row_dictionary.md").to_string();
        let lines = COLUMNS.iter().map(|(name, about)| format!("| `{name}` | {about} |\n"));
        std::iter::once(head).chain(lines).collect()
    }

    #[test]
    fn the_file_has_the_columns_of_the_dictionary_in_its_order() {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.serialize(Row::default()).unwrap();
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        let names: Vec<_> = COLUMNS.iter().map(|(name, _)| *name).collect();
        assert_eq!(text.lines().next().unwrap(), names.join(","));
    }

    #[test]
    fn the_readme_of_the_results_is_the_dictionary() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../results/README.md");
        if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
            std::fs::write(path, dictionary()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), dictionary());
    }

    #[test]
    fn the_disk_speed_changed_where_the_probes_differ_by_half_in_either_direction() {
        let row = |before, after| Row {
            probe_before_ns: before,
            probe_after_ns: after,
            ..Row::default()
        };
        assert!(row(Some(100.0), Some(151.0)).disk_speed_changed());
        assert!(row(Some(151.0), Some(100.0)).disk_speed_changed());
        assert!(!row(Some(100.0), Some(149.0)).disk_speed_changed());
        assert!(!row(None, None).disk_speed_changed());
    }

    #[test]
    fn a_rate_is_reached_where_the_due_operations_were_made_however_few_they_were() {
        // The schedule is drawn: it may have had fewer operations than the rate says.
        let row = |ops, missed_ops| Row {
            target_rate: Some(20_000.0),
            achieved_rate: Some(19_000.0),
            ops,
            missed_ops,
            ..Row::default()
        };
        assert!(!row(99, Some(1)).is_overloaded() && row(98, Some(2)).is_overloaded());
        assert!(!row(0, Some(0)).is_overloaded());
        assert!(row(99, None).is_overloaded(), "rows of older versions have the rate alone");
    }

    #[test]
    fn what_was_not_measured_is_empty_and_reads_back() {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let row = Row { lat_p50_ns: Some(7), engine: "memory".into(), ..Row::default() };
        writer.serialize(&row).unwrap();
        let bytes = writer.into_inner().unwrap();
        let read: Row = csv::Reader::from_reader(&bytes[..]).deserialize().next().unwrap().unwrap();
        assert_eq!(read, row);
    }

    #[test]
    fn a_longest_call_that_was_no_stall_is_none() {
        let row = |stalls| Row { stalls, lat_max_ns: Some(7), ..Row::default() };
        let longest = [Some(0), Some(1), None].map(|stalls| row(stalls).longest_stall_ns());
        assert_eq!(longest, [Some(0.0), Some(7.0), None]);
    }

    #[test]
    fn the_disk_speed_of_a_phase_is_the_geometric_mean_of_its_probes() {
        let (probe_before_ns, probe_after_ns) = (Some(100.0), Some(400.0));
        let row = Row { probe_before_ns, probe_after_ns, ..Row::default() };
        assert_eq!(row.disk_sync_ns(), Some(200.0));
    }

    #[test]
    fn as_many_syncs_as_the_writes_take_are_enough() {
        let row = |fsyncs, least_fsyncs| Row { fsyncs, least_fsyncs, ..Row::default() };
        assert!(!row(Some(4), Some(4)).lacks_syncs() && row(Some(3), Some(4)).lacks_syncs());
        assert!(!row(None, Some(4)).lacks_syncs() && !row(Some(0), None).lacks_syncs());
    }
}
