//! Reading ahead of a walk over mapped blocks.

use std::ops::Range;

/// How many bytes are read ahead at once.
const AHEAD_BYTES: u64 = 256 << 10;

/// After so many blocks that follow each other, a walk is taken for a scan.
const BLOCKS_OF_A_SCAN: u32 = 3;

/// Watches which blocks a cursor visits. Single look-ups cause no reading ahead, scans in both directions do.
#[derive(Debug, Default)]
pub(crate) struct Readahead {
    /// The block that was visited last.
    last: Range<u64>,
    /// How many blocks in a row followed the one before, in one direction.
    run: u32,
    is_backward: bool,
    /// What was read ahead last.
    ahead: Range<u64>,
}

impl Readahead {
    /// Whether the blocks of the last visits follow each other.
    pub(crate) fn is_scan(&self) -> bool {
        self.run >= BLOCKS_OF_A_SCAN
    }

    /// The cursor visits the block at `block`, in a file whose blocks end at `limit`. Returns the range to read ahead.
    pub(crate) fn visit(&mut self, block: Range<u64>, limit: u64) -> Option<Range<u64>> {
        let follows = block.start == self.last.end;
        let precedes = block.end == self.last.start;
        let goes_on = if self.is_backward { precedes } else { follows };
        self.run = if goes_on { self.run.saturating_add(1) } else { 1 };
        self.is_backward = precedes;
        self.last = block.clone();
        let is_there = self.ahead.start <= block.start && block.end <= self.ahead.end;
        if self.run < BLOCKS_OF_A_SCAN || is_there {
            return None;
        }
        self.ahead = if self.is_backward {
            block.end.saturating_sub(AHEAD_BYTES).min(block.start)..block.end
        } else {
            block.start..(block.start + AHEAD_BYTES).max(block.end).min(limit)
        };
        debug_assert!(self.ahead.start <= block.start && block.end <= self.ahead.end);
        Some(self.ahead.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: u64 = 4 << 10;
    const LIMIT: u64 = 1 << 20;

    fn visit(readahead: &mut Readahead, number: u64) -> Option<Range<u64>> {
        readahead.visit(number * BLOCK..(number + 1) * BLOCK, LIMIT)
    }

    #[test]
    fn a_scan_reads_ahead_in_its_direction_once_for_each_range() {
        for is_backward in [false, true] {
            let mut readahead = Readahead::default();
            let numbers: Vec<u64> =
                if is_backward { (0..256).rev().collect() } else { (0..256).collect() };
            let mut covered = 0..0;
            let mut calls = 0;
            for (at, number) in numbers.into_iter().enumerate() {
                if let Some(ahead) = visit(&mut readahead, number) {
                    assert!(
                        at >= 2 && ahead.end - ahead.start <= AHEAD_BYTES && ahead.end <= LIMIT
                    );
                    covered = ahead;
                    calls += 1;
                }
                assert!(at < 3 || covered.contains(&(number * BLOCK)), "{number}: {covered:?}");
            }
            assert!((4..=6).contains(&calls), "{calls} calls for 1 MiB");
        }
    }

    #[test]
    fn blocks_here_and_there_are_read_alone() {
        let mut readahead = Readahead::default();
        for number in [5, 6, 9, 8, 3, 4, 10, 11, 5, 6, 5, 6, 5] {
            assert_eq!(visit(&mut readahead, number), None);
        }
    }

    #[test]
    fn a_block_longer_than_the_range_is_read_whole() {
        let mut readahead = Readahead::default();
        for number in 0..3 {
            let len = 3 * AHEAD_BYTES;
            let ahead = readahead.visit(number * len..(number + 1) * len, u64::MAX);
            assert_eq!(ahead, (number == 2).then_some(2 * len..3 * len));
        }
    }
}
