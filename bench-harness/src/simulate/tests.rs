//! The model against real keys, and the strategies against their bands.

use lsm::compaction::Strategy;

use super::bands::Band;
use super::drive::{Cost, Simulation};
use super::exact_model::{ExactModel, Operations, all_keys, state_of_copies};
use super::footprint::{Footprint, UniformFootprint};
use super::model::Model;
use super::parameters::{BUILT_IN, Parameters, StrategyName};
use super::trace_footprint::TraceFootprint;
use super::window_model::WindowModel;
use super::workload::{SimulatedWorkload, Source, simulate_cell};
use super::zipfian_footprint::ZipfianFootprint;
use crate::distribution::KeyChoice;
use crate::input::{self, Input};
use crate::random::Random;

const ENTRY_BYTES: u64 = 116;
const LEVELS: usize = 7;

/// The built-in parameters with all sizes divided, so that a memtable has `memtable_bytes`.
fn scaled(memtable_bytes: u64) -> Parameters {
    let unit = |mib: u64| format!("= \"{}B\"", memtable_bytes * mib / 64);
    let text = BUILT_IN
        .replace("= \"64MiB\"", &unit(64))
        .replace("= \"48MiB\"", &unit(48))
        .replace("= \"256MiB\"", &unit(256))
        .replace("= \"1600MiB\"", &unit(1600));
    assert!(!text.contains("MiB\""), "every size is divided");
    Parameters::parse("scaled", &text, &[]).unwrap()
}

fn steady(strategy: &dyn Strategy<u64>, model: impl Model, rounds: f64) -> Cost {
    let mut simulation = Simulation::new(strategy, model, LEVELS);
    simulation.load();
    simulation.run(rounds);
    simulation.run(rounds)
}

/// Whether the model is as close to the real keys as the documentation says.
fn check_close(
    name: StrategyName,
    model: &Cost,
    exact: &Cost,
    write_tolerance: f64,
) -> Result<(), String> {
    let error = |model: f64, exact: f64| model / exact - 1.0;
    let write = error(model.write, exact.write);
    let space = error(model.space, exact.space);
    let read = error(model.read, exact.read);
    let text = format!(
        "{}: write {:.2} for {:.2} ({:+.1} %), space {:.3} for {:.3} ({:+.1} %), runs {:.2} for {:.2} ({:+.1} %)",
        name.text(),
        model.write,
        exact.write,
        write * 100.0,
        model.space,
        exact.space,
        space * 100.0,
        model.read,
        exact.read,
        read * 100.0,
    );
    println!("{text}");
    let is_close = write.abs() < write_tolerance && space.abs() < 0.02 && read.abs() < 0.02;
    if is_close { Ok(()) } else { Err(text) }
}

/// Compares the two models for each strategy; the error is that of the first one that is too far off.
fn compare<E: Model, W: Model>(
    memtable_bytes: u64,
    write_tolerance: f64,
    exact: impl Fn() -> E,
    window: impl Fn(u64) -> W,
) -> Result<(), String> {
    let parameters = scaled(memtable_bytes);
    let mut outcome = Ok(());
    for name in StrategyName::ALL {
        let strategy = parameters.strategy(name).unwrap();
        let exact = steady(&*strategy, exact(), 4.0);
        let model = steady(&*strategy, window(strategy.target_file_bytes()), 4.0);
        outcome = outcome.and(check_close(name, &model, &exact, write_tolerance));
    }
    outcome
}

/// 60,000 keys and memtables of 400 entries: 150 memtables.
const KEYS: u64 = 60_000;
const MEMTABLE_BYTES: u64 = 400 * ENTRY_BYTES;

fn exact_drawn(choice: KeyChoice) -> ExactModel {
    let operations = Operations::drawn(choice, KEYS, ENTRY_BYTES);
    let load = all_keys(KEYS, ENTRY_BYTES);
    let live = (KEYS * ENTRY_BYTES) as f64;
    ExactModel::new(operations, load, MEMTABLE_BYTES, live, Random::new(11, &[]))
}

fn uniform(keys: u64) -> UniformFootprint {
    UniformFootprint { keys: keys as f64, entry_bytes: ENTRY_BYTES as f64 }
}

#[test]
fn the_model_of_uniform_keys_agrees_with_real_keys() {
    let window = |target| WindowModel::new(uniform(KEYS), KEYS, MEMTABLE_BYTES, target);
    assert_eq!(compare(MEMTABLE_BYTES, 0.03, || exact_drawn(KeyChoice::Uniform), window), Ok(()));
}

#[test]
fn the_model_of_zipfian_keys_agrees_with_real_keys() {
    let footprint = ZipfianFootprint::new(KEYS, 0.99, ENTRY_BYTES as f64);
    let window = |target| WindowModel::new(footprint.clone(), KEYS, MEMTABLE_BYTES, target);
    assert_eq!(
        compare(MEMTABLE_BYTES, 0.03, || exact_drawn(KeyChoice::Zipfian(0.99)), window),
        Ok(())
    );
}

#[test]
fn the_model_of_a_trace_agrees_with_real_keys() {
    const COPIES: usize = 60;
    /// About 1 / 60 of the live bytes of all copies.
    const MEMTABLE_BYTES: u64 = 22_000_000;
    let Input::Trace { keys, steps } = input::read("git-history", u64::MAX).unwrap() else {
        panic!("a trace was expected");
    };
    let key_bytes: Vec<usize> = keys.iter().map(|key| key.len()).collect();
    let footprint = TraceFootprint::new(&steps, &key_bytes, COPIES as f64);
    let count = (COPIES * key_bytes.len()) as u64;
    let live = footprint.at(footprint.complete()).purged().bytes * count as f64;
    let exact = || {
        let mut random = Random::new(13, &[]);
        let operations = Operations::traced(steps.clone(), key_bytes.clone(), COPIES, &mut random);
        let load = state_of_copies(&operations);
        ExactModel::new(operations, load, MEMTABLE_BYTES, live, random)
    };
    let window = |target| WindowModel::new(footprint.clone(), count, MEMTABLE_BYTES, target);
    assert_eq!(compare(MEMTABLE_BYTES, 0.06, exact, window), Ok(()));
}

/// Half as many keys have fewer different ones in a window.
#[test]
fn a_model_with_a_wrong_footprint_is_found() {
    let window = |target| WindowModel::new(uniform(KEYS / 2), KEYS, MEMTABLE_BYTES, target);
    assert!(compare(MEMTABLE_BYTES, 0.03, || exact_drawn(KeyChoice::Uniform), window).is_err());
}

fn check_band(parameters: &Parameters, name: StrategyName, keys: u64) -> Result<(), String> {
    let cost = simulate_cell(parameters, name, &Source::Uniform, keys).unwrap();
    let band = Band::of(name, parameters, cost.live_bytes);
    let steady = cost.steady;
    let is_inside = band.write_low <= steady.write && steady.write <= band.write_high;
    if is_inside && steady.space <= band.space && steady.read <= band.read {
        return Ok(());
    }
    Err(format!("{} at {keys} keys: {steady:?} is outside {band:?}", name.text()))
}

#[test]
fn uniform_overwrites_stay_within_the_bands_of_the_parameter_file() {
    let parameters = Parameters::parse("built in", BUILT_IN, &[]).unwrap();
    for keys in [30_000_000, 100_000_000] {
        for name in StrategyName::ALL {
            assert_eq!(check_band(&parameters, name, keys), Ok(()));
        }
    }
}

#[test]
fn the_cost_of_another_strategy_is_outside_the_band() {
    let parameters = Parameters::parse("built in", BUILT_IN, &[]).unwrap();
    let tiered = StrategyName::SizeTiered;
    let cost = simulate_cell(&parameters, tiered, &Source::Uniform, 100_000_000).unwrap();
    let band = Band::of(StrategyName::Leveled, &parameters, cost.live_bytes);
    assert!(cost.steady.write < band.write_low && cost.steady.space > band.space, "{band:?}");
}

#[test]
fn a_load_in_the_order_of_keys_writes_everything_once() {
    let parameters = Parameters::parse("built in", BUILT_IN, &[]).unwrap();
    for name in StrategyName::ALL {
        let cost = simulate_cell(&parameters, name, &Source::Uniform, 10_000_000).unwrap();
        let Cost { write, space, space_peak, .. } = cost.load;
        let is_one = |value: f64| (value - 1.0).abs() < 1e-6;
        assert!(
            [write, space, space_peak].into_iter().all(is_one),
            "{}: {:?}",
            name.text(),
            cost.load
        );
    }
}

#[test]
fn wrong_parameters_are_refused() {
    for (right, wrong) in [
        ("fan_out = 10", "fan_out = 1"),
        ("levels = 7", "levels = 1"),
        ("levels = 7", "levels = 1_000_000_000_000"),
        ("measured = 3.0", "measured = 0.0"),
        ("measured = 3.0", "measured = inf"),
        ("measured = 3.0", "measured = nan"),
        ("warm_up = 3.0", "warm_up = inf"),
        ("warm_up = 3.0", "warm_up = nan"),
        ("warm_up = 3.0", "warm_up = -1.0"),
        ("value_bytes = 100", "value_bytes = 9_000_000_000_000_000_000"),
        ("\"1M\", \"3M\"", "\"1M\", 999"),
        ("\"1M\", \"3M\"", "\"1M\", 1_000_000_000_001"),
        ("keys = [", "keys = [] #"),
        ("workloads = [", "workloads = [] #"),
        ("memtable_bytes = \"64MiB\"", "memtable_bytes = 100"),
        ("[band]", "[bands]"),
    ] {
        assert!(BUILT_IN.contains(right), "{right}");
        assert!(
            Parameters::parse("own", &BUILT_IN.replacen(right, wrong, 1), &[]).is_err(),
            "{wrong}"
        );
    }
}

#[test]
fn sizes_of_the_command_line_are_checked_like_those_of_the_file() {
    let parse = |keys: &[u64]| Parameters::parse("built in", BUILT_IN, keys);
    for wrong in [&[0][..], &[999], &[1_000, 0], &[u64::MAX]] {
        assert!(parse(wrong).is_err(), "{wrong:?}");
    }
    let sizes = |keys: &[u64]| -> Vec<u64> {
        let keys = parse(keys).unwrap().keys;
        keys.iter().map(|keys| keys.0).collect()
    };
    assert_eq!(sizes(&[1_000, 5_000]), [1_000, 5_000]);
    assert_eq!(sizes(&[]).len(), 9, "those of the file");
}

#[test]
fn a_trace_that_leaves_nothing_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deletions.csv");
    let read = |rows: &str| {
        std::fs::write(&path, format!("ts,op,value_size,key\n{rows}")).unwrap();
        SimulatedWorkload::read(path.to_str().unwrap())
    };
    assert!(read("1,put,5,a\n2,del,0,b\n").is_ok());
    assert!(read("1,del,0,a\n2,del,0,b\n").is_err());
}
