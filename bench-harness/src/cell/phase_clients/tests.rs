//! The end of a phase, and the sums over its windows.

use super::*;
use crate::cell::prepare::PhaseWork;
use crate::client::{Window, WindowCapacity};
use crate::engines::NullEngine;
use crate::keys::{KeyShape, KeySpace};
use crate::operation::Operation;
use crate::values::Values;

/// Calls `check` with the clients of a phase of one thread that puts in batches of `batch` and takes `max_steps` steps, and of
/// a background that puts, too.
fn with_clients(batch: usize, max_steps: u32, check: impl FnOnce(PhaseClients<'_>)) {
    let engine = NullEngine::new(0);
    let (keys, values) = (KeySpace::Shaped(KeyShape::Padded), Values::Pooled);
    let dataset = Dataset { keys, values, common_value_bytes: Some(16), capacity: 1, order: None };
    let target = Target { engine: &engine, dataset: &dataset, durability: Durability::None };
    let work = PhaseWork::Rest(Duration::ZERO);
    let phase = PreparedPhase { name: "put".into(), work, batch, max_steps, duration: None };
    let put = || vec![Step::new(Operation::Put, 0, 16)];
    let background = Some(put());
    let streams = PhaseStreams { latest: true, background, ..PhaseStreams::of_one_thread(put()) };
    check(PhaseClients::new(target, &phase, &streams, &Model::new(1), None));
}

#[test]
fn a_phase_that_is_late_is_cut_short_if_it_lacks_time_and_steps_and_any_phase_if_it_lacks_keys() {
    with_clients(1, 10, |mut clients| {
        let s = Duration::from_secs;
        let mut is_cut = |is_late, wall, taken, is_out_of_keys| {
            let client = &mut clients.clients[0];
            (client.position.taken, client.is_out_of_keys) = (taken, is_out_of_keys);
            let sums = WindowSums { is_late, wall: s(wall), ..WindowSums::default() };
            clients.is_cut_short(&sums, s(5))
        };
        assert!(is_cut(true, 4, 9, false));
        assert!(!is_cut(false, 4, 9, false), "the limit did not end it");
        assert!(!is_cut(true, 5, 9, false), "it had its time");
        assert!(!is_cut(true, 4, 10, false), "it took its steps");
        assert!(is_cut(false, 5, 10, true), "no key was left to insert");
    });
}

#[test]
fn a_batch_that_did_not_begin_is_as_many_missed_operations() {
    with_clients(10, 100, |clients| {
        let mut window = Window::new(WindowCapacity::default());
        window.missed = 7;
        let part = Part { steps: &[], window: &window, prefix_bytes: None };
        assert_eq!(clients.missed_ops(&[part]), 70);
    });
}

#[test]
fn the_background_makes_single_calls_on_keys_of_its_own_choice() {
    with_clients(10, 100, |clients| {
        let [counted, background] = &clients.clients[..] else { panic!("two clients") };
        assert_eq!((counted.batch, counted.position.latest), (10, true));
        assert_eq!((background.batch, background.position.latest), (1, false));
    });
}

#[test]
fn the_pause_after_the_last_window_is_no_work_of_the_engine() {
    let ms = Duration::from_millis;
    let work = EngineWork { cpu: ms(3), time: ms(2) };
    let mut sums = WindowSums::default();
    for is_last in [false, false, true] {
        sums.add_pause(work, is_last);
    }
    assert_eq!(sums.work_in_pauses, EngineWork { cpu: ms(6), time: ms(4) });
}
