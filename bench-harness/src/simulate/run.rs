//! The command: cells one after the other, their rows, the plots and the table.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use clap::Args;

use super::bands::Band;
use super::chart;
use super::parameters::{BUILT_IN, Parameters, StrategyName};
use super::row::AmplificationRow;
use super::workload::{SimulatedWorkload, Source, simulate_cell};
use crate::failure::{Failure, Outcome};
use crate::fresh_folder::create_afresh;
use crate::output;
use crate::quantity::{parse_count, show_bytes, show_whole};
use crate::utc::run_name;
use crate::workload::Count;

/// The flags of `kvbench simulate`.
#[derive(Args, Clone, Debug)]
pub(crate) struct SimulateArgs {
    /// A file with other parameters.
    #[arg(short = 'c', long, value_name = "FILE.toml")]
    file: Option<PathBuf>,
    /// Sizes to simulate, in keys, with commas between [default: those of the file].
    #[arg(short = 'n', long, value_delimiter = ',', value_parser = parse_count, value_name = "KEYS")]
    keys: Vec<u64>,
}

/// The end of the folder's name, unless another is asked for.
const LABEL: &str = "simulation";

/// Where a simulation goes, and what it says on its way.
pub(crate) struct Destination<'c> {
    /// The folder that the folder of the simulation goes into.
    pub(crate) out: &'c Path,
    /// The end of that folder's name.
    pub(crate) label: Option<&'c str>,
    /// No progress.
    pub(crate) is_quiet: bool,
}

/// Simulates every strategy on every workload at every size, and writes a folder with the rows and the plots.
pub(crate) fn simulate(args: &SimulateArgs, to: &Destination<'_>) -> Outcome<()> {
    let (text, name) = match &args.file {
        Some(path) => {
            let read = fs::read_to_string(path);
            let text = read.map_err(|error| Failure::io("read", path, &error))?;
            (text, path.display().to_string())
        }
        None => (BUILT_IN.into(), "built in".into()),
    };
    let parameters = Parameters::parse(&name, &text, &args.keys)?;
    // All of them, before a folder is made and the first cell takes its time.
    let workloads = parameters.workloads.iter().map(|name| SimulatedWorkload::read(name));
    let workloads = workloads.collect::<Outcome<Vec<_>>>()?;
    let label = to.label.unwrap_or(LABEL);
    let folder = create_afresh(&to.out.join(run_name(label)))?;
    write(&folder.join("parameters.toml"), &text)?;
    let mut rows = RowFile::create(folder.join("amplification.csv"))?;
    for workload in &workloads {
        for Count(keys) in &parameters.keys {
            for strategy in StrategyName::ALL {
                if !to.is_quiet {
                    note_cell(strategy, workload, *keys);
                }
                for row in cell_rows(&parameters, strategy, workload, *keys)? {
                    rows.append(row)?;
                }
            }
        }
    }
    for (name, svg) in chart::plots(&rows.rows)? {
        write(&folder.join(name), &svg)?;
    }
    output::result(&table(&rows.rows))?;
    output::note(&format!("rows and plots are in {}", folder.display()));
    Ok(())
}

/// Says which cell comes next.
fn note_cell(strategy: StrategyName, workload: &SimulatedWorkload, keys: u64) {
    let (strategy, workload) = (strategy.text(), &workload.name);
    output::note(&format!("{strategy} on {workload}, {} keys", show_whole(keys as f64)));
}

/// The rows of a cell: the load, which is the same for all workloads but a trace, and the steady state.
fn cell_rows(
    parameters: &Parameters,
    strategy: StrategyName,
    workload: &SimulatedWorkload,
    keys: u64,
) -> Outcome<Vec<AmplificationRow>> {
    let cost = simulate_cell(parameters, strategy, &workload.source, keys)?;
    let is_uniform = matches!(workload.source, Source::Uniform);
    let band = is_uniform.then(|| Band::of(strategy, parameters, cost.live_bytes));
    let size = (cost.keys, cost.live_bytes);
    let steady =
        AmplificationRow::new(strategy.text(), workload.name.clone(), size, &cost.steady, band);
    let load =
        AmplificationRow::new(strategy.text(), "sequential load".into(), size, &cost.load, None);
    Ok(if is_uniform { vec![load, steady] } else { vec![steady] })
}

fn write(path: &Path, text: &str) -> Outcome<()> {
    fs::write(path, text).map_err(|error| Failure::io("write", path, &error))
}

/// Rows that are on the disk as soon as they are known.
struct RowFile {
    path: PathBuf,
    file: csv::Writer<File>,
    rows: Vec<AmplificationRow>,
}

impl RowFile {
    fn create(path: PathBuf) -> Outcome<Self> {
        let file = File::create(&path).map_err(|error| Failure::io("create", &path, &error))?;
        Ok(Self { path, file: csv::Writer::from_writer(file), rows: Vec::new() })
    }

    fn append(&mut self, row: AmplificationRow) -> Outcome<()> {
        let failed = |error: std::io::Error| Failure::io("write", &self.path, &error);
        self.file.serialize(&row).map_err(|error| failed(error.into()))?;
        self.file.flush().map_err(failed)?;
        self.rows.push(row);
        Ok(())
    }
}

/// The rows for people.
fn table(rows: &[AmplificationRow]) -> String {
    let mut text = String::from(
        "| workload | keys | data | strategy | write | expected | runs | space | at most | peak | |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    text.extend(rows.iter().map(table_line));
    text
}

fn table_line(row: &AmplificationRow) -> String {
    let band = match (row.expected_write_low, row.expected_write_high) {
        (Some(low), Some(high)) => format!("{low:.1} to {high:.1}"),
        _ => String::new(),
    };
    let most = row.expected_space_most.map_or(String::new(), |most| format!("{most:.2}"));
    let verdict = if row.is_expected() { "" } else { "outside" };
    format!(
        "| {} | {} | {} | {} | {:.2} | {band} | {:.1} | {:.3} | {most} | {:.2} | {verdict} |\n",
        row.workload,
        show_whole(row.keys as f64),
        show_bytes(row.live_bytes as f64),
        row.strategy,
        row.write_amplification,
        row.read_amplification,
        row.space_amplification,
        row.space_amplification_peak,
    )
}
