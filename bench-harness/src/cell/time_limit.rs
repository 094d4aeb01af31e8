//! The time limit of a cell: how much of it each phase may take, and which phases lose by it.

use std::time::Duration;

use super::WARM_UP;

/// Of the time that is left, the most that a phase may take when others follow.
const LARGEST_SHARE: f64 = 0.6;

/// The limit of a phase where `left` is left for it and those that follow it.
pub(super) fn phase_limit(left: Duration, is_last: bool) -> Duration {
    let limit = if is_last { left } else { left.mul_f64(LARGEST_SHARE) };
    assert!(limit <= left, "a phase takes no more than there is");
    limit
}

/// The warm-up before a phase of `time`. A limit that leaves less than both need shortens both alike.
pub(super) fn warm_up_before(time: Duration, left: Option<Duration>) -> Duration {
    let measured = left.map_or(time, |left| time.min(left.div_f64(1.0 + WARM_UP)));
    measured.mul_f64(WARM_UP)
}

/// Whether the limit has ended a phase that writes or rests: the store is then not the one that later phases ask for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StoreCut(bool);

impl StoreCut {
    /// Adds a phase that `is_cut` itself. Returns whether it, or one that made its store, was cut short.
    pub(super) fn add(&mut self, has_writes: bool, is_cut: bool) -> bool {
        let has_cut_store = self.0;
        self.0 |= has_writes && is_cut;
        has_cut_store || is_cut
    }

    /// Adds a rest of `time`. Returns the time that `limit` leaves for it.
    pub(super) fn add_rest(&mut self, time: Duration, limit: Option<Duration>) -> Duration {
        self.0 |= limit.is_some_and(|limit| limit < time);
        limit.map_or(time, |limit| limit.min(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_takes_three_fifths_of_the_time_that_is_left_and_the_last_one_all() {
        let s = Duration::from_secs;
        assert_eq!((phase_limit(s(10), false), phase_limit(s(10), true)), (s(6), s(10)));
    }

    #[test]
    fn a_limit_shortens_the_warm_up_and_the_phase_alike() {
        let ms = Duration::from_millis;
        let hour = Duration::from_hours(1);
        let warm_up_ms = |left| warm_up_before(hour, left).as_secs_f64() * 1e3;
        // 10 ms and 100 ms are 110 ms; without a limit the warm-up takes six minutes.
        assert!((warm_up_ms(Some(ms(110))) - 10.0).abs() < 1e-3);
        assert!((warm_up_ms(None) - 360e3).abs() < 1e-3);
        assert_eq!(warm_up_before(ms(100), Some(hour)), ms(10));
    }

    #[test]
    fn a_cut_phase_that_writes_cuts_those_that_follow_and_one_that_reads_itself_alone() {
        let mut store = StoreCut::default();
        let (reads, writes) = (false, true);
        assert!(!store.add(writes, false) && store.add(reads, true) && !store.add(reads, false));
        assert!(store.add(writes, true), "the phase itself");
        assert!(store.add(reads, false) && store.add(writes, false), "those that follow");
    }

    #[test]
    fn a_rest_that_the_limit_ends_cuts_the_phases_that_follow() {
        let s = Duration::from_secs;
        let mut store = StoreCut::default();
        assert_eq!(
            [None, Some(s(9)), Some(s(8))].map(|limit| store.add_rest(s(8), limit)),
            [s(8); 3]
        );
        assert!(!store.add(false, false));
        assert_eq!(store.add_rest(s(8), Some(s(7))), s(7));
        assert!(store.add(false, false));
    }
}
