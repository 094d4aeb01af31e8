//! A sweep: one cursor over everything.

use std::time::{Duration, Instant};

use kv::{Cursor, KeyRange};

use super::phase_clients::Target;
use super::phase_result::PhaseResult;
use crate::client::{ClientBuffers, EntryStamp, StreamPosition, Window, stamp_entry};
use crate::dataset::Dataset;
use crate::failure::{Failure, Outcome};
use crate::judge::{Judge, check_key};
use crate::process_counters::CpuTime;
use crate::recorder::OperationStats;
use crate::workload::SweepDirection;

/// Reads everything. The clock stands still when the window is full and its entries are judged.
pub(super) fn sweep(
    target: Target<'_>,
    direction: SweepDirection,
    buffers: &mut ClientBuffers,
    judge: &Judge<'_>,
) -> Outcome<PhaseResult> {
    let window = &mut buffers.window;
    let mut stats = OperationStats::new("all");
    let mut clock = SweepClock::default();
    let begun = Instant::now();
    let mut cursor = clock.run(|| target.engine.scan(KeyRange::all()))?;
    let mut previous = None;
    let mut has_more = true;
    while has_more {
        window.restart(StreamPosition::default(), 0);
        has_more = clock.run(|| {
            read_window(cursor.as_mut(), direction, target.dataset, window, &mut stats.bytes_read)
        })?;
        stats.ops += window.entries.len() as u64;
        if judge.is_strict {
            check_window(target.dataset, judge, window, direction, &mut previous)?;
        }
    }
    // The end of the frozen view is part of the work, as in a scan.
    clock.run(|| drop(cursor));
    let SweepClock { wall, cpu } = clock;
    assert!(wall <= begun.elapsed(), "the clock runs in parts of the sweep");
    let paused = begun.elapsed().saturating_sub(wall);
    stats.entries = stats.ops;
    if judge.is_strict {
        stats.verified = stats.ops;
        check_sums(target.dataset, judge, &stats)?;
    }
    let mut result = PhaseResult::from_stats(stats, wall);
    (result.paused, result.cpu) = (paused, Some(cpu));
    Ok(result)
}

/// Wall time and CPU time of the parts of a sweep that the engine works in.
#[derive(Default)]
struct SweepClock {
    wall: Duration,
    cpu: CpuTime,
}

impl SweepClock {
    /// Runs `part` and adds its times.
    fn run<T>(&mut self, part: impl FnOnce() -> T) -> T {
        let before = CpuTime::now();
        let started = Instant::now();
        let result = part();
        self.wall += started.elapsed();
        self.cpu = self.cpu + CpuTime::now().since(before);
        result
    }
}

/// Reads entries until the window is full or the cursor has no more. `Ok(true)`: the window is full.
fn read_window(
    cursor: &mut dyn Cursor,
    direction: SweepDirection,
    dataset: &Dataset,
    window: &mut Window,
    bytes_read: &mut u64,
) -> Outcome<bool> {
    while window.entries.len() < window.entries.capacity() {
        let has_more = match direction {
            SweepDirection::Forward => cursor.next()?,
            SweepDirection::Backward => cursor.prev()?,
        };
        if !has_more {
            return Ok(false);
        }
        let (key, value) = cursor.entry()?;
        *bytes_read += (key.len() + value.len()) as u64;
        stamp_entry(dataset, key, value, window);
    }
    debug_assert!(!window.entries.is_empty(), "a full window holds entries");
    Ok(true)
}

/// The entries must be as many as are present, and as many bytes as were put.
fn check_sums(dataset: &Dataset, judge: &Judge<'_>, stats: &OperationStats) -> Outcome<()> {
    let live = judge.model.live(&dataset.keys);
    if stats.ops != live.entries {
        return Err(Failure::wrong_data(format!(
            "a sweep found {} entries where {} are present",
            stats.ops, live.entries
        )));
    }
    let (found, expected) = (stats.bytes_read, live.key_bytes + live.value_bytes);
    if found != expected {
        return Err(Failure::wrong_data(format!(
            "a sweep returned {found} bytes where {expected} were expected"
        )));
    }
    Ok(())
}

/// Entries come in order, and each is the newest of its key. `previous` is the key before the window.
fn check_window(
    dataset: &Dataset,
    judge: &Judge<'_>,
    window: &Window,
    direction: SweepDirection,
    previous: &mut Option<Vec<u8>>,
) -> Outcome<()> {
    if let Some(complaint) = &window.complaint {
        return Err(Failure::wrong_data(complaint.clone()));
    }
    let mut key = Vec::new();
    for entry in &window.entries {
        check_key(dataset, entry, &mut key)?;
        let in_order = previous.as_ref().is_none_or(|previous| match direction {
            SweepDirection::Forward => *previous < key,
            SweepDirection::Backward => *previous > key,
        });
        check_entry(dataset, judge, entry, in_order)?;
        previous.get_or_insert_default().clone_from(&key);
    }
    Ok(())
}

fn check_entry(
    dataset: &Dataset,
    judge: &Judge<'_>,
    entry: &EntryStamp,
    in_order: bool,
) -> Outcome<()> {
    let state = judge.model.state(entry.id);
    if in_order && state.is_present() && state.version() == entry.version {
        return Ok(());
    }
    let complaint = match (in_order, state.is_present()) {
        (false, _) => "out of order",
        (true, false) => "which is not present",
        (true, true) => "with an old value",
    };
    let key = dataset.show_key(entry.id);
    Err(Failure::wrong_data(format!("a sweep found {key} {complaint}")))
}
