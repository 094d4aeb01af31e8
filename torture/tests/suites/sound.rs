//! Sound engines pass.

use std::path::Path;
use std::sync::Arc;

use durable::Env;
use kv::memory::MemoryEngine;
use torture::toy::ToySubject;
use torture::{
    Opened, Subject, conformance, crash, damage, faults, full_disk, histories, simulation, strays,
    threads, visibility,
};

/// An engine of which nothing outlives the process.
struct Memory;

impl Subject for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn open(&self, _: &Env, _: &Path, _: usize) -> kv::Result<Opened> {
        let engine = Arc::new(MemoryEngine::new());
        Ok(Opened::new(Arc::clone(&engine) as Arc<_>).with_snapshots(engine))
    }
}

#[test]
fn the_engine_in_memory_tells_all_stories_as_the_contract_does() {
    conformance::run(&Memory).unwrap();
}

#[test]
fn the_engine_in_memory_agrees_with_the_oracle() {
    histories::run(&Memory, &histories::Options::default()).unwrap();
}

#[test]
fn the_toy_tells_all_stories_as_the_contract_does() {
    conformance::run(&ToySubject::default()).unwrap();
}

#[test]
fn the_toy_agrees_with_the_oracle() {
    histories::run(&ToySubject::default(), &histories::Options::default()).unwrap();
}

#[test]
fn the_toy_and_the_engine_in_memory_agree() {
    let toy = ToySubject::default();
    histories::differential(&[&Memory, &toy], &histories::Options::default()).unwrap();
}

#[test]
fn the_toy_survives_crashes_at_every_operation() {
    let report = crash::run(&ToySubject::default(), &crash::Options::default()).unwrap();
    assert!(report.states > 20_000, "{report}");
}

#[test]
fn the_toy_survives_an_error_at_every_call() {
    let report = faults::run(&ToySubject::default(), &faults::Options::default()).unwrap();
    assert!(report.states > 2_000, "{report}");
}

#[test]
fn the_toy_notices_damage_to_every_byte() {
    let report = damage::run(&ToySubject::default(), &damage::Options::default()).unwrap();
    assert!(report.states > 10_000, "{report}");
}

#[test]
fn the_toy_lives_through_crash_after_crash() {
    simulation::run(&ToySubject::default(), &simulation::Options::default()).unwrap();
}

#[test]
fn the_toy_serves_many_threads() {
    threads::run(&ToySubject::default(), &threads::Options::default()).unwrap();
}

#[test]
fn the_engine_in_memory_serves_many_threads() {
    threads::run(&Memory, &threads::Options::default()).unwrap();
}

#[test]
fn the_engine_in_memory_lives_its_lives() {
    simulation::run(&Memory, &simulation::Options::default()).unwrap();
}

#[test]
fn what_the_toy_shows_of_a_synced_write_is_durable() {
    let report = visibility::run(&ToySubject::default(), &visibility::Options::default()).unwrap();
    assert!(report.states > 2_000, "{report}");
}

#[test]
fn the_toy_lives_beside_stray_entries_of_every_kind() {
    let report = strays::run(&ToySubject::default(), &strays::Options::default()).unwrap();
    assert!(report.states > 100, "{report}");
}

#[test]
fn the_toy_goes_on_after_a_full_disk() {
    let report = full_disk::run(&ToySubject::default(), &full_disk::Options::default()).unwrap();
    assert!(report.states > 1_000, "{report}");
}
