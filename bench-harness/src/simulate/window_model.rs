//! Files as windows of the workload: the model for stores of any size.

use lsm::compaction::{DropGuard, OutputCutter};

use super::footprint::{Density, Footprint};
use super::model::{Flush, Model, Part, Source};
use crate::quantity::floor_to_u64;

/// An output file of `target` bytes is made from pieces, so that it can end between them.
const PIECES: f64 = 32.0;

/// Files whose content follows from a footprint. What is remembered of a file is its window, in operations.
#[derive(Debug)]
pub(super) struct WindowModel<F> {
    footprint: F,
    keys: u64,
    memtable_bytes: u64,
    target_bytes: u64,
    /// The operations that fill a memtable.
    flush_window: f64,
    loaded: u64,
}

impl<F: Footprint> WindowModel<F> {
    pub(super) fn new(footprint: F, keys: u64, memtable_bytes: u64, target_bytes: u64) -> Self {
        assert!(keys > 0 && target_bytes > 0, "there is something to store");
        let flush_window = footprint.window_of_bytes(memtable_bytes as f64 / keys as f64);
        Self { footprint, keys, memtable_bytes, target_bytes, flush_window, loaded: 0 }
    }

    fn complete(&self) -> Density {
        self.footprint.at(self.footprint.complete()).purged()
    }
}

fn whole(value: f64) -> u64 {
    floor_to_u64(value.round())
}

/// A part of the key space, without end, over which the window is the same.
struct Segment {
    from: u64,
    to: u64,
    window: f64,
}

/// The segments of `sources`, with the windows of the files that cover each added up.
fn segments(sources: &[Source<'_, f64>]) -> Vec<Segment> {
    let ends = sources.iter().flatten().flat_map(|(file, _)| [file.smallest, file.largest + 1]);
    let mut ends: Vec<u64> = ends.collect();
    ends.sort_unstable();
    ends.dedup();
    let mut next = vec![0_usize; sources.len()];
    let windows = ends.windows(2).map(|pair| {
        let mut window = 0.0;
        for (source, at) in sources.iter().zip(&mut next) {
            while source.get(*at).is_some_and(|(file, _)| file.largest < pair[0]) {
                *at += 1;
            }
            window += source
                .get(*at)
                .filter(|(file, _)| file.smallest <= pair[0])
                .map_or(0.0, |file| *file.1);
        }
        debug_assert!(pair[0] < pair[1], "a segment has keys");
        Segment { from: pair[0], to: pair[1], window }
    });
    windows.filter(|segment| segment.window > 0.0).collect()
}

/// An output file as far as it is known.
struct Open {
    smallest: u64,
    largest: u64,
    entries: f64,
    tombstones: f64,
    bytes: f64,
    /// The keys with an operation in the window, purged tombstones included.
    touched: f64,
}

impl Open {
    fn close(self, footprint: &impl Footprint) -> Part<f64> {
        let width = (self.largest - self.smallest + 1) as f64;
        let window = footprint.window_with(self.touched / width).min(footprint.complete());
        debug_assert!(window.is_finite(), "a window is a number of operations");
        Part {
            smallest: self.smallest,
            largest: self.largest,
            entries: whole(self.entries).max(1),
            tombstones: whole(self.tombstones).min(whole(self.entries)),
            bytes: whole(self.bytes).max(1),
            content: window,
        }
    }
}

impl<F: Footprint> Model for WindowModel<F> {
    type Content = f64;

    fn load(&mut self) -> Option<Flush<f64>> {
        if self.loaded == self.keys {
            return None;
        }
        let density = self.complete();
        let width = whole(self.memtable_bytes as f64 / density.bytes).max(1);
        let smallest = self.loaded;
        self.loaded = (smallest + width).min(self.keys);
        let width = (self.loaded - smallest) as f64;
        let part = Part {
            smallest,
            largest: self.loaded - 1,
            entries: whole(width * density.entries).max(1),
            tombstones: 0,
            bytes: whole(width * density.bytes).max(1),
            content: self.footprint.complete(),
        };
        Some(Flush { parts: vec![part], user_bytes: width * density.bytes })
    }

    fn flush(&mut self) -> Flush<f64> {
        let density = self.footprint.at(self.flush_window);
        let keys = self.keys as f64;
        let part = Part {
            smallest: 0,
            largest: self.keys - 1,
            entries: whole(keys * density.entries).max(1),
            tombstones: whole(keys * density.tombstones),
            bytes: whole(keys * density.bytes).max(1),
            content: self.flush_window,
        };
        let user_bytes = self.flush_window * self.footprint.operation_bytes();
        Flush { parts: vec![part], user_bytes }
    }

    fn merge(
        &self,
        sources: &[Source<'_, f64>],
        guard: &DropGuard<u64>,
        cutter: &mut OutputCutter<u64>,
    ) -> Vec<Part<f64>> {
        let (mut parts, mut open): (Vec<Part<f64>>, Option<Open>) = (Vec::new(), None);
        for segment in segments(sources) {
            let all = self.footprint.at(segment.window.min(self.footprint.complete()));
            let density = if guard.may_drop(&segment.from, 0) { all.purged() } else { all };
            let width = segment.to - segment.from;
            let bytes = width as f64 * density.bytes;
            let pieces = whole((bytes / self.target_bytes as f64 * PIECES).ceil()).clamp(1, width);
            let step = width.div_ceil(pieces);
            let mut from = segment.from;
            while from < segment.to {
                if cutter.cuts_before(&from) {
                    parts.extend(open.take().map(|open| open.close(&self.footprint)));
                }
                let edge = cutter.next_edge().copied().unwrap_or(u64::MAX);
                let to = (from + step).min(segment.to).min(edge);
                debug_assert!(to > from, "the cutter has gone past the edges up to the key");
                let keys = (to - from) as f64;
                cutter.add(whole(keys * density.bytes));
                let file = open.get_or_insert(Open {
                    smallest: from,
                    largest: from,
                    entries: 0.0,
                    tombstones: 0.0,
                    bytes: 0.0,
                    touched: 0.0,
                });
                file.largest = to - 1;
                file.entries += keys * density.entries;
                file.tombstones += keys * density.tombstones;
                file.bytes += keys * density.bytes;
                file.touched += keys * all.entries;
                from = to;
            }
        }
        parts.extend(open.map(|open| open.close(&self.footprint)));
        parts
    }

    fn live_bytes(&self) -> f64 {
        self.keys as f64 * self.complete().bytes
    }
}
