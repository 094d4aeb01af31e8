//! One cursor over everything.

use std::time::{Duration, Instant};

use kv::{Cursor, KeyRange};

use super::crew::Ground;
use super::measured::Measured;
use crate::client::{Desk, EntryStamp, Walk, Window, stamp_entry};
use crate::dataset::Dataset;
use crate::failure::{Failure, Outcome};
use crate::judge::{Judge, check_key};
use crate::recorder::Line;
use crate::system::CpuTime;
use crate::workload::SweepDirection;

/// Reads everything. The clock stands still when the window is full and its entries are judged.
pub(super) fn sweep(
    ground: Ground<'_>,
    direction: SweepDirection,
    desk: &mut Desk,
    judge: &Judge<'_>,
) -> Outcome<Measured> {
    let window = &mut desk.window;
    let mut line = Line::new("all");
    let mut clock = SweepClock::default();
    let begun = Instant::now();
    let mut cursor = clock.run(|| ground.engine.scan(KeyRange::all()))?;
    let mut previous = None;
    let mut has_more = true;
    while has_more {
        window.restart(Walk::default(), 0);
        has_more = clock.run(|| {
            read_window(cursor.as_mut(), direction, ground.dataset, window, &mut line.bytes_read)
        })?;
        line.ops += window.entries.len() as u64;
        if judge.is_strict {
            judge_window(ground.dataset, judge, window, direction, &mut previous)?;
        }
    }
    // The end of the frozen view is part of the work, as in a scan.
    clock.run(|| drop(cursor));
    let SweepClock { wall, cpu } = clock;
    let paused = begun.elapsed().saturating_sub(wall);
    line.entries = line.ops;
    line.verified = if judge.is_strict { line.ops } else { 0 };
    let present = judge.model.present_ids().count() as u64;
    if judge.is_strict && line.ops != present {
        return Err(Failure::wrong_data(format!(
            "a sweep found {} entries where {present} are present",
            line.ops
        )));
    }
    let mut measured = Measured::from_line(line, wall);
    (measured.paused, measured.cpu) = (paused, Some(cpu));
    Ok(measured)
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
    Ok(true)
}

/// Entries come in order, and each is the newest of its key. `previous` is the key before the window.
fn judge_window(
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
    let what = if in_order { "with an old value" } else { "out of order" };
    let key = dataset.show_key(entry.id);
    Err(Failure::wrong_data(format!("a sweep found {key} {what}")))
}
