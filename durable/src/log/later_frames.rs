//! The search for frames behind a bad frame.
//!
//! A crash leaves any part of the bytes that were not durable: behind the first bad frame there may be whole frames.
//! Recovery looks at every place where a frame may begin, and trusts no length, because the bytes there may be anything.
//!
//! # Cost
//!
//! Users choose values, so the bytes of a torn frame can look like heads of frames that reach to the end of the file. A
//! head has a check of 16 bits that depends on the salt of the segment, which users do not know; guessed heads pass it
//! once in 65,536 times. But that check is linear, and somebody who has seen a file of the store knows the salt. So the
//! bound does not rest on it: [`PrefixSums`] sums any number of candidates for one pass over the bytes and less than 128
//! bytes each. With one candidate in 8 bytes at most, the search sums less than [`WORK_FACTOR`] times the bytes that it
//! looks at, whatever they are.

use super::frame::{FRAME_ALIGN, FRAME_HEADER_LEN, FrameHead, Salt};
use crate::checksum::PrefixSums;

/// The most bytes that are summed for each byte behind the bad frame: 1 for the prefixes, and for every 8 bytes 18 for
/// the check of a head and 126 for its candidate.
const WORK_FACTOR: u64 = 1 + (18 + 126) / FRAME_ALIGN as u64;

/// The evidence in the frames behind a bad frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LaterFrames {
    /// One was written when the log was durable past the whole batches: the bad frame is damage, and no torn tail.
    pub(super) prove_damage: bool,
    /// One was written when all earlier segments were durable.
    pub(super) prove_earlier_segments_durable: bool,
    /// How many bytes were summed to find out.
    summed: u64,
}

impl LaterFrames {
    /// Looks behind the bad frame at `bad` of the segment `bytes`, whose whole batches end at `whole`.
    pub(super) fn search(bytes: &[u8], salt: Salt, bad: u64, whole: u64) -> Self {
        assert!(whole <= bad, "whole batches end before the bad frame");
        let mut found = Self::default();
        let start = bytes.len().min(bad as usize + FRAME_ALIGN);
        let rest = &bytes[start..];
        let mut sums = PrefixSums::new(rest);
        for at in (0..rest.len()).step_by(FRAME_ALIGN) {
            let Some(head) = FrameHead::decode(&rest[at..], salt, (start + at) as u64) else {
                continue;
            };
            // Sums are costly, so a frame is summed only if its head, if true, adds evidence. One proven frame is enough to know
            // that the earlier segments were durable.
            let proves_damage = head.durable_before().is_some_and(|durable| durable > whole);
            let adds_evidence =
                head.durable_before().is_some() && !found.prove_earlier_segments_durable;
            if (proves_damage || adds_evidence) && head.is_proven(&mut sums, salt, at) {
                found.prove_earlier_segments_durable = true;
                found.prove_damage |= proves_damage;
            }
            if found.prove_damage {
                break;
            }
        }
        let checked = (rest.len() / FRAME_ALIGN * (FRAME_HEADER_LEN - 6)) as u64;
        found.summed = sums.summed() + checked;
        assert!(found.summed <= WORK_FACTOR * (rest.len() as u64 + 64), "the work is linear");
        found
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::{Frame, Place, encode};
    use super::*;
    use crate::checksum::seeded_crc32;

    const SALT: Salt = Salt(77);

    /// A tail of `len` bytes made by somebody who knows the salt: every 24 bytes the head of a frame that reaches to the
    /// end and claims that everything before it was durable. Only the sums are wrong.
    fn crafted(len: usize, start: usize) -> Vec<u8> {
        let mut tail = Vec::new();
        while tail.len() + FRAME_HEADER_LEN <= len {
            let payload_len = (len - tail.len() - FRAME_HEADER_LEN) as u32;
            let mut head = vec![0; 4];
            head.extend_from_slice(&payload_len.to_le_bytes());
            head.extend_from_slice(&[0; 12]);
            head.extend_from_slice(&[1, 3]);
            let seed = SALT.seed((start + tail.len()) as u64);
            let check = seeded_crc32(seed, &head[4..22]) as u16;
            head.extend_from_slice(&check.to_le_bytes());
            tail.extend_from_slice(&head);
        }
        tail.resize(len, 0);
        tail
    }

    #[test]
    fn a_tail_crafted_from_heads_costs_linear_work() {
        let mut segment = vec![0; 64 + FRAME_ALIGN];
        segment.extend(crafted(1 << 20, segment.len()));
        let found = LaterFrames::search(&segment, SALT, 64, 64);
        assert!(!found.prove_damage && !found.prove_earlier_segments_durable);
        assert!(found.summed > 1 << 20, "the heads were looked into: {found:?}");
        assert!(found.summed <= WORK_FACTOR << 20, "{} bytes summed", found.summed);
    }

    #[test]
    fn heads_with_a_wrong_check_cost_no_sum() {
        let mut segment = vec![0; 64 + FRAME_ALIGN];
        segment.extend(crafted(1 << 16, segment.len()));
        // With another salt all checks are wrong, but for one in 65,536 by chance.
        let found = LaterFrames::search(&segment, Salt(78), 64, 64);
        assert!(found.summed < 3 << 16, "{found:?}");
    }

    #[test]
    fn the_frame_right_behind_the_shortest_bad_one_is_found() {
        let bad = 64;
        let mut bytes = vec![0xa5; bad as usize + FRAME_HEADER_LEN];
        let offset = bytes.len() as u64;
        let place =
            Place { salt: SALT, offset, sequence: 9, undurable: 0, first: true, last: true };
        encode(&Frame { kind: 1, payload: [b"", b"", b""] }, place, &mut bytes);
        assert!(LaterFrames::search(&bytes, SALT, bad, bad).prove_damage);
    }

    #[test]
    fn one_frame_behind_a_crafted_tail_is_still_found() {
        let mut segment = vec![0; 64 + FRAME_ALIGN];
        segment.extend(crafted(1 << 16, segment.len()));
        let (offset, bad) = (segment.len() as u64, 64);
        let undurable = ((offset - bad - 8) / 8) as u32;
        for (undurable, prove_damage) in [(undurable, true), (undurable + 1, false)] {
            let place =
                Place { salt: SALT, offset, sequence: 9, undurable, first: true, last: true };
            let mut bytes = segment.clone();
            encode(&Frame { kind: 1, payload: [b"value", b"", b""] }, place, &mut bytes);
            let found = LaterFrames::search(&bytes, SALT, bad, bad);
            assert_eq!(
                (found.prove_damage, found.prove_earlier_segments_durable),
                (prove_damage, true)
            );
        }
    }
}
