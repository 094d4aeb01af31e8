//! The workloads of a simulation, and one cell of it: a strategy, a workload and a size.

use std::sync::Arc;

use super::drive::{Cost, Simulation};
use super::footprint::{Footprint, UniformFootprint};
use super::parameters::{Parameters, StrategyName};
use super::trace_footprint::TraceFootprint;
use super::window_model::WindowModel;
use super::zipfian_footprint::ZipfianFootprint;
use crate::distribution::KeyChoice;
use crate::failure::{Failure, Outcome};
use crate::input::{self, Input, TraceStep};
use crate::quantity::floor_to_u64;

/// A workload of overwrites.
#[derive(Clone, Debug)]
pub(super) struct SimulatedWorkload {
    pub(super) name: String,
    pub(super) source: Source,
}

/// Where its keys come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Uniform,
    Zipfian(f64),
    Trace { steps: Arc<[TraceStep]>, key_bytes: Arc<[usize]> },
}

impl SimulatedWorkload {
    /// The workload called `name`: `uniform`, `zipfian:SKEW`, or a trace.
    pub(super) fn read(name: &str) -> Outcome<Self> {
        let source = match name.parse::<KeyChoice>() {
            Ok(KeyChoice::Uniform) => Source::Uniform,
            Ok(KeyChoice::Zipfian(skew)) => Source::Zipfian(skew),
            Ok(_) => {
                let text =
                    format!("\"{name}\" cannot be simulated; write uniform, zipfian or a trace");
                return Err(Failure::usage(text));
            }
            Err(_) => match input::read(name, u64::MAX)? {
                Input::Trace { keys, steps } => {
                    Self::traced(name, steps.into(), keys.iter().map(|key| key.len()).collect())?
                }
                Input::Records { .. } => {
                    return Err(Failure::usage(format!("{name} has records; a trace is needed")));
                }
            },
        };
        Ok(Self { name: name.into(), source })
    }

    fn traced(name: &str, steps: Arc<[TraceStep]>, key_bytes: Arc<[usize]>) -> Outcome<Source> {
        let one = TraceFootprint::new(&steps, &key_bytes, 1.0);
        // A store is as many copies of the trace as make up its bytes.
        if one.at(one.complete()).purged().bytes <= 0.0 {
            let text = format!("{name} cannot be simulated: it leaves no live byte");
            return Err(Failure::usage(text));
        }
        Ok(Source::Trace { steps, key_bytes })
    }
}

/// What a cell has cost: the load in the order of keys, and the workload in its steady state.
#[derive(Clone, Copy, Debug)]
pub(super) struct CellCost {
    /// Keys of the store; a trace has fewer and larger ones, of about the same bytes.
    pub(super) keys: u64,
    pub(super) live_bytes: f64,
    pub(super) load: Cost,
    pub(super) steady: Cost,
}

/// Simulates one cell.
pub(super) fn simulate_cell(
    parameters: &Parameters,
    strategy: StrategyName,
    source: &Source,
    keys: u64,
) -> Outcome<CellCost> {
    let entry_bytes = (parameters.key_bytes + parameters.value_bytes) as f64;
    match source {
        Source::Uniform => {
            let footprint = UniformFootprint { keys: keys as f64, entry_bytes };
            cell(parameters, strategy, footprint, keys)
        }
        Source::Zipfian(skew) => {
            cell(parameters, strategy, ZipfianFootprint::new(keys, *skew, entry_bytes), keys)
        }
        Source::Trace { steps, key_bytes } => {
            let one = TraceFootprint::new(steps, key_bytes, 1.0);
            let live_of_one = one.at(one.complete()).purged().bytes * key_bytes.len() as f64;
            let copies = (keys as f64 * entry_bytes / live_of_one).ceil();
            let keys = floor_to_u64(copies) * key_bytes.len() as u64;
            cell(parameters, strategy, TraceFootprint::new(steps, key_bytes, copies), keys)
        }
    }
}

fn cell(
    parameters: &Parameters,
    name: StrategyName,
    footprint: impl Footprint,
    keys: u64,
) -> Outcome<CellCost> {
    let strategy = parameters.strategy(name).map_err(|error| Failure::usage(error.to_string()))?;
    let live_bytes = keys as f64 * footprint.at(footprint.complete()).purged().bytes;
    let memtable = parameters.memtable_bytes.0;
    let model = WindowModel::new(footprint, keys, memtable, strategy.target_file_bytes());
    let mut simulation = Simulation::new(&*strategy, model, parameters.levels);
    let load = simulation.load();
    simulation.run(parameters.warm_up);
    let steady = simulation.run(parameters.measured);
    Ok(CellCost { keys, live_bytes, load, steady })
}
