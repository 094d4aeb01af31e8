//! One cursor over everything.

use std::time::{Duration, Instant};

use kv::KeyRange;

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
    let (mut wall, mut cpu) = (Duration::ZERO, CpuTime::default());
    let begun = Instant::now();
    let mut cursor = ground.engine.scan(KeyRange::all())?;
    wall += begun.elapsed();
    let mut previous = None;
    let mut has_more = true;
    while has_more {
        window.restart(Walk::default(), 0);
        let before = CpuTime::now();
        let started = Instant::now();
        while has_more && window.entries.len() < window.entries.capacity() {
            has_more = match direction {
                SweepDirection::Forward => cursor.next()?,
                SweepDirection::Backward => cursor.prev()?,
            };
            if has_more {
                let (key, value) = cursor.entry()?;
                line.bytes_read += (key.len() + value.len()) as u64;
                stamp_entry(ground.dataset, key, value, window);
            }
        }
        wall += started.elapsed();
        cpu = cpu + CpuTime::now().since(before);
        line.ops += window.entries.len() as u64;
        if judge.is_strict {
            judge_window(ground.dataset, judge, window, direction, &mut previous)?;
        }
    }
    let paused = begun.elapsed().saturating_sub(wall);
    line.entries = line.ops;
    line.verified = line.ops;
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
