//! Hand-made slices of time, and the work that follows from them.

use super::*;

/// A slice of 20 ms, a tenth of which is 2 ms.
fn slice(cpu_ms: u64, waited_ms: u64, is_any_busy: bool) -> Slice {
    let ms = Duration::from_millis;
    Slice { time: ms(20), cpu: ms(cpu_ms), waited: ms(waited_ms), is_any_busy }
}

#[test]
fn an_engine_is_at_rest_if_it_uses_little_and_none_of_its_threads_waits_for_core_or_disk() {
    assert!(slice(1, 0, false).shows_rest());
    assert!(!slice(2, 0, false).shows_rest() && !slice(1, 0, true).shows_rest());
}

#[test]
fn an_engine_that_waited_for_a_core_is_not_at_rest_though_it_sleeps_when_the_slice_ends() {
    // It got 1 ms of a core, and 18 ms of waiting in between; at the end it waits for its next item of work.
    assert!(!slice(1, 18, false).shows_rest());
    // Both count together.
    assert!(!slice(1, 1, false).shows_rest() && slice(0, 1, false).shows_rest());
}

#[test]
fn work_before_the_sync_in_it_and_after_it_is_deferred_and_a_wait_for_the_disk_is_time() {
    let ms = Duration::from_millis;
    let work = |cpu, time| EngineWork { cpu: ms(cpu), time: ms(time) };
    let wait = Wait { work: work(40, 30), is_at_rest: true, time: ms(50) };
    let settled = Settled::after(work(3, 2), (ms(10), ms(100)), &wait);
    let deferred = Deferred { work: work(53, 42), is_at_rest: true };
    assert_eq!((settled.time, settled.deferred), (ms(130), Some(deferred)));
    assert_eq!(settled.waited, ms(50));
}

#[test]
fn threads_that_work_at_once_work_for_no_longer_than_the_stretch() {
    let ms = Duration::from_millis;
    assert_eq!(EngineWork::within(ms(30), ms(20)), EngineWork { cpu: ms(30), time: ms(20) });
    assert_eq!(EngineWork::within(ms(5), ms(20)), EngineWork { cpu: ms(5), time: ms(5) });
}

#[test]
fn a_wait_sums_up_the_work_of_all_slices_before_the_one_that_shows_rest() {
    let ms = Duration::from_millis;
    // Two threads worked in the second slice, for no longer than its 20 ms.
    let mut slices = [slice(15, 0, true), slice(30, 0, true), slice(1, 0, false)].into_iter();
    let (work, is_at_rest) = work_until_rest(LONGEST_WAIT, || slices.next());
    assert_eq!((work, is_at_rest), (EngineWork { cpu: ms(45), time: ms(35) }, true));
}

#[test]
fn a_wait_that_takes_too_long_ends_without_rest() {
    let ms = Duration::from_millis;
    let mut slices = std::iter::repeat_n(slice(5, 0, true), 9);
    let (work, is_at_rest) = work_until_rest(ms(60), || slices.next());
    assert_eq!((work, is_at_rest), (EngineWork { cpu: ms(15), time: ms(15) }, false));
    assert_eq!(slices.count(), 6, "60 ms are three slices");
}

#[test]
fn an_engine_without_a_thread_is_at_rest_at_once() {
    assert_eq!(work_until_rest(LONGEST_WAIT, || None), (EngineWork::default(), true));
    let nobody = OtherThreads::default();
    assert!(Slice::watch(&mut Some(OtherThreads::default()), &nobody).is_none());
}

#[test]
fn the_wait_is_as_long_as_the_phase_from_one_second_to_five() {
    let s = Duration::from_secs;
    let waits = [0, 1, 3, 5, 60].map(|phase| longest_wait(s(phase)));
    assert_eq!(waits, [1, 1, 3, 5, 5].map(s));
}

#[test]
fn a_call_of_the_engine_takes_the_time_of_the_calling_thread() {
    let own = Duration::from_millis(5);
    let begun = process_counters::thread_cpu();
    let used = || process_counters::thread_cpu().saturating_sub(begun);
    let (result, (cpu, wall)) = measure(|| {
        while used() < 2 * own {}
        7
    });
    assert!(result == 7 && cpu >= own && wall >= own, "{cpu:?} of {wall:?}");
}

#[test]
fn work_of_the_calling_thread_is_none_of_the_engine() {
    let own = Duration::from_millis(20);
    let process = process_counters::process_cpu();
    let meter = WorkMeter::begin();
    let begun = process_counters::thread_cpu();
    while process_counters::thread_cpu().saturating_sub(begun) < own {}
    let work = meter.so_far();
    // Other tests of this process work meanwhile: their time is all that may count. Half is left for the clocks.
    let others = process_counters::process_cpu().saturating_sub(process + own / 2);
    assert!(work.cpu <= others, "{work:?}");
}
