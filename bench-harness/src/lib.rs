//! `kvbench`: every engine of the workspace on the same workloads, with verified results.
//!
//! A run consists of blocks, a block of cells; a cell is one engine on one workload, in a fresh process on a fresh
//! directory (module `cell`). The operations are drawn from a seed before anything is timed and are the same for every
//! engine (`operation`); one loop drives them all and stamps every answer (`client`), and the stamps are judged while the
//! clock stands still (`judge`, `model`). At the end a worker that promised to keep its writes is killed, and a second one
//! checks the store. The rows of a workload go to `summary.csv` when its cells in a
//! block have ended (`run_folder`). The tables are made from them (`statistics`, `paired`, `report`).
//!
//! As a library it offers [`main`], which is the whole command line with further engines: see
//! `examples/own_engine.rs`.
#![doc = include_str!("../README.md")]
// Where peers are built, the workspace's ban holds, with the exceptions in `engines/peers`: `lmdb.rs` and `sync_calls.rs`.
#![cfg_attr(not(feature = "peers"), forbid(unsafe_code))]

mod calibration;
mod cell;
mod cli;
mod client;
mod csv_text;
mod dataset;
mod decimal;
mod disk_outliers;
mod disk_use;
mod distribution;
mod durability;
mod engines;
mod environment;
mod failure;
mod fresh_folder;
mod input;
mod judge;
mod keys;
mod list;
mod memory_elsewhere;
mod memory_limit;
mod memory_watch;
mod model;
mod operation;
mod other_threads;
mod output;
mod page_cache;
mod paired;
mod pattern;
mod plan;
mod probe;
mod proc_text;
mod process_counters;
mod process_memory;
mod quantity;
mod random;
mod recorder;
mod report;
mod row;
mod run_clock;
mod run_folder;
mod runner;
mod scratch;
mod simulate;
mod statistics;
mod stores;
mod student;
mod suggest;
mod supervisor;
mod suspend;
mod table;
mod toml_text;
mod utc;
mod values;
mod worker;
mod worker_process;
mod workload;

use std::process::ExitCode;

pub use engines::{EngineConfig, Registration, own as own_engines};
pub use keys::KeyShape;
pub use utc::run_name;

use cli::{Command, CommonArgs};
use failure::Outcome;
use plan::Plan;
use simulate::Destination;

/// Runs the command line of this process with the engines of this build and `further` ones, and returns its exit
/// code (see "Exit codes" above). The process starts itself again for every cell, so this must be all that `main` does.
pub fn main(further: &[Registration]) -> ExitCode {
    main_with_only(&[further, &engines::registered()[..]].concat())
}

/// The same with `engines` and no others: neither those of this build nor the yardsticks.
pub fn main_with_only(engines: &[Registration]) -> ExitCode {
    let outcome = match cli::parse(std::env::args_os()) {
        Ok(cli) => run(engines, cli),
        Err(None) => Ok(()),
        Err(Some(failure)) => Err(failure),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::note(&failure.line());
            ExitCode::from(failure.kind.exit_code())
        }
    }
}

fn run(engines: &[Registration], cli: cli::Cli) -> Outcome<()> {
    engines::check_names(engines)?;
    match cli.command.unwrap_or(Command::Quick) {
        Command::Quick => {
            let plan = Plan::quick(engines, &cli.common)?;
            runner::run(if plan.dry_run {
                plan
            } else {
                plan.for_this_machine(cli.common.reps.is_some())
            })
        }
        Command::Run(args) => runner::run(Plan::run(engines, &cli.common, &args)?),
        Command::List(args) => list::list(engines, &args),
        Command::Table(args) => table::print(&args.folders),
        Command::Simulate(args) => {
            let CommonArgs { out, label, quiet, .. } = &cli.common;
            let (label, is_quiet) = (label.as_deref(), *quiet);
            simulate::simulate(&args, &Destination { out, label, is_quiet })
        }
        Command::Calibration(args) => calibration::calibrate(&args.files, args.extract),
        Command::Worker => worker::work(engines),
    }
}
