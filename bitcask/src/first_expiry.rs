//! The time at which the first put of a data file expires.
//!
//! The keydir does not know which puts expire. This one number for each file spares a scan from reading records: as long
//! as the first put of a file has not expired, no put of that file has.

use std::sync::atomic::Ordering;

use durable::sync::atomic::AtomicU64;
use kv::UnixMillis;

/// When the first put of one data file expires.
///
/// The number is noted before the keydir names the put. A reader gets the location from a shard of the keydir, whose lock
/// orders the two, so relaxed loads and stores are enough. Once known, the time only moves back: a reader that reads a
/// shorter form of the file after a power cut must not mislead the views that still show the longer one.
#[derive(Debug, Default)]
pub(crate) struct FirstExpiry {
    /// 0: unknown; [`NEVER`]: no put expires; else the time in milliseconds since 1970, plus one.
    encoded: AtomicU64,
}

const UNKNOWN: u64 = 0;
const NEVER: u64 = u64::MAX;

fn encode(time: UnixMillis) -> u64 {
    time.0.saturating_add(1).min(NEVER - 1)
}

impl FirstExpiry {
    /// Takes account of all records that the file has so far. `None`: none of them expires.
    pub(crate) fn learn(&self, earliest: Option<UnixMillis>) {
        let learnt = earliest.map_or(NEVER, encode);
        let update = |known| Some(if known == UNKNOWN { learnt } else { learnt.min(known) });
        let updated = self.encoded.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
        assert!(updated.is_ok(), "the update never gives up");
    }

    /// Takes account of one more put.
    pub(crate) fn note(&self, expires_at: UnixMillis) {
        self.encoded.fetch_min(encode(expires_at), Ordering::Relaxed);
    }

    /// Whether some put of the file may have expired at `now`. `false`: none has.
    pub(crate) fn may_have_passed(&self, now: UnixMillis) -> bool {
        self.encoded.load(Ordering::Relaxed) <= encode(now)
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_which_nothing_is_known_may_hold_expired_puts() {
        assert!(FirstExpiry::default().may_have_passed(UnixMillis(0)));
    }

    #[test]
    fn the_earliest_time_counts_and_the_moment_itself_is_too_late() {
        let first = FirstExpiry::default();
        first.learn(None);
        assert!(!first.may_have_passed(UnixMillis(u64::MAX)));
        for time in [20, 10, 30] {
            first.note(UnixMillis(time));
        }
        assert!(!first.may_have_passed(UnixMillis(9)) && first.may_have_passed(UnixMillis(10)));
        first.note(UnixMillis(0));
        assert!(first.may_have_passed(UnixMillis(0)));
    }

    #[test]
    fn what_is_learnt_of_a_shorter_form_of_the_file_takes_nothing_back() {
        let first = FirstExpiry::default();
        first.learn(Some(UnixMillis(10)));
        first.learn(None);
        first.learn(Some(UnixMillis(u64::MAX)));
        assert!(!first.may_have_passed(UnixMillis(9)) && first.may_have_passed(UnixMillis(10)));
    }
}
